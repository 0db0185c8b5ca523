from __future__ import annotations

import os
import warnings
from importlib import util
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import UID

from sscdl.dicom.radiograph import ImageError, Rendering
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import RAMP, lookup_table, rounded, write_dicom


@pytest.fixture
def show(tmp_path):
    """Write stored values as DICOM with the given fields and return the rendered pixels."""

    def shown(stored, rendering=Rendering(), **fields):  # noqa: B008 - it is immutable
        return read_radiograph(write_dicom(tmp_path / "x.dcm", stored, **fields), rendering).pixels

    return shown


# Windows: the closed formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3


def test_linear_window(show):
    c, w = 2048, 1000
    x = RAMP.astype(float)
    expected = np.where(
        x <= c - 0.5 - (w - 1) / 2,
        0,
        np.where(x > c - 0.5 + (w - 1) / 2, 1, (x - (c - 0.5)) / (w - 1) + 0.5),
    )
    assert np.array_equal(show(RAMP, bits=12, WindowCenter=c, WindowWidth=w), rounded(expected))


def test_linear_window_of_width_one_is_a_threshold(show):
    stored = np.array([[9, 10, 11]], dtype=np.uint8)
    assert show(stored, WindowCenter=10.5, WindowWidth=1).tolist() == [[0, 0, 255]]


def test_linear_exact_window(show):
    c, w = 2048, 512
    x = RAMP.astype(float)
    expected = np.where(x <= c - w / 2, 0, np.where(x > c + w / 2, 1, (x - c) / w + 0.5))
    shown = show(RAMP, bits=12, WindowCenter=c, WindowWidth=w, VOILUTFunction="LINEAR_EXACT")
    assert np.array_equal(shown, rounded(expected))
    assert not np.array_equal(shown, show(RAMP, bits=12, WindowCenter=c, WindowWidth=w))


def test_sigmoid_window(show):
    c, w = 1500, 700
    expected = 1 / (1 + np.exp(-4 * (RAMP.astype(float) - c) / w))
    shown = show(RAMP, bits=12, WindowCenter=c, WindowWidth=w, VOILUTFunction="SIGMOID")
    assert np.array_equal(shown, rounded(expected))


def test_first_of_several_windows_is_used(show):
    one = show(RAMP, bits=12, WindowCenter=1000, WindowWidth=500)
    assert np.array_equal(
        show(RAMP, bits=12, WindowCenter=[1000, 3000], WindowWidth=[500, 100]), one
    )


def test_a_window_can_be_chosen_among_several(show):
    fields = {"bits": 12, "WindowCenter": [1000, 3000, 2000], "WindowWidth": [500, 100, 4000]}
    for choice, center, width in (("first", 1000, 500), ("narrowest", 3000, 100),
                                  ("widest", 2000, 4000)):  # fmt: skip
        one = show(RAMP, bits=12, WindowCenter=center, WindowWidth=width)
        assert np.array_equal(show(RAMP, Rendering(window=choice), **fields), one)


def test_impossible_windows_are_passed_over(show):
    fields = {"bits": 12, "WindowCenter": [1000, 3000], "WindowWidth": [0, 100]}
    one = show(RAMP, bits=12, WindowCenter=3000, WindowWidth=100)
    for choice in ("first", "widest", "narrowest"):
        assert np.array_equal(show(RAMP, Rendering(window=choice), **fields), one)


def test_percentiles_can_be_asked_for_in_place_of_window_and_lut(show):
    rng = np.random.default_rng(5)
    stored = rng.integers(0, 4096, (40, 50)).astype(np.uint16)
    low, high = np.percentile(stored, (2, 90))
    expected = rounded(np.clip((stored - low) / (high - low), 0, 1))
    rendering = Rendering(window="percentiles", percentiles=(2, 90))
    sequence = lookup_table([0, 255], first=0, bits=8)
    for fields in ({"WindowCenter": 9, "WindowWidth": 9}, {"VOILUTSequence": sequence}):
        assert np.array_equal(show(stored, rendering, bits=12, **fields), expected)


def test_16_bits_have_the_same_levels(show):
    fields = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 3000}
    expected = rounded(np.clip((RAMP - 2047.5) / 2999 + 0.5, 0, 1), top=65535)
    shown = show(RAMP, Rendering(bits=16), **fields)
    assert shown.dtype == np.uint16
    assert np.array_equal(shown, expected)
    inverted = show(RAMP, Rendering(bits=16), PhotometricInterpretation="MONOCHROME1", **fields)
    assert np.array_equal(inverted, 65535 - expected)


@pytest.mark.parametrize(
    "rendering",
    [Rendering(window="middle"), Rendering(bits=12), Rendering(percentiles=(99, 1))],
)
def test_impossible_rendering_is_an_error_of_the_caller(show, rendering):
    with pytest.raises(ValueError, match="impossible rendering"):
        show(RAMP, rendering, bits=12)


# Lookup tables and rescaling


def test_voi_lut_is_preferred_to_a_window(show):
    stored = np.array([[0, 9, 10, 11, 12, 13, 200]], dtype=np.uint8)
    sequence = lookup_table([100, 300, 500, 1023], first=10, bits=10)
    shown = show(stored, VOILUTSequence=sequence, WindowCenter=5, WindowWidth=5)
    expected = rounded(np.array([[100, 100, 100, 300, 500, 1023, 1023]]) / 1023)
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize(
    ("most", "bits", "white"),
    [(4095, 16, 4095), (4095, 12, 4095), (32767, 16, 32767), (32768, 16, 65535),
     (60000, 16, 65535), (5000, 12, 5000), (100, 8, 100), (128, 8, 255)],
)  # fmt: skip
def test_white_is_the_largest_entry_where_most_of_the_range_would_stay_empty(
    show, most, bits, white
):
    entries = np.linspace(0, most, 4096).round().astype(int)
    shown = show(RAMP, bits=12, VOILUTSequence=lookup_table(entries.tolist(), first=0, bits=bits))
    assert np.array_equal(shown, rounded(entries[RAMP] / white))


def test_voi_lut_of_packed_bytes(show):
    item = Dataset()
    item.LUTDescriptor = [4, 0, 8]
    item.add_new("LUTData", "OW", bytes([10, 20, 40, 180]))
    stored = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    assert show(stored, VOILUTSequence=[item]).tolist() == [[10, 20, 40, 180]]


@pytest.mark.parametrize(("first", "signed"), [(-2, True), (65534, False)])
def test_voi_lut_after_a_negative_intercept(show, first, signed):
    stored = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    sequence = lookup_table([0, 60, 120, 255], first=first, bits=8, signed=signed)
    shown = show(stored, RescaleSlope=1, RescaleIntercept=-2, VOILUTSequence=sequence)
    assert shown.tolist() == [[0, 60, 120, 255]]


def test_lut_that_is_shorter_than_it_says_is_rejected(show):
    sequence = lookup_table([1, 2, 3], first=0, bits=8)
    sequence[0].LUTDescriptor = [256, 0, 8]
    with pytest.raises(ImageError, match="VOILUTSequence has a descriptor"):
        show(RAMP, bits=12, VOILUTSequence=sequence)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
def test_voi_lut_in_implicit_and_big_endian_files(show, syntax):
    stored = np.array([[0, 9, 10, 11, 12, 13, 200]], dtype=np.uint16)
    sequence = lookup_table([100, 300, 500, 1023], first=10, bits=10)
    expected = rounded(np.array([[100, 100, 100, 300, 500, 1023, 1023]]) / 1023)
    assert np.array_equal(show(stored, syntax=UID(syntax), VOILUTSequence=sequence), expected)


def test_voi_lut_of_the_greatest_length(show):
    stored = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    entries = stored.ravel()[::-1]
    shown = show(stored, VOILUTSequence=lookup_table(entries.tolist(), first=0, bits=16))
    assert np.array_equal(shown, rounded((65535.0 - stored) / 65535))


def test_modality_lut_comes_before_the_window(show):
    stored = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    sequence = lookup_table([0, 1000, 250, 500], first=0, bits=10)
    shown = show(
        stored,
        ModalityLUTSequence=sequence,
        WindowCenter=500,
        WindowWidth=1000,
        VOILUTFunction="LINEAR_EXACT",
    )
    assert np.array_equal(shown, rounded([[0, 1, 0.25, 0.5]]))


def test_rescale_comes_before_the_window(show):
    fields = {"VOILUTFunction": "LINEAR_EXACT", "RescaleSlope": 2, "RescaleIntercept": -1000}
    shown = show(RAMP, bits=12, WindowCenter=500, WindowWidth=3000, **fields)
    expected = np.clip((2.0 * RAMP - 1000 - 500) / 3000 + 0.5, 0, 1)
    assert np.array_equal(shown, rounded(expected))


def test_negative_slope_turns_the_window_around(show):
    fields = {"VOILUTFunction": "LINEAR_EXACT", "RescaleSlope": -1, "RescaleIntercept": 4095}
    shown = show(RAMP, bits=12, WindowCenter=2048, WindowWidth=4096, **fields)
    assert shown[0, 0] == 255
    assert shown[-1, -1] == 1
    assert np.all(np.diff(shown.ravel().astype(int)) <= 0)


# Real files


def test_every_real_radiograph_is_read(shared_data):
    paths = sorted((shared_data / "nih-siim" / "train").glob("*/*/*.dcm"))
    syntaxes = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in paths:
            read = read_radiograph(path)
            syntaxes.add(read.transfer_syntax)
            assert read.pixels.shape == (read.rows, read.columns)
            assert read.view in ("AP", "PA")
            assert 20 < read.pixels.mean() < 235
    assert len(paths) > 100
    assert syntaxes == {
        "Explicit VR Little Endian",
        "Implicit VR Little Endian",
        "Deflated Explicit VR Little Endian",
        "Explicit VR Big Endian",
        "RLE Lossless",
        "JPEG 2000 Image Compression (Lossless Only)",
        "JPEG-LS Lossless Image Compression",
    }


def test_scanner_file_is_the_same_uncompressed_and_compressed():
    found = util.find_spec("data_store")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the package pydicom-data is not installed")
    folder = Path(os.fspath(next(iter(found.submodule_search_locations)))) / "data"
    plain = read_radiograph(folder / "RG1_UNCR.dcm")
    packed = read_radiograph(folder / "RG1_J2KR.dcm")
    assert plain.pixels.shape == (1955, 1841)
    assert (plain.bits_stored, plain.photometric) == (15, "MONOCHROME1")
    assert plain.transfer_syntax != packed.transfer_syntax
    assert np.array_equal(plain.pixels, packed.pixels)
    stored = pydicom.dcmread(folder / "RG1_UNCR.dcm").pixel_array.astype(float)
    expected = 255 - rounded(np.clip((stored - 14999.5) / 29999 + 0.5, 0, 1))
    assert np.array_equal(plain.pixels, expected)
