"""Ways in which a JSON file may be damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BINARY = bytes(range(256))
# What no reader may take for whole, by what was done to the file.
WHOLLY: dict[str, Any] = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "binary": lambda content: BINARY,
    "null": lambda content: b"null",
    "a number": lambda content: b"3",
    "an empty list": lambda content: b"[]" if content.lstrip()[:1] == b"{" else b"{}",
    "an empty object": lambda content: b"{}" if content.strip() != b"{}" else b"[]",
    "nested without end": lambda content: b"[" * 100_000,
}


def damages(path: Path) -> Iterator[tuple[str, bool]]:
    """Damage ``path`` in each way in turn; yield which, and whether nobody may take it for whole.

    In the end the file is what it was. What it is replaced by meanwhile may be renamed.
    """
    content = path.read_bytes()
    for name, change in WHOLLY.items():
        path.write_bytes(change(content))
        yield name, True
        _clear(path)
    path.mkdir()
    yield "a folder in its place", True
    _clear(path)
    value = json.loads(content)
    for key in value if isinstance(value, dict) else ():
        for what, other in (("without", None), ("other type of", _other_type(value[key]))):
            changed = {**value, key: other}
            if what == "without":
                del changed[key]
            path.write_text(json.dumps(changed))
            yield f"{what} {key}", False
            _clear(path)
    path.write_bytes(content)


def _other_type(value: Any) -> Any:
    if isinstance(value, (dict, str)):
        return [value]
    return {"inside": value} if isinstance(value, list) else f"text {value}"


def _clear(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    for aside in path.parent.glob(f"{path.stem}*.damaged"):
        shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
