"""Every way to start the workflow, as its users call it: without a target."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner

MODULE = """
configfile: "study.yaml"

module cxr:
    snakefile: "{snakefile}"
    config: config

use rule * from cxr{names}
"""


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_without_a_target_all_results_are_asked_for(snakefile, tmp_path):
    assert jobs(Runner(tmp_path, TINY, snakefile=snakefile)("--dry-run")) >= ALL


@pytest.mark.parametrize("names", ["", " as cxr_*"])
@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_as_a_module_it_has_the_same_default(snakefile, names, tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TINY))
    text = MODULE.format(snakefile=ROOT / snakefile, names=names)
    (tmp_path / "Snakefile").write_text(text)
    prefix = "cxr_" if names else ""
    assert jobs(started(tmp_path), prefix) >= ALL


def test_in_a_checkout_the_workflow_is_found_by_itself(tmp_path):
    """Without --snakefile, Snakemake looks for Snakefile, then for workflow/Snakefile."""
    for name in ("config", "profiles", "resources", "sscdl", "workflow", "Snakefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TINY))
    assert jobs(started(tmp_path, "--configfile", "study.yaml")) >= ALL


def test_a_python_that_snakemake_cannot_start_is_refused(tmp_path):
    (tmp_path / "with space").symlink_to(Path(sys.executable).parents[1])
    python = tmp_path / "with space/bin" / Path(sys.executable).name
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TINY))
    done = subprocess.run(
        [str(python), "-m", "snakemake", "--dry-run", "--snakefile", str(ROOT / "Snakefile"),
         "--configfile", "study.yaml"],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1].startswith(f"Python lies at '{python}'")


ALL = {"finetune", "pretext_stage", "summary", "table_comparisons", "figure_comparisons"}


def started(folder: Path, *arguments: str) -> str:
    """Return what a dry run in ``folder`` says, with no target."""
    command = [str(Path(sys.executable).parent / "snakemake"), "--dry-run", "--cores", "1"]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def jobs(output: str, prefix: str = "") -> set[str]:
    """Return the rules that would run, without the prefix that a module gives them."""
    return set(re.findall(rf"^(?:local)?rule {prefix}(\S+):", output, flags=re.M))
