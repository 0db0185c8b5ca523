"""What the parts of paths mean in an archive without a table: layout ``folders``, checked.

Needs only the standard library: it is checked each time the workflow is read.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sscdl.archives.entries import DESCRIBED
from sscdl.archives.folder_words import NO_PATTERNS, shown_texts
from sscdl.archives.listing import told
from sscdl.errors import InputError

LABEL, SPLIT = "label", "split"
GROUPS = (LABEL, SPLIT, *DESCRIBED)


@dataclass(frozen=True)
class FolderSettings:
    """The settings of layout ``folders``: of ``labels``, the texts of the group that mean each."""

    root: Path
    id_key: str
    ids: str
    patterns: tuple[re.Pattern[str], ...]
    labels: dict[str, frozenset[str]]

    @property
    def groups(self) -> set[str]:
        """Return the names of the groups that any pattern has."""
        return {name for pattern in self.patterns for name in pattern.groupindex}


def read_settings(dataset: Mapping[str, Any]) -> FolderSettings:
    """Return the settings in ``dataset``: root, patterns, labels, id_key and ids.

    ``patterns`` are regular expressions with groups named as in ``GROUPS``; ``labels`` maps each
    class to the texts of the group ``label`` that mean it, or to None, and may be missing.

    Raises InputError if there is no pattern, one is no regular expression or has other groups, or
    there are labels and no group for them.
    """
    given = dataset.get("patterns") or []
    if not given:
        raise InputError(NO_PATTERNS)
    patterns = tuple(_pattern(text, number) for number, text in enumerate(given))
    labels = {
        name: frozenset(map(str, texts))
        for name, texts in (dataset.get("labels") or {}).items()
        if texts
    }
    settings = FolderSettings(
        Path(dataset["root"]), dataset["id_key"], dataset.get("ids", "hash"), patterns, labels
    )
    texts = Counter(text for meant in labels.values() for text in meant)
    if twice := sorted(text for text, number in texts.items() if number > 1):
        raise InputError(
            f"folders.labels: {twice[0]!r} means two labels; leave it at the one that it means"
        )
    if labels and LABEL not in settings.groups:
        raise InputError(
            "folders.labels: no pattern has a group (?P<label>…), so that no file has a label; add "
            "one, or leave the labels out"
        )
    return settings


def _pattern(text: str, number: int) -> re.Pattern[str]:
    key = f"folders.patterns.{number}"
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(
            f"{key}: {text!r} is no regular expression ({error}); correct it"
        ) from None
    for name in pattern.groupindex:
        if name not in GROUPS:
            near = difflib.get_close_matches(name, GROUPS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(GROUPS)}"
            raise InputError(f"{key}: has a group named {name!r}; {hint}")
    if not pattern.groupindex:
        raise InputError(
            f"{key}: {text!r} has no named group, such as (?P<label>…); known are "
            f"{', '.join(GROUPS)}"
        )
    return pattern


def shown(settings: FolderSettings, path: str, number: int) -> str:
    """Return what messages call a file, the ``number``-th by path: paths may name patients."""
    return path if settings.ids == "file" else f"file {number} by path"


def read_parts(
    settings: FolderSettings, paths: Sequence[str], problems: Sequence[tuple[str, str]] = ()
) -> dict[str, dict[str, str]]:
    """Return what the path of each file says: the text of each of ``GROUPS``, '' where none.

    The first pattern that is found in a path counts; files in which none is found are left out.
    ``problems`` are (path, reason) of files that were set aside, for messages.

    Raises InputError if a pattern is found in no path, a group says nothing in any, or no file has
    one of the labels.
    """
    parts: dict[str, dict[str, str]] = {}
    used: Counter[int] = Counter()
    for path in paths:
        if first := first_match(settings, path):
            number, match = first
            used[number] += 1
            texts = {name: text or "" for name, text in match.groupdict().items()}
            parts[path] = dict.fromkeys(GROUPS, "") | texts
    files = f"the {len(paths)} image files below {settings.root}"
    example = f", for example {shown(settings, paths[0], 1)}"
    for number, pattern in enumerate(settings.patterns):
        if not used[number]:
            before = " that no earlier one fits" if number else ""
            raise InputError(
                f"folders.patterns.{number}: {pattern.pattern!r} is found in none of {files}"
                f"{before}{example}; correct it, or folders.root{told(problems)}"
            )
    for name in sorted(settings.groups):
        if not any(texts[name] for texts in parts.values()):
            raise InputError(
                f"folders.patterns: the group {name!r} says nothing in any of {files}{example}; "
                "correct it, or leave it out"
            )
    found = Counter(texts[LABEL] for texts in parts.values() if texts[LABEL])
    for name, meant in settings.labels.items():
        if not meant & found.keys():
            raise InputError(
                f"folders.labels.{name}: no file has {' or '.join(sorted(meant))} as its label "
                f"(there are {shown_texts(found)}); correct the texts or the patterns"
            )
    return parts


def first_match(settings: FolderSettings, path: str) -> tuple[int, re.Match[str]] | None:
    """Return the first pattern, by its number, that is found in a path, and where."""
    found = ((number, pattern.search(path)) for number, pattern in enumerate(settings.patterns))
    return next(((number, match) for number, match in found if match), None)
