"""Checkouts of revisions, and their probes run one after the other."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from benchmarks.same_weights.judge import Probed

PROBE = Path("benchmarks/same_weights/probe.py")


def commit(revision: str, root: Path) -> str | None:
    """Return the full name of a revision, None if the history (or a history at all) lacks it."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"],
            cwd=root, capture_output=True, text=True,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def export(revision: str, root: Path, folder: Path) -> None:
    """Write the files of a revision to ``folder``, which leaves no trace in the repository."""
    packed = subprocess.run(
        ["git", "archive", "--format=tar", revision], cwd=root, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def probed(root: Path, cases: list[dict[str, Any]], folder: Path) -> Probed:
    """Run the probe of the checkout ``root`` in the new folder ``folder``; return what it found."""
    if not (root / PROBE).is_file():
        raise SystemExit(f"{root}: has no {PROBE}; compare with a revision that has it")
    folder.mkdir(parents=True)
    listed, out = folder / "cases.json", folder / "out.json"
    listed.write_text(json.dumps(cases), encoding="utf-8")
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        done = subprocess.run(
            [
                sys.executable, "-m", "benchmarks.same_weights.probe",
                "--cases", str(listed.resolve()), "--out", str(out.resolve()),
                "--work", str((folder / "work").resolve()),
            ],
            # Not this process's search path: the package must be that of the checkout.
            cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=log,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    if done.returncode:
        last = (folder / "log.txt").read_text(encoding="utf-8").splitlines()[-15:]
        raise SystemExit("\n".join(["the probe failed:", *last]))
    return Probed(root, json.loads(out.read_text(encoding="utf-8")))
