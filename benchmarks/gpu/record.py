"""The file of what was measured: whole whenever somebody looks, also after a kill."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sscdl.files import HOME, read_json, write_json

FOLDER = HOME / "benchmarks"
DONE, FAILED, NOT_HERE, NO_TIME = "done", "failed", "not here", "no time"
_LONGEST = 6000  # characters of an error that are kept


def default_path(device_name: str) -> Path:
    """Return where results of a device go, such as ``benchmarks/gpu-nvidia-h200.json``."""
    name = re.sub(r"[^a-z0-9]+", "-", device_name.lower()).strip("-") or "unknown"
    return FOLDER / f"gpu-{name}.json"


def result_files(folder: Path = FOLDER) -> list[Path]:
    """Return the files of results in ``folder``, by name."""
    return sorted(folder.glob("gpu-*.json"))


class Results:
    """What is known so far. With ``path`` it is replaced, atomically, at each change.

    Without a path (the device's name is not known yet) it is kept until there is one.
    """

    def __init__(self, path: Path | None, **about: Any) -> None:
        self.path = path
        self.about: dict[str, Any] = {**about, "finished": False}
        self.records: list[dict[str, Any]] = []

    def describe(self, **about: Any) -> None:
        """Say more of the machine or the run."""
        self.about |= about
        self._write()

    def add(
        self, part: str, case: str, status: str, *, seconds: float = 0.0, error: str = "",
        figures: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Take a record, write the file and print a line."""
        record: dict[str, Any] = {"part": part, "case": case, "status": status}
        record["seconds"] = round(seconds, 1)
        if error:
            record["error"] = error[-_LONGEST:]
        record |= {"figures": figures} if figures else {}
        self.records.append(record)
        self._write()
        print(f"{part}: {case}: {status}, {seconds:.1f} s {figures or headline(error)}", flush=True)

    def of(self, part: str) -> list[dict[str, Any]]:
        """Return the records of a part."""
        return [one for one in self.records if one["part"] == part]

    def _write(self) -> None:
        if self.path is not None:
            write_json(self.path, {**self.about, "records": self.records})


def headline(error: str) -> str:
    """Return the line of an error that says what it was: of a traceback, that of the last one."""
    lines = [line for line in error.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
    return (raised[-1:] or lines[:1] or [""])[0][:300]


def read_results(path: Path) -> dict[str, Any]:
    """Return what a file of results holds."""
    return read_json(path)


def done(records: list[dict[str, Any]], part: str) -> dict[str, dict[str, Any]]:
    """Return the figures of each case of ``part`` that was measured, in their order."""
    return {
        one["case"]: one.get("figures", {})
        for one in records
        if one["part"] == part and one["status"] == DONE
    }
