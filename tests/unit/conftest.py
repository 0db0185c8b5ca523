"""Fixtures that several files of unit tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def exported_folder(tmp_path_factory):
    """Return the folder of an exported model with random weights."""
    from tests.unit.exported_models import build  # imports torch, which few tests need

    return build(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="session")
def exported_model(exported_folder):
    """Return that model."""
    from sscdl.model_folder import Model
    from tests.unit.exported_models import CPU

    return Model(exported_folder, CPU)
