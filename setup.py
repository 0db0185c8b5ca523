"""Puts the workflow beside the package when it is built: all that a run reads, without a checkout.

Everything else about the build stands in pyproject.toml.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# What ``sscdl.files.HOME`` holds in a checkout and, in the folder IN, where it is installed.
CARRIED = ("Snakefile", "config", "envs", "profiles", "resources", "workflow")
IN = "sscdl/_project"


def configurations() -> set[str]:
    """Return the names of the files in config/ that belong to the project: MANIFEST.in has them.

    Others lie there, too, in somebody's checkout: their folders and keys are no part of a package.
    (An sdist has no git that could tell which these are.)
    """
    words = (Path(__file__).parent / "MANIFEST.in").read_text(encoding="utf-8").split()
    return {Path(word).name for word in words if word.startswith("config/")}


def left_out(folder: str, names: list[str]) -> set[str]:
    """Return what in a folder that is carried stays behind, as ``shutil.copytree`` asks it."""
    others = {name for name in names if name == "__pycache__" or name.startswith(".")}
    own = Path(folder) == Path(__file__).parent / "config"
    return others | (set(names) - configurations() if own else set())


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
        here, there = Path(__file__).parent, Path(self.build_lib) / IN
        there.mkdir(parents=True)
        for name in CARRIED:
            source = here / name
            if source.is_dir():
                shutil.copytree(source, there / name, ignore=left_out)
            else:
                shutil.copy2(source, there / name)


if __name__ == "__main__":
    setup(cmdclass={"build_py": WithWorkflow})
