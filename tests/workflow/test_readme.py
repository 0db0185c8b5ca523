"""What the README tells a newcomer to type, typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from tests.conftest import ROOT


def archive(folder: Path) -> None:
    """Write forty pictures and a table that the README's columns and labels fit."""
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = ["path,patient_id,finding"]
    for number in range(40):
        cv2.imwrite(str(folder / f"{number}.png"), random.integers(0, 255, (40, 32), np.uint8))
        rows.append(f"{number}.png,p{number},{'pneumonia' if number % 2 else 'normal'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def test_own_images_are_described_and_planned_by_the_commands_of_the_readme(tmp_path):
    block = re.search(r"## Your own images\n.*?```bash\n(.*?)```", text(), re.DOTALL)[1]
    commands = [line.split("#")[0].strip() for line in block.splitlines()]
    commands = [line for line in commands if line.startswith("python -m sscdl ")]
    assert [line.split()[3] for line in commands] == ["new", "run", "run"]
    archive(tmp_path / "mine")
    folder = tmp_path / "work"
    folder.mkdir()
    outputs = []
    # The last one trains for hours; that it may be started is what a newcomer sees.
    for command in (*commands[:2], f"{commands[2]} --dry-run"):
        done = subprocess.run(
            ["bash", "-c", command.replace("/data/mine", str(tmp_path / "mine"))],
            cwd=folder, env=environment(), stdin=subprocess.DEVNULL, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
        outputs.append(done.stdout)
    assert (folder / "mine.yaml").is_file()
    assert "Table: results/mine/plan.csv" in outputs[1]
    assert re.search(r"^rule pretext_stage:", outputs[2], re.MULTILINE)


def text() -> str:
    """Return the README."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


def environment() -> dict[str, str]:
    """Return an environment in which ``python`` is this one, and the package that of the clone."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
