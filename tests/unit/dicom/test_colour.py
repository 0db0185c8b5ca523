"""Radiographs stored in colour, with palettes, and with pixels that are not square."""

from __future__ import annotations

import cv2
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from sscdl.dicom.radiograph import ImageError, Rendering
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import RAMP, write_dicom

WEIGHTS = np.array([0.299, 0.587, 0.114])


@pytest.fixture
def read(tmp_path):
    def read_with(stored, rendering=Rendering(), **fields):  # noqa: B008 - it is immutable
        return read_radiograph(write_dicom(tmp_path / "x.dcm", stored, **fields), rendering)

    return read_with


@pytest.fixture
def colours():
    return np.random.default_rng(7).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def close(shown, expected, limit=0.505):
    """Whether gray values are within rounding of ``expected``, which is not rounded."""
    return np.abs(shown - expected).max() <= limit


def test_luminance(read, colours):
    radiograph = read(colours)
    assert radiograph.coloured
    assert radiograph.photometric == "RGB"
    assert close(radiograph.pixels, colours @ WEIGHTS)
    deep = read(colours, Rendering(bits=16)).pixels
    assert close(deep, 257 * (colours @ WEIGHTS), limit=1.5)


def test_windows_and_polarity_do_not_apply_to_colour(read, colours):
    fields = {"WindowCenter": 20, "WindowWidth": 10, "RescaleSlope": 2, "RescaleIntercept": 5}
    assert np.array_equal(read(colours, **fields).pixels, read(colours).pixels)


def test_percentiles_can_be_asked_for(read, colours):
    shown = read(colours, Rendering(window="percentiles", percentiles=(5, 95))).pixels
    levels = colours @ WEIGHTS
    low, high = np.percentile(levels, (5, 95))
    assert close(shown, 255 * np.clip((levels - low) / (high - low), 0, 1), limit=0.6)


def test_colours_plane_by_plane(read, colours):
    planes = np.moveaxis(colours, 2, 0).tobytes()
    shown = read(colours, PlanarConfiguration=1, PixelData=planes)
    assert np.array_equal(shown.pixels, read(colours).pixels)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_colours(read, colours, syntax):
    assert np.array_equal(read(colours, syntax=syntax).pixels, read(colours).pixels)


@pytest.mark.parametrize(("bits", "kind"), [(16, "u2"), (12, "u2"), (10, "u2"), (32, "u4")])
def test_deep_colours(read, bits, kind):
    colours = np.random.default_rng(8).integers(0, 2**bits, (20, 30, 3), dtype=kind)
    radiograph = read(colours, bits=bits)
    assert close(radiograph.pixels, colours @ WEIGHTS * 255 / (2**bits - 1), limit=0.52)
    gray = np.repeat(colours[..., :1], 3, axis=2)
    radiograph = read(gray, bits=bits)
    assert not radiograph.coloured
    assert close(radiograph.pixels, gray[..., 0] * (255 / (2**bits - 1)), limit=0.52)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_gray_stored_as_colour_is_not_coloured(read, photometric):
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    other = gray if photometric == "RGB" else np.full_like(gray, 128)
    stored = np.stack([gray, other, other], axis=2)
    radiograph = read(stored, PhotometricInterpretation=photometric)
    assert not radiograph.coloured
    assert np.array_equal(radiograph.pixels, gray)
    stored[3, 4, 2] += 9
    assert read(stored, PhotometricInterpretation=photometric).coloured


def test_full_range_ybr(read, colours):
    luma, blue, red = (colours[..., channel].astype(float) for channel in range(3))
    channels = (
        luma + 1.402 * (red - 128),
        luma - 0.344136 * (blue - 128) - 0.714136 * (red - 128),
        luma + 1.772 * (blue - 128),
    )
    expected = np.clip(np.stack(channels, axis=2), 0, 255) @ WEIGHTS
    shown = read(colours, PhotometricInterpretation="YBR_FULL")
    assert close(shown.pixels, expected, limit=1.5)


def test_ybr_with_half_of_the_chroma(read):
    # Two pixels share a blue and a red difference: Y Y B R (PS3.3 C.7.6.3.1.2).
    stored = np.array([[[10, 200, 128], [128, 50, 90]]], dtype=np.uint8)
    data = bytes([10, 200, 128, 128])
    shown = read(stored, PhotometricInterpretation="YBR_FULL_422", PixelData=data)
    assert shown.pixels.tolist() == [[10, 200]]
    assert not shown.coloured


# Palettes


def palette(tables, bits, first=0):
    fields = {}
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        fields[f"{name}PaletteColorLookupTableDescriptor"] = [len(table) % 65536, first, bits]
        words = table.astype("<u2" if bits == 16 else "u1").tobytes()
        fields[f"{name}PaletteColorLookupTableData"] = words + b"\0" * (len(words) % 2)
    return {"PhotometricInterpretation": "PALETTE COLOR", **fields}


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(read, bits):
    rng = np.random.default_rng(9)
    tables = rng.integers(0, 2**bits, (3, 200))
    stored = rng.integers(0, 256, (30, 40), dtype=np.uint8)
    radiograph = read(stored, **palette(tables, bits, first=20))
    places = np.clip(stored.astype(int) - 20, 0, 199)
    expected = np.moveaxis(tables, 0, 1)[places] @ WEIGHTS * 255 / (2**bits - 1)
    assert close(radiograph.pixels, expected)
    assert radiograph.coloured


def test_palette_of_grays_that_are_used_is_not_coloured(read):
    tables = np.tile(np.arange(256), (3, 1))
    tables[0, 255] = 0
    stored = np.arange(255, dtype=np.uint8).reshape(15, 17)
    radiograph = read(stored, **palette(tables, 8))
    assert not radiograph.coloured
    assert np.array_equal(radiograph.pixels, stored)


def test_palette_of_8_bits_in_a_table_of_16(read):
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    radiograph = read(stored, **palette(np.tile(np.arange(256), (3, 1)), 16))
    assert np.array_equal(radiograph.pixels, stored)


@pytest.mark.parametrize("bits", [8, 16])
def test_segmented_palette(read, bits):
    # Three entries one by one, a line of 5 up to 100, the first of these again, a line of 248.
    offset = [0] * (32 // bits)
    segments = [0, 3, 7, 5, 0, 1, 5, 100, 2, 1, *offset, 1, 245, 245]
    table = [7, 5, 0, 20, 40, 60, 80, 100, 7, 5, 0, *range(1, 246)]
    fields = palette(np.tile(table, (3, 1)), bits)
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    plain = read(stored, **fields).pixels
    data = np.array(segments, dtype="<u2" if bits == 16 else "u1").tobytes()
    for name in ("Red", "Green", "Blue"):
        del fields[f"{name}PaletteColorLookupTableData"]
        fields[f"Segmented{name}PaletteColorLookupTableData"] = data + b"\0" * (len(data) % 2)
    assert np.array_equal(read(stored, **fields).pixels, plain)


@pytest.mark.parametrize("name", ["gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"])
def test_shipped_segmented_palette(name):
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} is not here: install pydicom-data")
    dataset = pydicom.dcmread(path)
    colours = apply_color_lut(dataset.pixel_array, dataset)
    assert close(read_radiograph(path).pixels, colours @ WEIGHTS * 255 / 65535)


def test_broken_palettes(read):
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    fields = palette(np.tile(np.arange(256), (3, 1)), 8)
    with pytest.raises(ImageError, match="palette is missing"):
        read(stored, **{**fields, "GreenPaletteColorLookupTableData": b""})
    with pytest.raises(ImageError, match="descriptor that does not fit"):
        read(stored, **{**fields, "BluePaletteColorLookupTableData": bytes(100)})
    with pytest.raises(ImageError, match="BluePaletteColorLookupTableDescriptor is missing"):
        read(stored, **{**fields, "BluePaletteColorLookupTableDescriptor": []})


# Aspect


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing",
                                     "NominalScannedPixelSpacing", "PixelAspectRatio"])  # fmt: skip
def test_pixels_become_square(read, keyword):
    fields = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = read(RAMP, **fields).pixels
    tall = read(RAMP, **{keyword: [2, 1]}, **fields)
    assert tall.pixels.shape == (32, 16)
    assert (tall.rows, tall.columns) == (16, 16)
    assert np.array_equal(tall.pixels, cv2.resize(plain, (16, 32)))
    wide = read(RAMP, **{keyword: [2, 3]}, **fields).pixels
    assert np.array_equal(wide, cv2.resize(plain, (24, 16)))
    for nearly in ([100, 101], [101, 100]):
        assert np.array_equal(read(RAMP, **{keyword: nearly}, **fields).pixels, plain)


def test_which_spacing_counts(read):
    fields = {"PixelAspectRatio": [1, 1], "ImagerPixelSpacing": [0.2, 0.1]}
    assert read(RAMP, bits=12, PixelSpacing=[0.1, 0.1], **fields).pixels.shape == (16, 16)
    assert read(RAMP, bits=12, PixelSpacing=[0, 0], **fields).pixels.shape == (32, 16)
    assert read(RAMP, bits=12, PixelSpacing=[0.1], **fields).pixels.shape == (32, 16)


def test_spacing_of_an_enhanced_image(read):
    measures, group = Dataset(), Dataset()
    measures.PixelSpacing = [0.3, 0.1]
    group.PixelMeasuresSequence = [measures]
    shown = read(RAMP, bits=12, SharedFunctionalGroupsSequence=[group])
    assert shown.pixels.shape == (48, 16)


def test_absurd_spacing_is_refused(read):
    with pytest.raises(ImageError, match="16 x 160000000 pixels, once they are square, are more"):
        read(RAMP, bits=12, PixelSpacing=["1e-7", "1"])


def test_padding_stays_black_when_stretched(read):
    stored = np.pad(RAMP, 4, constant_values=4095)
    shown = read(stored, bits=12, PixelPaddingValue=4095, PixelSpacing=[2, 1]).pixels
    assert not shown[:7].any()
    assert shown.shape == (48, 24)
