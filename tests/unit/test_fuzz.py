"""Some hundred damaged files; ``make fuzz`` tries thousands."""

from __future__ import annotations

from fuzz_seeds import seeds
from mutations import MUTATIONS, mutant

from benchmarks.fuzz import fuzz
from sscdl.picture import read_image
from sscdl.radiograph import ImageError, Rendering


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
