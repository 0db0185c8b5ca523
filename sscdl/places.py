"""How the list of images says where pictures lie, without saying whose folders those are in.

An absolute path may name its user (``/home/<user>/…``), and results are passed on.
"""

from __future__ import annotations

import os
from pathlib import Path


def written(path: Path, store: Path) -> str:
    """Return how the list of images writes the path of a picture in ``store``.

    That is the path from the working directory, however either of them is reached. Where the
    configuration gives the store as an absolute path, and it lies elsewhere, that is left out: then
    it is the path from the store.
    """
    if path.is_absolute():
        # A link inside the store may lead to somebody's home: where it leads is not written.
        below = path.relative_to(store)
        path = Path(os.path.relpath(store.resolve(), _base(store).resolve()), below)
    return path.as_posix()


def found(text: str, store: Path) -> Path:
    """Return the path of a picture in ``store`` that the list of images writes as ``text``."""
    return _base(store) / text


def _base(store: Path) -> Path:
    """Return where the paths begin. A relative path to the store is its user's own words."""
    inside = store.resolve().is_relative_to(Path.cwd().resolve())
    return store if store.is_absolute() and not inside else Path()
