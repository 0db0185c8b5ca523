"""A copy of the package whose modules a test may edit, in place of it where sources are hashed."""

from __future__ import annotations

import shutil
from pathlib import Path

from sscdl import canonical, source
from tests.conftest import ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "sscdl").rglob("*.py")
)


class Copy:
    """A copy of the package whose modules can be edited; unchanged ones are parsed once."""

    def __init__(self, folder: Path, parse) -> None:
        self.folder, self.parse, self.known = folder, parse, {}

    def parsed(self, module: str):
        if module not in self.known:
            self.known[module] = self.parse(module)
        return self.known[module]

    def path(self, module: str) -> Path:
        stem = self.folder.joinpath(*module.split(".")[1:])
        return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")

    def write(self, module: str, text: str) -> None:
        self.path(module).write_text(text)
        self.known.pop(module, None)


def copied(tmp_path, monkeypatch) -> Copy:
    """Return an editable copy of the package, which replaces it where sources are hashed."""
    shutil.copytree(ROOT / "sscdl", tmp_path / "sscdl", ignore=shutil.ignore_patterns("*.pyc"))
    found = Copy(tmp_path / "sscdl", source.canonical.__wrapped__)
    monkeypatch.setattr(canonical, "HERE", found.folder)
    monkeypatch.setattr(source, "canonical", found.parsed)
    return found
