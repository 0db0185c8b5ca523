"""Stored values: bits, signs, padding, polarity, and the range of files without a window."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian

from sscdl.dicom.radiograph import Rendering
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import RAMP, lookup_table, rounded, write_dicom


@pytest.fixture
def show(tmp_path):
    """Write stored values as DICOM with the given fields and return the rendered pixels."""

    def shown(stored, rendering=Rendering(), **fields):  # noqa: B008 - it is immutable
        return read_radiograph(write_dicom(tmp_path / "x.dcm", stored, **fields), rendering).pixels

    return shown


def test_signed_pixels(show):
    stored = np.array([[-1000, -500, 0, 500, 1000]], dtype=np.int16)
    fields = {"WindowCenter": 0, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"}
    assert np.array_equal(show(stored, **fields), rounded([[0, 0.25, 0.5, 0.75, 1]]))
    assert np.array_equal(show(stored, bits=12, **fields), rounded([[0, 0.25, 0.5, 0.75, 1]]))


def test_bits_above_the_stored_ones_are_ignored(show):
    fields = {"WindowCenter": 2048, "WindowWidth": 4096}
    overlay = RAMP | np.where(np.eye(16, dtype=bool), 0xF000, 0).astype(np.uint16)
    assert np.array_equal(show(overlay, bits=12, **fields), show(RAMP, bits=12, **fields))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [10, 12])
def test_stored_bits_need_not_be_the_lowest(show, bits, signed):
    values = np.arange(-512, 512, 4).reshape(16, 16) + (0 if signed else 512)
    fields = {"WindowCenter": values.mean(), "WindowWidth": 900}
    plain = show(values.astype(np.int16 if signed else np.uint16), bits=bits, **fields)
    for high in range(bits, 16):
        # Other bits on either side of the stored ones, as overlays were kept in old files.
        words = (values.astype(np.uint16) & (2**bits - 1)) << (high + 1 - bits)
        words |= np.uint16((1 << (high + 1 - bits)) - 1)
        words[::2] |= np.uint16(0xFFFF << (high + 1) & 0xFFFF)
        words = words.view(np.int16) if signed else words
        assert np.array_equal(show(words, bits=bits, HighBit=high, **fields), plain)


@pytest.mark.parametrize("kind", ["i4", "u4"])
def test_32_bits(show, kind):
    rng = np.random.default_rng(3)
    stored = rng.integers(0, 2**31, (30, 40)).astype(kind)
    if kind == "i4":
        stored -= 2**30
    low, high = np.percentile(stored, (0.5, 99.5))
    expected = rounded(np.clip((stored - low) / (high - low), 0, 1))
    assert np.array_equal(show(stored), expected)
    fields = {"WindowCenter": 1e9, "WindowWidth": 1.5e9, "VOILUTFunction": "LINEAR_EXACT"}
    expected = rounded(np.clip((stored - 1e9) / 1.5e9 + 0.5, 0, 1))
    assert np.array_equal(show(stored, **fields), expected)
    padding = -5 if kind == "i4" else 5
    stored[0, :7] = padding
    shown = show(stored, PixelPaddingValue=padding)
    assert not shown[0, :7].any()
    assert shown[1:].max() == 255


def test_few_bits_in_words_of_32(show):
    stored = RAMP.astype(np.uint32) | np.uint32(0xABC0_0000)
    fields = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    assert np.array_equal(show(stored, **fields), show(RAMP, **fields))


def test_one_bit(show):
    picture = np.random.default_rng(2).integers(0, 2, (10, 13), dtype=np.uint8)
    packed = np.packbits(picture.ravel(), bitorder="little").tobytes()
    fields = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": packed + b"\0"}
    assert np.array_equal(show(picture, **fields), 255 * picture)


def test_big_endian_8_bits_in_words(show):
    stored = np.arange(30, dtype=np.uint8).reshape(5, 6)
    swapped = stored.reshape(-1, 2)[:, ::-1].tobytes()
    dataset_fields = {"syntax": ExplicitVRBigEndian, "WindowCenter": 15, "WindowWidth": 30}
    plain = show(stored, **dataset_fields)
    assert np.array_equal(show(stored, **dataset_fields, PixelData=swapped, vr="OW"), plain)


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


def test_percentiles_come_after_a_modality_lut_that_folds_the_values(show):
    rng = np.random.default_rng(4)
    stored = rng.integers(0, 64, (50, 50)).astype(np.uint8)
    entries = rng.permutation(1000)[:64]
    values = entries[stored].astype(float)
    low, high = np.percentile(values, (0.5, 99.5))
    shown = show(stored, ModalityLUTSequence=lookup_table(entries.tolist(), first=0, bits=10))
    assert np.array_equal(shown, rounded(np.clip((values - low) / (high - low), 0, 1)))


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


def test_padding_value_that_no_pixel_can_have_is_no_padding(show):
    fields = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = show(RAMP, **fields)
    assert np.array_equal(show(RAMP, PixelPaddingValue=65535, **fields), plain)


@pytest.mark.parametrize("groups", ["Shared", "PerFrame"])
def test_window_and_rescaling_of_an_enhanced_image(show, groups):
    transformation, window, group = Dataset(), Dataset(), Dataset()
    transformation.RescaleSlope, transformation.RescaleIntercept = 2, -1000
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = 500, 3000, "LINEAR_EXACT"
    group.PixelValueTransformationSequence = [transformation]
    group.FrameVOILUTSequence = [window]
    shown = show(RAMP, bits=12, **{f"{groups}FunctionalGroupsSequence": [group]})
    assert np.array_equal(shown, rounded(np.clip((2.0 * RAMP - 1500) / 3000 + 0.5, 0, 1)))
