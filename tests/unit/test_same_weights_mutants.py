"""Changes of behaviour that are planted in copies of the package: none of them is let pass."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.same_weights.cases import cases
from benchmarks.same_weights.judge import Probed, judge
from benchmarks.same_weights.probe import ROOT
from benchmarks.same_weights.revisions import probed
from sscdl.equivalence import PATH

# Enough to tell each of the mutants below; all cases would take minutes for each.
CASES = (
    "packs lung_box 32 px",
    "images of the layout siim",
    "stage moco: brightness 0.4",
    "stage relloc: jitter 0.5",
    "split by patient, stratified True, val 0.15, seed 0",
)


@dataclass(frozen=True)
class Mutant:
    """A line that is changed, and the group whose results it changes."""

    group: str
    file: str
    before: str
    after: str
    case: str = ""  # that tells it by its digests; otherwise it is refused at sight


MUTANTS = {
    "a sign in a loss": Mutant(
        "swav", "tasks/crops.py",
        "append(-(code * prediction)", "append((code * prediction)"
    ),
    "a default of the momentum": Mutant(
        "rotation", "training/optim.py", "momentum: float = 0.9,", "momentum: float = 0.95,"
    ),
    "the order of random draws": Mutant(
        "moco", "tasks/pairs.py",
        "return self.augment(images, first), self.augment(images, second)",
        "return self.augment(images, second), self.augment(images, first)", CASES[2],
    ),
    "an epsilon": Mutant("swav", "tasks/clusters/swav.py", "clamp_min(1e-30)", "clamp_min(1e-20)"),
    "a comparison in the split": Mutant(
        "split", "images/split.py", "if counts[chosen[unit]] > 1]", "if counts[chosen[unit]] >= 1]"
    ),
    "a rounding in the variants": Mutant(
        "packs", "images/variants.py",
        "margin = round(BOX_MARGIN", "margin = int(BOX_MARGIN", CASES[0]
    ),
    "labels that are one off": Mutant(
        "relloc", "tasks/prediction/relloc.py",
        ".repeat(len(index))", ".roll(1).repeat(len(index))", CASES[3]
    ),
    "a setting of the PNG files": Mutant(
        "images", "images/render_worker.py",
        "cv2.IMWRITE_PNG_FILTER_PAETH", "cv2.IMWRITE_PNG_FILTER_SUB", CASES[1],
    ),
    "a clamp that is dropped": Mutant(
        "moco", "training/augment.py", "return view.clamp(0, 1)", "return view", CASES[2]
    ),
    "a threshold of the duplicates": Mutant(
        "split", "images/duplicates.py", "if len(labelled) < 2:", "if len(labelled) < 3:"
    ),
    "a threshold of the masks": Mutant(
        "masks predicted", "segment/processing/postprocess.py", "THRESHOLD = 0.5", "THRESHOLD = 0.6"
    ),
}  # fmt: skip


def copied(folder: Path) -> Path:
    """Return a copy of what a probe needs of the checkout."""
    for name in ("sscdl", "benchmarks/same_weights", "resources/segmenter"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PATH, folder / "resources")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Probed:
    """Return the package as it is, and what its probe finds."""
    folder = tmp_path_factory.mktemp("base")
    chosen = [case for case in cases() if case["name"] in CASES]
    assert len(chosen) == len(CASES)
    found = probed(copied(folder / "checkout"), chosen, folder / "probe")
    assert all("error" not in one for one in found.found["cases"].values())
    return found


def test_the_package_itself_is_accepted(base):
    for group in ("packs", "images", "moco", "relloc", "split"):
        verdict = judge(group, base, Probed(base.root, base.found))
        assert verdict.accepted
        assert verdict.cases


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_refused(base, tmp_path, name):
    mutant = MUTANTS[name]
    root = copied(tmp_path / "checkout")
    path = root / "sscdl" / mutant.file
    source = path.read_text(encoding="utf-8")
    assert source.count(mutant.before) == 1
    path.write_text(source.replace(mutant.before, mutant.after), encoding="utf-8")
    if not mutant.case:
        # The lines are those of the base: whatever the digests, its sight is enough.
        reasons = judge(mutant.group, base, Probed(root, base.found)).reasons
        assert any("a value was changed" in reason for reason in reasons)
        return
    chosen = [case for case in cases() if case["name"] == mutant.case]
    now = probed(root, chosen, tmp_path / "probe")
    found = {**base.found, "cases": {mutant.case: base.found["cases"][mutant.case]}}
    reasons = judge(mutant.group, Probed(base.root, found), now).reasons
    assert any(reason.startswith(f"case {mutant.case}: other ") for reason in reasons)
