"""The parts of the docs that are made from the schema and from what tasks declare.

python -m sscdl.study.reference            writes them (make docs)
python -m sscdl.study.reference --check    fails if they are not as they would be written
"""

from __future__ import annotations

import json
import sys
from typing import Any

from sscdl.errors import InputError
from sscdl.files import HOME
from sscdl.study.config import load_schema, resolve
from sscdl.tasks.options import DECLARATIONS

SCHEMA = HOME / "workflow/schemas/config.schema.yaml"
KEYS = "| key | meaning | default |"
TASKS = "| task | method | what the network has to do | published by |"


def describe(schema: dict[str, Any]) -> str:
    """Return the reference of all keys as a Markdown table, from the schema's descriptions."""
    lines = [KEYS, "|---|---|---|"]

    def walk(node: dict[str, Any], path: str) -> None:
        if path == "stages.":  # what the stages of all tasks have, once
            walk(_shared(node["properties"], schema), "stages.<task>.")
        for name, child in node.get("properties", {}).items():
            child = resolve(child, schema)
            key = f"{path}{name}"
            if path == "stages.":
                child = {**child, "properties": {"options": child["properties"]["options"]}}
            text = child.get("description", "").replace("|", r"\|")  # or it would end the cell
            if "enum" in child:
                text += f" One of: {', '.join(f'`{value}`' for value in child['enum'])}."
            default = f"`{json.dumps(child['default'])}`" if "default" in child else ""
            default += "".join(
                f"; `{task}`: `{json.dumps(value)}`" for task, value in child.get("of", {}).items()
            )
            lines.append(f"| `{key}` | {text} | {default} |")
            walk(child, f"{key}.")
            if child.get("type") == "array" and "properties" in child.get("items", {}):
                walk(child["items"], f"{key}[].")
            if isinstance(child.get("additionalProperties"), dict):
                walk(child["additionalProperties"], f"{key}.<name>.")

    walk(schema, "")
    return "\n".join(lines) + "\n"


def _shared(blocks: dict[str, dict[str, Any]], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a block of the settings that all ``blocks``, by task, have.

    Where the default of a task is another than the usual one, it stands there under "of". That is
    the default of a task that declares no settings of its own.
    """
    plain = min(blocks, key=lambda task: len(DECLARATIONS[task].settings))
    settings = {task: resolve(block, schema)["properties"] for task, block in blocks.items()}
    found = {}
    for name in next(iter(settings.values())):
        ones = {task: resolve(block[name], schema) for task, block in settings.items()}
        usual = ones[plain]
        if "properties" in usual and name != "options":
            found[name] = {**usual, **_shared(ones, schema)}
        elif name != "options":
            others = {task: one.get("default") for task, one in ones.items()}
            differing = {t: one for t, one in others.items() if one != usual.get("default")}
            found[name] = {**usual, "of": differing}
    return {"properties": found}


def describe_tasks() -> str:
    """Return the pretext tasks as a Markdown table, from their declarations."""
    lines = [TASKS, "|---|---|---|---|"]
    for task, declared in DECLARATIONS.items():
        if declared.paper:
            lines.append(f"| `{task}` | {declared.title} | {declared.about} | {declared.paper} |")
    return "\n".join(lines) + "\n"


def written(text: str, table: str) -> str:
    """Return a Markdown ``text`` in which ``table`` stands for the one with the same header."""
    header = table.splitlines()[0]
    before, found, after = text.partition(header)
    if not found:
        raise InputError(f"no table begins with {header!r}, which is to be replaced")
    rows = after.splitlines(keepends=True)[1:]
    left = next((n for n, row in enumerate(rows) if not row.startswith("|")), len(rows))
    return before + table + "".join(rows[left:])


def main() -> int:
    """Do what the module says and return the exit status."""
    tables = {
        HOME / "config/README.md": describe(load_schema(SCHEMA)),
        HOME / "README.md": describe_tasks(),
    }
    stale = []
    for path, table in tables.items():
        text = path.read_text(encoding="utf-8")
        if (now := written(text, table)) != text:
            stale.append(path)
            if "--check" not in sys.argv:
                path.write_text(now, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"{', '.join(map(str, stale))}: not as make docs writes it; run that")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
