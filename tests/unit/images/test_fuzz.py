"""Some hundred damaged files; ``make fuzz`` tries thousands."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import benchmarks.fuzz
from benchmarks.fuzz import fuzz
from sscdl.dicom.radiograph import ImageError, Rendering
from sscdl.images.picture import read_image
from tests.conftest import ROOT
from tests.unit.fuzz_seeds import seeds
from tests.unit.mutations import MUTATIONS, mutant


def test_mutants_are_converted_or_rejected(tmp_path):
    result = fuzz(range(400), 3, tmp_path / "kept", time_limit=20)
    assert result.failures == []
    assert result.converted.total() + result.rejected.total() == 400
    assert result.converted.total() > 60
    assert len(result.reasons) > 30
    assert not (tmp_path / "kept").exists()


def test_mutants_can_be_made_again():
    first = [mutant(0, number) for number in range(len(MUTATIONS))]
    assert [mutant(0, number) for number in reversed(range(len(MUTATIONS)))] == first[::-1]
    assert {kind for kind, _, _ in first} == set(MUTATIONS)
    assert [mutant(1, number) for number in range(len(MUTATIONS))] != first


def test_files_are_fine_before_they_are_damaged(tmp_path):
    rejected = []
    for number, seed in enumerate(seeds()):
        path = tmp_path / str(number)
        path.write_bytes(seed.packed(seed.data))
        try:
            read_image(path, Rendering())
        except ImageError:
            rejected.append(seed.name)
    # Shipped with pydicom: no pictures, several, or malformed.
    others = {
        "SC_rgb_rle_2frame.dcm", "emri_small_RLE.dcm", "UN_sequence.dcm", "badVR.dcm",
        "reportsi.dcm",
    }  # fmt: skip
    assert len(seeds()) > 60
    assert set(rejected) <= others


def test_the_command_of_make_fuzz(tmp_path):
    (line,) = re.findall(
        r"^\t\$\(BIN\)/python (benchmarks/fuzz.*)", (ROOT / "Makefile").read_text(), re.M
    )
    script, *options = line.split()
    options[options.index("--files") + 1] = str(len(MUTATIONS))
    command = [sys.executable, str(ROOT / script), *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^\| (.*) \| (\d+) \| (\d+) \|$", done.stdout, re.M)
    assert [name for name, _, _ in rows] == list(MUTATIONS)
    assert all(int(converted) + int(rejected) == 1 for _, converted, rejected in rows)
    assert f"\n{len(MUTATIONS)} files = " in done.stdout
    assert " + 0 failed; " in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_offenders_are_named_and_kept(tmp_path, monkeypatch, capsys):
    def faults(png, row):
        return ["drawn upside down"] if png.stem == "2" else []

    # Three whole files, of which the check of pictures is made to dislike the last one.
    whole = [seed for seed in seeds() if not seed.name.endswith(".dcm")][0]
    monkeypatch.setattr(
        benchmarks.fuzz, "mutant", lambda seed, n: ("nothing", "a", whole.packed(whole.data))
    )
    monkeypatch.setattr(benchmarks.fuzz, "_faults_of_picture", faults)
    keep = tmp_path / "kept"
    monkeypatch.setattr(
        sys, "argv", ["fuzz.py", "--seed", "4", "--only", "0", "2", "1", "--keep", str(keep)]
    )
    with pytest.raises(SystemExit) as ended:
        benchmarks.fuzz.main()
    assert ended.value.code == 1
    shown = capsys.readouterr().out
    assert "\n3 files = 3 converted + 0 rejected + 0 failed; " in shown
    assert shown.endswith("\nFAILED 4-2 (nothing of a): drawn upside down\n")
    assert [path.name for path in keep.iterdir()] == ["4-2.dcm"]
    assert (keep / "4-2.dcm").read_bytes() == whole.packed(whole.data)
