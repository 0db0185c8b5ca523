"""What a check of the store finds, and how a record that it cannot read becomes a finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from sscdl.errors import InputError
from sscdl.records import Kind, read_record

AGAIN = "delete it and run the study again"
GO_ON = "run the study again to go on with it"


class Finding(NamedTuple):
    """Something in the store that is ``damaged``, a ``leftover``, or a ``note`` to know."""

    kind: str
    path: Path
    fault: str
    advice: str


def read_or_damage(path: Path, kind: Kind) -> tuple[Any, list[Finding]]:
    """Return what a JSON file of this kind holds, or None and the damage."""
    try:
        return read_record(path, kind), []
    except InputError as error:
        fault, _, advice = str(error).removeprefix(f"{path}: ").partition("; ")
        return None, [Finding("damaged", path, fault, advice)]
