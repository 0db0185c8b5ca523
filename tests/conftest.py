"""Fixtures that find test material outside the repository, and skip with a reason without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _outside(variable: str, beside: str, what: str) -> Path:
    """Return the folder that ``variable`` names, or ``beside`` the checkout; skip if neither is."""
    found = Path(os.environ.get(variable) or ROOT.parent / beside)
    if not found.is_dir():
        pytest.skip(f"{what} not found: set {variable} to its folder")
    return found


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with ``nih-siim/`` and ``lung-masks/`` (real radiographs, not part of the project)."""
    return _outside("SSCDL_TEST_DATA", "shared/data", "real radiographs")


@pytest.fixture(scope="session")
def lungvae_golden() -> Path:
    """Folder with recorded inputs and outputs of the original lungVAE code."""
    return _outside("SSCDL_LUNGVAE_GOLDEN", "shared/lungvae/golden", "lungVAE golden data")
