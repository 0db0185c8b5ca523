"""The benchmark of given splits measures each step of an archive that it makes up."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_every_step_is_measured_on_a_small_archive(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/given_split.py"), "--images", "200"],
        cwd=tmp_path, stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    assert rows[0] == ["step", "s", "s of CPU", "MiB"]
    assert [row[0] for row in rows[2:]] == [
        "list the files",
        "the split, as it is planned with (files and lists)",
        "the index (files and table)",
        "images.csv with the split",
    ]
    for row in rows[2:]:
        wall, _, peak = map(float, row[1:])
        assert wall >= 0
        assert peak > 10, "of a process that has imported the package"
