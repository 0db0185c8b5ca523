"""A folder of image files with a table, as a beginner has it; a study file read back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sscdl.study.reading import read_config

# What tells the kind of a file; nothing here is rendered.
PNG, DICOM = b"\x89PNG\r\n\x1a\n", b"\0" * 128 + b"DICM"


def archive(
    folder: Path,
    columns: str = "path,patient_id,finding",
    rows: Iterable[str] = (),
    *,
    table: str = "labels.csv",
    suffix: str = ".png",
) -> Path:
    """Make a folder of 40 image files and a table; 26 are normal and 14 ill, of 20 patients."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = list(rows) or [
        f"images/{n}{suffix},p{n // 2},{'normal' if n % 3 else 'ill'}" for n in range(40)
    ]
    (folder / "images").mkdir(exist_ok=True)
    for n in range(40):
        (folder / f"images/{n}{suffix}").write_bytes(DICOM if suffix == ".dcm" else PNG)
    (folder / table).write_text("\n".join([columns, *lines]) + "\n", encoding="utf-8")
    return folder


def written(name: str) -> dict:
    """Return the configuration in a file that was written, checked as a run checks it."""
    return read_config([Path(name)], folders=True)
