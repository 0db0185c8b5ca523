from __future__ import annotations

import logging
import math
import os
import warnings
from importlib import util
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import PATIENT_NAME, write_dicom
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from sscdl.dicom import read_radiograph
from sscdl.radiograph import ImageError

RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)


def rounded(unit):
    return np.rint(255 * np.asarray(unit)).astype(np.uint8)


def lookup(entries, first, bits, signed=False):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", list(entries))
    return [item]


@pytest.fixture
def show(tmp_path):
    """Write stored values as DICOM with the given fields and return the rendered pixels."""

    def shown(stored, **fields):
        return read_radiograph(write_dicom(tmp_path / "x.dcm", stored, **fields)).pixels

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


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"WindowWidth": 0.5}, "width is too small"),
        ({"WindowWidth": 0, "VOILUTFunction": "LINEAR_EXACT"}, "width is too small"),
        ({"WindowWidth": 100, "VOILUTFunction": "CUBIC"}, "unknown VOI LUT function"),
    ],
)
def test_impossible_window_is_rejected(show, fields, reason):
    with pytest.raises(ImageError, match=reason):
        show(RAMP, bits=12, WindowCenter=100, **fields)


# Lookup tables and rescaling


def test_voi_lut_is_preferred_to_a_window(show):
    stored = np.array([[0, 9, 10, 11, 12, 13, 200]], dtype=np.uint8)
    sequence = lookup([100, 300, 500, 1023], first=10, bits=10)
    shown = show(stored, VOILUTSequence=sequence, WindowCenter=5, WindowWidth=5)
    expected = rounded(np.array([[100, 100, 100, 300, 500, 1023, 1023]]) / 1023)
    assert np.array_equal(shown, expected)


def test_voi_lut_of_packed_bytes(show):
    item = Dataset()
    item.LUTDescriptor = [4, 0, 8]
    item.add_new("LUTData", "OW", bytes([10, 20, 40, 80]))
    stored = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    assert show(stored, VOILUTSequence=[item]).tolist() == [[10, 20, 40, 80]]


@pytest.mark.parametrize(("first", "signed"), [(-2, True), (65534, False)])
def test_voi_lut_after_a_negative_intercept(show, first, signed):
    stored = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    sequence = lookup([0, 60, 120, 255], first=first, bits=8, signed=signed)
    shown = show(stored, RescaleSlope=1, RescaleIntercept=-2, VOILUTSequence=sequence)
    assert shown.tolist() == [[0, 60, 120, 255]]


def test_lut_that_is_shorter_than_it_says_is_rejected(show):
    sequence = lookup([1, 2, 3], first=0, bits=8)
    sequence[0].LUTDescriptor = [256, 0, 8]
    with pytest.raises(ImageError, match="VOILUTSequence has a descriptor"):
        show(RAMP, bits=12, VOILUTSequence=sequence)


def test_modality_lut_comes_before_the_window(show):
    stored = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    sequence = lookup([0, 1000, 250, 500], first=0, bits=10)
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


# Stored values


def test_signed_pixels(show):
    stored = np.array([[-1000, -500, 0, 500, 1000]], dtype=np.int16)
    fields = {"WindowCenter": 0, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"}
    assert np.array_equal(show(stored, **fields), rounded([[0, 0.25, 0.5, 0.75, 1]]))
    assert np.array_equal(show(stored, bits=12, **fields), rounded([[0, 0.25, 0.5, 0.75, 1]]))


def test_bits_above_the_stored_ones_are_ignored(show):
    fields = {"WindowCenter": 2048, "WindowWidth": 4096}
    overlay = RAMP | np.where(np.eye(16, dtype=bool), 0xF000, 0).astype(np.uint16)
    assert np.array_equal(show(overlay, bits=12, **fields), show(RAMP, bits=12, **fields))


def test_monochrome1_is_inverted_last(show):
    fields = {"bits": 12, "WindowCenter": 1000, "WindowWidth": 500}
    plain = show(RAMP, **fields)
    inverted = show(RAMP, PhotometricInterpretation="MONOCHROME1", **fields)
    assert np.array_equal(inverted, 255 - plain)
    inverse = show(RAMP, PresentationLUTShape="INVERSE", **fields)
    assert np.array_equal(inverse, 255 - plain)
    both = show(
        RAMP, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE", **fields
    )
    assert np.array_equal(both, 255 - plain)


def test_without_window_the_percentiles_are_black_and_white(show):
    rng = np.random.default_rng(0)
    stored = rng.normal(2000, 100, (60, 60)).astype(np.uint16)
    stored[0, :4] = 0, 1, 4095, 4094
    low, high = np.percentile(stored, (0.5, 99.5))
    expected = rounded(np.clip((stored - low) / (high - low), 0, 1))
    assert np.array_equal(show(stored, bits=12), expected)


def test_without_window_a_rare_mark_on_an_even_ground_stays_visible(show):
    stored = np.full((60, 60), 100, dtype=np.uint8)
    stored[3, 3] = 120
    shown = show(stored)
    assert (shown[3, 3], shown[0, 0]) == (255, 0)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_leaves_the_range_alone(show, photometric):
    inner = np.arange(1000, 1100, dtype=np.uint16).reshape(10, 10)
    padded = np.pad(inner, 5, constant_values=4095)
    shown = show(padded, bits=12, PixelPaddingValue=4095, PhotometricInterpretation=photometric)
    alone = show(inner, bits=12, PhotometricInterpretation=photometric)
    assert np.array_equal(shown[5:-5, 5:-5], alone)
    shown[5:-5, 5:-5] = 0
    assert not shown.any()


def test_padding_range_and_signed_padding(show):
    stored = np.array([[-2000, -1999, -1998, -1997, 0, 50, 100]], dtype=np.int16)
    shown = show(stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1998)
    assert shown[0, :3].tolist() == [0, 0, 0]
    low, high = np.percentile([-1997, 0, 50, 100], (0.5, 99.5))
    expected = rounded(np.clip((np.array([-1997, 0, 50, 100]) - low) / (high - low), 0, 1))
    assert shown[0, 3:].tolist() == expected.tolist()


# Header facts


def test_header_facts(tmp_path):
    path = write_dicom(
        tmp_path / "x.dcm",
        RAMP,
        bits=12,
        PatientSex="f",
        PatientAge="006M",
        ViewPosition="pa",
    )
    read = read_radiograph(path)
    assert read.pixels.dtype == np.uint8
    assert (read.patient_id, read.sex, read.age_years, read.view) == (
        "PLANTED-0815",
        "F",
        0.5,
        "PA",
    )
    assert (read.rows, read.columns, read.bits_stored) == (16, 16, 12)
    assert (read.photometric, read.modality) == ("MONOCHROME2", "CR")
    assert read.transfer_syntax == "Explicit VR Little Endian"


def test_missing_and_odd_header_facts(tmp_path):
    path = write_dicom(
        tmp_path / "x.dcm", RAMP, bits=12, PatientID=None, PatientSex="O", ViewPosition="JANE DOE"
    )
    read = read_radiograph(path)
    assert (read.patient_id, read.sex, read.view) == ("", "", "")
    assert math.isnan(read.age_years)


# Rejected files


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "not a monochrome image"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not a monochrome image"),
        ({"SamplesPerPixel": 3, "PlanarConfiguration": 0}, "colour image"),
        ({"NumberOfFrames": 2}, "not a single-frame image"),
        ({"PixelData": None}, "no pixel data"),
        ({"Rows": 17}, "truncated: 512 of 544 bytes"),
        ({"Rows": None}, "Rows is missing"),
        ({"BitsAllocated": 32}, "12 bits stored in 32"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "rescale slope is 0"),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, "all pixels are padding"),
        ({"WindowCenter": 60000, "WindowWidth": 10}, "without contrast"),
    ],
)
def test_unusable_image_is_rejected_without_patient_data(tmp_path, fields, reason):
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, **fields)
    with pytest.raises(ImageError, match=reason) as caught:
        read_radiograph(path)
    assert "Planted" not in str(caught.value)
    assert "0815" not in str(caught.value)


def test_name_in_a_coded_field_is_not_quoted(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", RAMP, PhotometricInterpretation="JANE DOE")
    with pytest.raises(ImageError, match="missing or unknown") as caught:
        read_radiograph(path)
    assert "JANE" not in str(caught.value)


def test_what_is_no_dicom_file_is_rejected(tmp_path):
    path = tmp_path / "x.dcm"
    for content in (b"", b"\x89PNG" + bytes(500)):
        path.write_bytes(content)
        with pytest.raises(ImageError, match="not a DICOM file"):
            read_radiograph(path)
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        read_radiograph(tmp_path / "missing.dcm")


def test_absurd_size_is_refused_before_decoding(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "x.dcm", RAMP, Rows=65535, Columns=65535)
    monkeypatch.setattr("sscdl.dicom.pixel_array", lambda dataset: pytest.fail("was decoded"))
    with pytest.raises(ImageError, match="more than the limit of 100000000"):
        read_radiograph(path)
    small = write_dicom(tmp_path / "y.dcm", RAMP)
    with pytest.raises(ImageError, match="16 x 16 pixels are more than the limit of 255"):
        read_radiograph(small, max_pixels=255)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_compressed_pixels_and_their_damage(tmp_path, syntax):
    rng = np.random.default_rng(1)
    stored = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    path = write_dicom(tmp_path / "x.dcm", stored)
    plain = read_radiograph(path).pixels
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)
    assert np.array_equal(read_radiograph(path).pixels, plain)

    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match="cut off"):
        read_radiograph(path)

    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(path)
    with pytest.raises(ImageError, match="truncated"):
        read_radiograph(path)

    dataset.PixelData = encapsulate([frame])
    dataset.Rows = 63
    dataset.save_as(path)
    with pytest.raises(ImageError, match="not of the size"):
        read_radiograph(path)


def test_nothing_is_said_about_odd_headers(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, PixelData=RAMP.tobytes() + bytes(100))
    with pytest.warns(UserWarning, match="excess padding"):
        assert pydicom.dcmread(path).pixel_array.shape == RAMP.shape
    assert "pydicom" in {record.name for record in caplog.records}
    caplog.clear()
    content = path.read_bytes().replace(b"1.2.3\x00", b"bad-id")
    assert b"bad-id" in content
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_radiograph(path)
    assert not [record for record in caplog.records if record.name.startswith("pydicom")]
    assert PATIENT_NAME.split("^")[0] not in caplog.text


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
