"""Checking a configuration: defaults from the schema, and messages that name the key to change."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from sscdl.archives.folder_words import NO_PATTERNS
from sscdl.errors import InputError
from sscdl.study.findings import wrong_with_findings
from sscdl.study.folders import missing_folders
from sscdl.study.split_settings import all_given, wrong_in_split
from sscdl.study.stage_settings import wrong_in_stage
from sscdl.study.values import unfit_values, whole_path
from sscdl.tasks.options import DECLARATIONS
from sscdl.training.network_names import RESNETS
from sscdl.words import nearest

_MOST_LINES = 9  # of a message that names all that is wrong
_MOST_SIGNS = 500  # of a line
SIIM_LABELS = ("negative", "typical", "indeterminate", "atypical")


def load_schema(path: str | Path) -> dict[str, Any]:
    """Return the JSON schema in the YAML file ``path``, with a block for the stages of each task.

    That is the block ``stage`` with the task's own defaults and options.
    """
    schema = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    blocks, stage = schema["$defs"], schema["$defs"].pop("stage")
    for task, declared in DECLARATIONS.items():
        block = blocks[task] = copy.deepcopy(stage)
        paper = f" ({declared.paper})" if declared.paper else ""
        block["description"] = f"{declared.title}: {declared.about}{paper}."
        for name, value in declared.settings.items():
            block["properties"][name] = _with_default(block["properties"][name], value, schema)
        block["properties"]["options"]["properties"] = {
            name: {**option.limits, "description": option.about, "default": option.default}
            for name, option in declared.options.items()
        }
        schema["properties"]["stages"]["properties"][task] = {"$ref": f"#/$defs/{task}"}
    return schema


def _with_default(described: dict[str, Any], value: Any, whole: dict[str, Any]) -> dict[str, Any]:
    """Return what describes a key with ``value`` as its default, of a block for each key in it."""
    if not isinstance(value, dict):
        return {**described, "default": value}
    block = copy.deepcopy(resolve(described, whole))
    for name, one in value.items():
        block["properties"][name]["default"] = one
    return block


def check_config(
    config: dict[str, Any], schema: dict[str, Any], *, folders: bool = True
) -> dict[str, Any]:
    """Return ``config`` with the schema's defaults filled in; InputError names all that is wrong.

    The blocks under ``dataset`` and ``lungs`` are keyed by what may be chosen there; only the
    chosen one must be complete, but a misspelt key is refused everywhere. Without ``folders`` those
    of images and masks may be missing, for those who read none.
    """
    _refuse(list(unfit_values(config)))
    # By way of JSON: Snakemake hands over its own dictionary types, and blocks that a YAML anchor
    # repeats are one object, which must not be filled in twice.
    filled = _with_defaults(json.loads(json.dumps(config)), schema, schema)
    validator = jsonschema.Draft202012Validator(schema)
    faults = sorted(validator.iter_errors(filled), key=lambda error: list(map(str, error.path)))
    messages = [line for fault in faults for line in _messages(fault)]
    missing = missing_folders(filled, config) if folders and not messages else []
    between = [] if messages else [*_contradictions(filled), *wrong_with_findings(filled, config)]
    _refuse(messages or [*missing, *between])
    _refuse(_write_out_paths(filled, schema, schema))
    return filled


def _refuse(messages: list[str]) -> None:
    if messages:
        listed = [f"  {_short(message)}" for message in messages[:_MOST_LINES]]
        if len(messages) > _MOST_LINES:
            listed.append(f"  and {len(messages) - _MOST_LINES} more")
        raise InputError("\n".join(["the configuration is not valid:", *listed]))


def _short(message: str) -> str:
    """Return a message whose middle, the value, is left out where it is long."""
    end = _MOST_SIGNS // 2
    return message if len(message) <= _MOST_SIGNS else f"{message[:end]} … {message[-end:]}"


def _write_out_paths(
    value: dict[str, Any], schema: dict[str, Any], whole: dict[str, Any], where: str = ""
) -> list[str]:
    """Replace ``~`` in what the schema says is a path; return what is wrong with others."""
    found: list[str] = []
    known = schema.get("properties", {})
    for key, child in value.items():
        described = resolve(known.get(key) or schema.get("additionalProperties") or {}, whole)
        place = f"{where}.{key}" if where else key
        if isinstance(child, dict):
            found += _write_out_paths(child, described, whole, place)
        elif described.get("format") == "path" and isinstance(child, (str, list)):
            try:
                texts = [whole_path(one) for one in ([child] if isinstance(child, str) else child)]
                value[key] = texts[0] if isinstance(child, str) else texts
            except ValueError as error:
                found.append(f"{place}: {error}")
    return found


def resolve(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Return a block of the schema ``whole`` in which nothing is referred to at its top."""
    reference = schema.get("$ref")
    if not reference:
        return schema
    found: Any = whole
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{k: v for k, v in schema.items() if k != "$ref"}}


def _with_defaults(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> Any:
    schema = resolve(schema, whole)
    if isinstance(value, list) and "items" in schema:
        return [_with_defaults(item, schema["items"], whole) for item in value]
    if not isinstance(value, dict):
        return _scalar(value, schema)
    for name, child in schema.get("properties", {}).items():
        resolved = resolve(child, whole)
        if name not in value:
            if "default" in resolved:
                value[name] = copy.deepcopy(resolved["default"])
            elif resolved.get("type") == "object" and "properties" in resolved:
                value[name] = {}
        if name in value:
            value[name] = _with_defaults(value[name], child, whole)
    return value


def _scalar(value: Any, schema: dict[str, Any]) -> Any:
    """Return what a text stands for where a number, a truth value or null is wanted.

    Values of keys inside a block that --config gives arrive as text, and YAML itself takes 1e-3
    for text.
    """
    if not isinstance(value, str):
        return value
    choices = schema.get("anyOf", [schema])
    if value in [choice.get("const") for choice in choices]:
        return value
    types: set[str] = set()
    for choice in choices:
        given = choice.get("type", [])
        types.update([given] if isinstance(given, str) else given)
    words: dict[str, dict[str, Any]] = {
        "boolean": {"true": True, "false": False},
        "null": {"null": None},
    }
    for kind, meanings in words.items():
        if kind in types and value.lower() in meanings:
            return meanings[value.lower()]
    for kind, read in (("integer", int), ("number", float)):
        if kind in types and "string" not in types:
            try:
                found = read(value)
            except ValueError:
                continue  # no such number: the schema says what is wanted
            if math.isfinite(found):
                return found
    return value


def _messages(fault: Any) -> list[str]:
    """Return readable lines for one violation of the schema."""
    where = ".".join(str(part) for part in fault.absolute_path)
    if fault.validator == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        lines = []
        for key in fault.instance:
            if key in known:
                continue
            path = f"{where}.{key}" if where else key
            near = nearest(key, known, 0.5)
            hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(known)}"
            lines.append(f"{path}: no such key; {hint}")
        return lines
    if fault.validator == "required":
        missing = [key for key in fault.validator_value if key not in fault.instance]
        return [
            f"{where + '.' if where else ''}{key}: missing; "
            + fault.schema.get("properties", {}).get(key, {}).get("description", "it must be given")
            for key in missing
        ]
    if fault.validator == "enum":
        allowed = ", ".join(map(str, fault.validator_value))
        near = nearest(str(fault.instance), map(str, fault.validator_value))
        hint = f"; did you mean {near!r}?" if near else ""
        return [f"{where}: {fault.instance!r} is not one of {allowed}{hint}"]
    described = fault.schema.get("description", "")
    return [f"{where}: {fault.message}" + (f" ({described})" if described else "")]


def _contradictions(config: dict[str, Any]) -> list[str]:
    """Return what is wrong between keys that are each right by themselves."""
    found = []
    layout = config["dataset"]["layout"]
    for block in ("dataset", "pretraining_dataset"):
        chosen = config[block]["layout"]
        given = config[block].get(chosen, {})
        if chosen == "table" and not given.get("table"):
            found.append(f"{block}.table.table: missing; the CSV file that describes the images")
        if chosen == "table" and not given["columns"]["file"]:
            found.append(f"{block}.table.columns.file: missing; the column that names the files")
        if chosen == "folders" and not given.get("patterns"):
            found.append(f"{block}.{NO_PATTERNS}")
    labels = config["dataset"].get(layout, {}).get("labels")
    known = SIIM_LABELS if labels is None else [name for name in labels if labels[name]]
    what = "findings" if config["findings"] else "classes"
    for name in config[what] if what == "classes" or layout == "table" else ():
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known) or 'none'}"
            found.append(f"{what}: {name!r} is no label of the data set; {hint}")
    if layout == "phantom" and config["pretraining_dataset"]["layout"] != "none":
        found.append("pretraining_dataset: goes with real archives; remove it for layout phantom")
    found += wrong_in_split(config)
    split = config["split"]
    if config["protocol"] == "strict" and split["by"] == "image" and not all_given(split):
        found.append("split.by: 'image' lets patients straddle; protocol strict needs 'patient'")
    if config["image"]["packed"] < config["image"]["size"]:
        found.append("image.packed: smaller than image.size; give at least image.size")
    phantom = config["dataset"]["phantom"]
    if layout == "phantom" and phantom["marked_test"] and phantom["shortcut"] is None:
        found.append("dataset.phantom.marked_test: needs a mark; give dataset.phantom.shortcut")
    if config["few_labels"]["shares"] and config["label_share"] < 1:
        found.append(
            "few_labels.shares: are beside a training with all labels, and label_share takes some "
            "away; give one of the two"
        )
    network = config["backbone"]
    if network["name"] not in RESNETS and network["last_stage"] != 4:
        found.append(f"backbone.last_stage: {network['name']} is used whole; give 4")
    for task, declared in DECLARATIONS.items():
        stage = config["stages"][task]
        wrong = [*declared.check(stage), *wrong_in_stage(stage, declared.settings)]
        found += [f"stages.{task}.{line}" for line in wrong]
    return found + _ranges(config)


def _ranges(config: dict[str, Any]) -> list[str]:
    """Return which ranges do not rise from their first to their second value."""
    ranges = {"ingest.rendering.percentiles": config["ingest"]["rendering"]["percentiles"]}
    found = []
    for task, stage in config["stages"].items():
        for key, value in stage["options"].items():
            if isinstance(value, list):
                ranges[f"stages.{task}.options.{key}"] = value
    for key, (low, high) in ranges.items():
        # A crop of one size is a choice; percentiles of one value show nothing.
        if low > high or (low == high and key.endswith("percentiles")):
            found.append(f"{key}: [{low:g}, {high:g}] does not rise; give the smaller value first")
    return found
