"""Locked versions, those of the conda environment, and the documented commands agree."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.conftest import ROOT


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def direct() -> list[str]:
    lines = (ROOT / "requirements.in").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def test_every_direct_requirement_is_locked():
    for name in direct():
        assert name.lower() in locked()


def test_the_conda_environment_has_the_locked_versions():
    described = yaml.safe_load((ROOT / "envs/sscdl.yaml").read_text())
    pins = next(item["pip"] for item in described["dependencies"] if isinstance(item, dict))
    assert pins == [f"{name}=={locked()[name.lower()]}" for name in direct()]


@pytest.mark.parametrize("page", ["README.md", "config/README.md"])
def test_documented_files_and_targets_exist(page):
    text = (ROOT / page).read_text()
    for name in re.findall(r"config/[a-z-]+\.yaml", text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"^make (\w+)", text, flags=re.MULTILINE):
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), name
    for link in re.findall(r"\]\(([\w/.]+)\)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), link
