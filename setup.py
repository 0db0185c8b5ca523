"""Puts the workflow beside the package when it is built: all that a run reads, without a checkout.

Everything else about the build stands in pyproject.toml.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

IN = "sscdl/_project"  # ``sscdl.files.HOME`` where the package is installed
HERE = Path(__file__).parent


def carried() -> list[str]:
    """Return the files and folders of the project that HOME holds: MANIFEST.in names them.

    Others lie beside them in somebody's checkout: their folders and keys are no part of a package.
    (An sdist has no git that could tell which these are.)
    """
    lines = (HERE / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    named = [
        word
        for line in lines
        if line.startswith(("include ", "graft "))
        for word in line.split()[1:]
    ]
    return [name for name in named if name == "Snakefile" or (HERE / name).is_dir() or "/" in name]


class WithWorkflow(build_py):
    """Builds the package and copies the workflow into it."""

    def run(self) -> None:
        """Build; an editable package is used where it lies, in the checkout."""
        if self.editable_mode:
            super().run()
            return
        # An earlier build may have left modules that are gone; tasks are found by their files.
        shutil.rmtree(Path(self.build_lib) / "sscdl", ignore_errors=True)
        super().run()
        there = Path(self.build_lib) / IN
        for name in carried():
            source, target = HERE / name, there / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                others = shutil.ignore_patterns("__pycache__", ".*")
                shutil.copytree(source, target, ignore=others)
            else:
                shutil.copy2(source, target)


if __name__ == "__main__":
    setup(cmdclass={"build_py": WithWorkflow})
