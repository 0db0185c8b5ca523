"""Reading configuration files: later ones over earlier ones, and no key twice in one of them.

YAML lets the second of two equal keys replace the first, with all that stands below it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

from sscdl.errors import InputError
from sscdl.files import HOME

_ODD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|[0-9_]+(:[0-9]+)+)")
DEFAULTS = HOME / "config" / "config.yaml"


class _Fault(Exception):
    """Something that YAML takes, and does not take as it is meant."""


class _Loader(yaml.SafeLoader):
    """Reads YAML as usual, but no key that is there twice and no number that is meant otherwise."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if isinstance(key, Hashable) and first.setdefault(key, line) != line:
                raise _Fault(
                    f"lines {first[key]} and {line}: key {key!r} is there twice in one block, so "
                    "that the first would be dropped with all below it; join the two, or delete one"
                )
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if _ODD_NUMBER.fullmatch(node.value):
            raise _Fault(
                f"line {node.start_mark.line + 1}: {node.value} is {value} to YAML, which counts a "
                "leading 0 as octal and a colon as sixties; put it in quotes, or write the number "
                "plainly"
            )
        return value


# A registry of its own decides what constructs a number.
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the keys of a YAML or JSON file, {} if it is empty.

    Raises InputError if it cannot be read, is neither, holds anything but keys, a key twice, or a
    number such as 0123 and 12:30, which YAML takes for 83 and 750.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = _parsed(text)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give the configuration of the study"
        ) from None
    except _Fault as error:
        raise InputError(f"{path}, {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: is no YAML file ({error}); correct it") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no keys; give the configuration of the study")
    return found


def read_files(files: Iterable[str | Path]) -> dict[str, Any]:
    """Return what these files say over the defaults, later ones first, as Snakemake merges them."""
    config: dict[str, Any] = {}
    for path in [DEFAULTS, *files]:
        config = laid_over(config, read_yaml(path))
    return config


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return ``below`` with ``above`` laid over it: blocks are merged, all else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old: Any = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = laid_over(old, value) if both else value
    return merged


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_pairs)
    except json.JSONDecodeError:
        return yaml.load(text, _Loader)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise _Fault(f"key {twice[0]!r} is there twice in one block; join the two, or delete one")
    return dict(pairs)
