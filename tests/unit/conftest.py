"""Fixtures that several files of unit tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def exported_folder(tmp_path_factory):
    """Return the folder of an exported model with random weights."""
    from tests.unit.exported_models import build  # imports torch, which few tests need

    return build(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="session")
def exported_model(exported_folder):
    """Return that model."""
    from sscdl.model.folder import Model
    from tests.unit.exported_models import CPU

    return Model(exported_folder, CPU)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return an editable copy of the package, which replaces it where sources are hashed."""
    from tests.unit.package_copy import copied

    return copied(tmp_path, monkeypatch)


@pytest.fixture
def lends(monkeypatch):
    """Return a function that has a module lend the CPU for any device, and tells what was held."""

    def stand_in(module: ModuleType) -> list[object]:
        held: list[object] = []

        @contextmanager
        def lend(wanted: str, count: int) -> Iterator[list[str]]:
            held.append((wanted, count))
            yield ["cpu"]
            held.append("given back")

        monkeypatch.setattr(module, "lease", lend)
        return held

    return stand_in
