"""The page that says how a task is added: followed to the letter, it adds one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

PAGE = (ROOT / "docs/adding-a-task.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`(\S+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
(COMMANDS,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
NOT_IN_A_CLONE = {".git", ".venv", ".snakemake", "results", "store"}


def test_the_page_shows_the_files_as_they_are():
    assert sorted(Path(name).name for name in FILES) == [
        "test_vicreg.py", "vicreg.py", "vicreg_declaration.py",
    ]  # fmt: skip
    for name, text in FILES.items():
        assert text == (ROOT / name).read_text(encoding="utf-8"), name


def test_following_it_adds_the_task(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(
        ROOT, copy, ignore=lambda folder, _: NOT_IN_A_CLONE if Path(folder) == ROOT else ()
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": ""}

    def run(command: str, ok: bool = True) -> str:
        done = subprocess.run(
            ["bash", "-ec", command], cwd=copy, env=environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert (done.returncode == 0) == ok, done.stdout[-4000:]
        return done.stdout

    readme = (copy / "README.md").read_text(encoding="utf-8")
    for name in FILES:
        (copy / name).unlink()
    without = COMMANDS.splitlines()[0]
    run(without)
    assert "vicreg" not in (copy / "README.md").read_text(encoding="utf-8")
    for name, text in FILES.items():
        (copy / name).write_text(text, encoding="utf-8")
    said = run(COMMANDS)
    assert (copy / "README.md").read_text(encoding="utf-8") == readme
    assert " passed" in said
    assert "vicreg" in run("python -m sscdl store ls store")
