"""The same pictures as DCMTK, which shares no code with the reader."""

from __future__ import annotations

import subprocess

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, JPEGLSLossless, RLELossless

from benchmarks.parity import compare, has_dcmtk, sample_files
from sscdl.dicom.radiograph import Rendering
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import RAMP, lookup_table, write_dicom

pytestmark = pytest.mark.skipif(not has_dcmtk(), reason="DCMTK is not installed")

# DCMTK cuts off fractions of a gray value, the reader rounds: they may differ by one.
LIMIT = 1
LIMITS = {
    # DCMTK swaps the two words of a 32-bit value in big endian files; the file is the same as
    # rtdose_1frame.dcm, which is another test.
    "rtdose_expb_1frame.dcm": 255,
}
FRAMES = "not a single-frame image"
NO_PIXELS = "no pixel data"
REJECTED = {
    "SC_rgb_16bit_2frame.dcm": FRAMES,
    "SC_rgb_2frame.dcm": FRAMES,
    "SC_rgb_32bit_2frame.dcm": FRAMES,
    "SC_rgb_expb_16bit_2frame.dcm": FRAMES,
    "SC_rgb_expb_2frame.dcm": FRAMES,
    "SC_rgb_expb_32bit_2frame.dcm": FRAMES,
    "SC_rgb_rle_16bit_2frame.dcm": FRAMES,
    "SC_rgb_rle_2frame.dcm": FRAMES,
    "SC_rgb_rle_32bit_2frame.dcm": FRAMES,
    "OBXXXX1A_2frame.dcm": FRAMES,
    "OBXXXX1A_expb_2frame.dcm": FRAMES,
    "OBXXXX1A_rle_2frame.dcm": FRAMES,
    "color3d_jpeg_baseline.dcm": FRAMES,
    "eCT_Supplemental.dcm": FRAMES,
    "emri_small.dcm": FRAMES,
    "emri_small_RLE.dcm": FRAMES,
    "emri_small_big_endian.dcm": FRAMES,
    "emri_small_jpeg_2k_lossless.dcm": FRAMES,
    "emri_small_jpeg_2k_lossless_too_short.dcm": FRAMES,
    "emri_small_jpeg_ls_lossless.dcm": FRAMES,
    "examples_ybr_color.dcm": FRAMES,
    "liver.dcm": FRAMES,
    "liver_expb.dcm": FRAMES,
    "rtdose.dcm": FRAMES,
    "rtdose_expb.dcm": FRAMES,
    "rtdose_rle.dcm": FRAMES,
    "chrJapMulti.dcm": NO_PIXELS,
    "chrJapMultiExplicitIR6.dcm": NO_PIXELS,
    "chrKoreanMulti.dcm": NO_PIXELS,
    # Header and pixel data without the fields that describe an image.
    "meta_missing_tsyntax.dcm": "photometric interpretation is missing",
    "nested_priv_SQ.dcm": "photometric interpretation is missing",
    # Damaged on purpose: cut off, a size of 65,501 x ..., and 1A frames.
    "MR_truncated.dcm": "truncated: 8130 of 8192 bytes",
    "JPEG2000-embedded-sequence-delimiter.dcm": "not of the size that the header states",
    "badVR.dcm": "not a single-frame image: pixel data have 6000 bytes, and one frame 400",
    # A corner of a slice, with nothing but air in it.
    "dicomdirtests/77654033/CT2/17166": "without contrast",
    "dicomdirtests/77654033/CT2/17196": "without contrast",
}
# Files that the reader shows and DCMTK 3.6.7 does not; other tests compare them with twins or with
# pydicom.
UNKNOWN_TO_DCMTK = {
    "SC_rgb_32bit.dcm",
    "SC_rgb_expb_32bit.dcm",
    "SC_rgb_jpeg.dcm",
    "gdcm-US-ALOKA-16.dcm",
    "gdcm-US-ALOKA-16_big.dcm",
}


@pytest.fixture(scope="module")
def shipped():
    return sample_files()


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_files_that_pydicom_ships(shipped):
    results = list(compare(shipped))
    assert len(results) >= 100
    for result in results:
        reason = REJECTED.get(result.name)
        assert (reason in result.rejected) if reason else not result.rejected, result
    unknown = {result.name for result in results if result.unknown_to_dcmtk}
    assert unknown <= UNKNOWN_TO_DCMTK
    both = [result for result in results if result.largest is not None]
    assert len(both) >= 90
    assert not [each for each in both if each.largest > LIMITS.get(each.name, LIMIT)]


def test_the_chest_radiograph_from_a_scanner_to_16_bits(shipped):
    names = ("RG1_UNCR.dcm", "RG1_UNCI.dcm", "RG1_J2KR.dcm", "RG1_J2KI.dcm")
    files = {name: shipped[name] for name in names if name in shipped}
    if not files:
        pytest.skip("pydicom-data is not installed")
    results = list(compare(files, bits=16))
    assert [result.largest for result in results] == [pytest.approx(0, abs=LIMIT)] * 4


def test_every_real_radiograph(shared_data):
    root = shared_data / "nih-siim"
    paths = sorted(root.rglob("*.dcm"))
    assert len(paths) > 100
    results = list(compare({path.relative_to(root).as_posix(): path for path in paths}))
    assert not [each for each in results if each.largest is None or each.largest > LIMIT]


def test_real_radiographs_to_16_bits(shared_data):
    root = shared_data / "nih-siim"
    paths = sorted(root.rglob("*.dcm"))[::10]
    results = list(compare({path.name: path for path in paths}, bits=16))
    assert not [each for each in results if each.largest is None or each.largest > LIMIT]


# Header fields that the shipped files do not have. DCMTK's options say what it is to apply.

WINDOW = {"WindowCenter": 1500, "WindowWidth": 2000}
FIRST = ["+Wi", "1"]
CASES = {
    "linear": ({**WINDOW}, FIRST),
    "second window": ({"WindowCenter": [9, 700], "WindowWidth": [900, 300]}, ["+Wi", "2"]),
    "sigmoid": ({**WINDOW, "VOILUTFunction": "SIGMOID"}, [*FIRST, "+Wfs"]),
    "width 1": ({"WindowCenter": 1500, "WindowWidth": 1}, FIRST),
    "monochrome 1": ({**WINDOW, "PhotometricInterpretation": "MONOCHROME1"}, FIRST),
    "inverse": ({**WINDOW, "PresentationLUTShape": "INVERSE"}, FIRST),
    "inverse monochrome 1": (
        {**WINDOW, "PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"},
        FIRST,
    ),
    "rescale": ({**WINDOW, "RescaleSlope": 2, "RescaleIntercept": -1000}, FIRST),
    "negative slope": ({**WINDOW, "RescaleSlope": -1, "RescaleIntercept": 4095}, FIRST),
    "voi lut": (
        {"VOILUTSequence": lookup_table(range(0, 4096, 2), first=1000, bits=12)},
        ["+Wl", "1"],
    ),
    "voi lut, bent": (
        {"VOILUTSequence": lookup_table(np.arange(4096)[::-1] ** 2 // 4096, first=0, bits=12)},
        ["+Wl", "1"],
    ),
    "voi lut and window": (
        {**WINDOW, "VOILUTSequence": lookup_table(range(4095, -1, -1), first=0, bits=12)},
        ["+Wl", "1"],
    ),
    "modality lut": (
        {**WINDOW, "ModalityLUTSequence": lookup_table(np.arange(4096)[::-1], first=0, bits=12)},
        FIRST,
    ),
    "high bit 15": ({**WINDOW, "HighBit": 15}, FIRST),
    "high bit 13": ({**WINDOW, "HighBit": 13}, FIRST),
    "big endian": ({**WINDOW, "syntax": ExplicitVRBigEndian}, FIRST),
    "rle": ({**WINDOW, "syntax": RLELossless}, FIRST),
    "jpeg-ls": ({**WINDOW, "syntax": JPEGLSLossless}, FIRST),
    "padding": ({**WINDOW, "PixelPaddingValue": 0}, FIRST),
    "long padding": ({**WINDOW, "PixelPaddingValue": 0, "PixelPaddingRangeLimit": 30}, FIRST),
}
# Where the picture is to differ from DCMTK's.
MASKED = {"padding": 0, "long padding": 30}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_fields_of_the_grayscale_pipeline(tmp_path, name, signed):
    fields, options = CASES[name]
    fields = dict(fields)
    y, x = np.mgrid[0:64, 0:64]
    values = (64 * y + x).astype(np.uint16)
    stored = values << (fields.get("HighBit", 11) - 11)
    if signed:
        # The lower half of the values, as 0 and above are the same in both representations.
        stored = (stored >> 1).view(np.int16)
        stored[0] = -np.arange(64) if "HighBit" not in fields else 0
    path = write_dicom(tmp_path / "x.dcm", stored, bits=12, **fields)
    assert_same(path, options, np.isin(stored, range(MASKED[name] + 1)) if name in MASKED else None)


@pytest.mark.parametrize("kind", ["u1", "i1", "u4", "i4"])
def test_words_of_other_sizes(tmp_path, kind):
    size = np.dtype(kind).itemsize
    rng = np.random.default_rng(11)
    values = rng.integers(0, 2 ** min(8 * size, 28), (50, 60))
    values -= values.max() // 2 if kind[0] == "i" else 0
    fields = {"WindowCenter": values.mean(), "WindowWidth": float(np.ptp(values))}
    fields = {key: f"{value:.6g}" for key, value in fields.items()}
    bits = 8 if size == 1 else 30
    path = write_dicom(tmp_path / "x.dcm", values.astype(kind), bits=bits, **fields)
    assert_same(path, FIRST)


def test_overlay_in_unused_bits(tmp_path):
    overlay = np.where(np.eye(16, dtype=bool), 0x8000, 0).astype(np.uint16)
    path = write_dicom(tmp_path / "x.dcm", RAMP | overlay, bits=12, **WINDOW)
    dataset = pydicom.dcmread(path)
    for element, vr, value in (
        (0x0010, "US", 16),
        (0x0011, "US", 16),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [1, 1]),
        (0x0100, "US", 16),
        (0x0102, "US", 15),
    ):
        dataset.add_new((0x6000, element), vr, value)
    dataset.save_as(path)
    assert_same(path, [*FIRST, "-O"])


def assert_same(path, options, masked=None):
    ours = read_radiograph(path, Rendering(window="narrowest" if "2" in options else "first"))
    target = path.with_suffix(".pgm")
    tool = "dcml2pnm" if ours.transfer_syntax == JPEGLSLossless.name else "dcm2pnm"
    subprocess.run([tool, "-ll", "error", "+op", *options, path, target], check=True, timeout=60)
    theirs = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert theirs.shape == ours.pixels.shape
    difference = cv2.absdiff(theirs, ours.pixels)
    if masked is not None:
        # Padding is black here, and a value like others to DCMTK.
        assert not ours.pixels[masked].any()
        difference[masked] = 0
    assert difference.max() <= LIMIT
    assert np.ptp(theirs) > 50
