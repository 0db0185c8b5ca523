"""PNG, JPEG and TIFF of every kind: the gray values that come of them, and who reads what."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sscdl.dicom.radiograph import ImageError, Rendering
from sscdl.images.picture import read_image, read_picture
from tests.unit.dicom_files import write_dicom
from tests.unit.picture_files import chunk, noise, save, write_png, write_tiff

PLAIN = Rendering()
DEEP = Rendering(bits=16)
EXACT = Rendering(percentiles=(0.0, 100.0), bits=16)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_of_8_bits_is_taken_as_it_is(tmp_path, suffix):
    values = noise(9, 13)
    found = read_picture(save(tmp_path / f"a{suffix}", values), PLAIN)
    assert np.array_equal(found.pixels, values)
    assert found.pixels.dtype == np.uint8
    assert (found.rows, found.columns, found.bits_stored) == (9, 13, 8)
    assert found.photometric == "MONOCHROME2"
    assert found.transfer_syntax == {".png": "PNG", ".tif": "TIFF"}[suffix]
    assert found.patient_id == found.sex == found.view == found.modality == ""
    assert np.isnan(found.age_years)
    assert not found.coloured


def test_eight_bits_become_sixteen_over_the_whole_range(tmp_path):
    values = noise(9, 13)
    found = read_picture(save(tmp_path / "a.png", values), DEEP).pixels
    assert found.dtype == np.uint16
    assert np.array_equal(found, values.astype(np.uint16) * 257)


def test_jpeg_is_what_its_decoder_gives(tmp_path):
    smooth = np.add.outer(np.arange(32), np.arange(40)).astype(np.uint8) * 3
    path = save(tmp_path / "a.jpg", smooth, quality=95)
    with Image.open(path) as image:
        expected = np.asarray(image)
    found = read_picture(path, PLAIN)
    assert np.array_equal(found.pixels, expected)
    assert found.transfer_syntax == "JPEG"
    assert np.abs(found.pixels.astype(int) - smooth).max() < 6


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("mode", ["LA", "RGB", "RGBA", "P"])
def test_gray_in_colour_channels_is_gray(tmp_path, mode, suffix):
    values = noise(9, 13)
    if mode == "LA":
        image = Image.fromarray(np.dstack([values, noise(9, 13)]), "LA")
    else:
        image = Image.fromarray(values).convert(mode)
    found = read_picture(save(tmp_path / f"a{suffix}", image), PLAIN)
    assert np.array_equal(found.pixels, values)
    assert found.pixels.flags.c_contiguous
    assert not found.coloured


def test_transparency_is_left_out(tmp_path):
    values = noise(9, 13)
    channels = np.dstack([values, values, values, np.zeros_like(values)])
    found = read_picture(save(tmp_path / "a.png", channels), PLAIN)
    assert np.array_equal(found.pixels, values)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_becomes_luminance_and_is_noted(tmp_path, mode):
    values = noise(9, 13, 3)
    image = Image.fromarray(values)
    image = image.quantize(64) if mode == "P" else image.convert(mode)
    found = read_picture(save(tmp_path / "a.png", image), PLAIN)
    shown = np.asarray(image.convert("RGB")).astype(float)
    assert np.abs(found.pixels - shown @ [0.299, 0.587, 0.114]).max() <= 0.5 + 1e-9
    assert found.coloured
    assert found.photometric == ("PALETTE COLOR" if mode == "P" else "RGB")


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_sixteen_bits_go_from_percentile_to_percentile(tmp_path, bits, top):
    values = np.arange(4000, dtype=np.uint16).reshape(50, 80) + 7
    values[0, 0] = 65535
    found = read_picture(
        write_png(tmp_path / "a.png", values, 0), Rendering(percentiles=(1.0, 99.0), bits=bits)
    ).pixels
    low, high = np.percentile(values, [1, 99])
    expected = np.rint(np.clip((values - low) / (high - low), 0, 1) * top)
    assert np.array_equal(found, expected)
    assert found.dtype.itemsize * 8 == bits


def test_sixteen_bits_with_one_value_at_both_percentiles(tmp_path):
    values = np.full((50, 80), 500, np.uint16)
    values[0, :2] = 100, 900
    found = read_picture(write_png(tmp_path / "a.png", values, 0), PLAIN).pixels
    assert found[0, :3].tolist() == [0, 255, 128]


@pytest.mark.parametrize(("colour", "count"), [(2, 3), (4, 2), (6, 4)])
def test_png_with_several_channels_of_16_bits(tmp_path, colour, count):
    # The range of 0 to 5000 would be 20 gray values if only the upper 8 bits were read.
    values = noise(9, 13, dtype=np.uint16) % 5000
    values[0, :2] = 0, 65535
    channels = np.dstack([values] * count)
    if count % 2 == 0:
        channels[..., -1] = noise(9, 13, dtype=np.uint16)
    found = read_picture(write_png(tmp_path / "a.png", channels, colour), EXACT)
    assert np.array_equal(found.pixels, values)
    assert not found.coloured
    assert found.bits_stored == 16


def test_orientation_in_exif_is_ignored(tmp_path):
    values = noise(9, 13)
    exif = Image.Exif()
    exif[274] = 6
    for name in ("a.png", "a.jpg"):
        found = read_picture(save(tmp_path / name, values, exif=exif), PLAIN)
        assert found.pixels.shape == (9, 13)
    deep = np.dstack([noise(9, 13, dtype=np.uint16)] * 3)
    path = write_png(tmp_path / "b.png", deep, 2, further=chunk(b"eXIf", exif.tobytes()[6:]))
    assert read_picture(path, DEEP).pixels.shape == (9, 13)


@pytest.mark.parametrize("channels", [1, 3])
def test_orientation_of_a_tiff_is_followed(tmp_path, channels):
    values = noise(9, 13, dtype=np.uint16)
    values[0, :2] = 0, 65535
    stored = values if channels == 1 else np.dstack([values] * 3)
    path = write_tiff(tmp_path / "a.tif", stored, 1 if channels == 1 else 2, orientation=6)
    found = read_picture(path, EXACT)
    assert np.array_equal(found.pixels, np.rot90(values, -1))
    assert (found.rows, found.columns) == (13, 9)


def test_tiff_of_16_bits_with_white_at_0(tmp_path):
    values = noise(9, 13, dtype=np.uint16)
    values[0, :2] = 0, 65535
    found = read_picture(write_tiff(tmp_path / "a.tif", values, 0), EXACT)
    assert np.array_equal(found.pixels, 65535 - values)
    assert found.photometric == "MONOCHROME1"


def test_tiff_of_8_bits_with_white_at_0(tmp_path):
    values = noise(9, 13)
    path = save(tmp_path / "a.tif", values, tiffinfo={262: 0})
    with Image.open(path) as image:
        assert image.tag_v2[262] == 0
    assert np.array_equal(read_picture(path, PLAIN).pixels, 255 - np.frombuffer(
        path.read_bytes()[-117:], np.uint8).reshape(9, 13))  # fmt: skip


def test_signed_tiff(tmp_path):
    values = noise(9, 13, dtype=np.uint16)
    values[0, :2] = 0, 65535
    signed = (values.astype(np.int32) - 32768).astype(np.int16)
    found = read_picture(write_tiff(tmp_path / "a.tif", signed, 1), EXACT)
    assert np.array_equal(found.pixels, values)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(tmp_path, compression):
    for values in (noise(9, 13), np.arange(0, 65536, 512, dtype=np.uint16).reshape(8, 16)):
        path = save(tmp_path / "a.tif", values, compression=compression)
        found = read_picture(path, Rendering(percentiles=(0.0, 100.0))).pixels
        if values.dtype == np.uint8:
            assert np.array_equal(found, values)
        else:
            assert found.shape == values.shape
            assert (np.diff(found.ravel().astype(int)) >= 0).all()


def test_kind_is_told_by_content(tmp_path):
    values = noise(9, 13)
    path = save(tmp_path / "a.jpg", values, format="PNG")
    assert read_image(path, PLAIN).transfer_syntax == "PNG"
    path = save(tmp_path / "picture", values, format="TIFF")
    assert read_image(path, PLAIN).transfer_syntax == "TIFF"
    (tmp_path / "b.png").write_bytes(b"GIF89a")
    with pytest.raises(ImageError, match="neither a PNG, JPEG or TIFF file nor a DICOM file"):
        read_image(tmp_path / "b.png", PLAIN)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match="neither"):
        read_image(tmp_path / "empty.png", PLAIN)
    with pytest.raises(ImageError, match="not a PNG, JPEG or TIFF file"):
        read_picture(tmp_path / "b.png", PLAIN)
    with pytest.raises(ImageError, match="^cannot be read: No such file or directory$"):
        read_image(tmp_path / "nothing.png", PLAIN)
    with pytest.raises(ImageError, match="^cannot be read: Is a directory$"):
        read_image(tmp_path, PLAIN)


def test_dicom_files_go_to_their_reader(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("sscdl.dicom.render.read_radiograph", lambda *given: asked.append(given))
    dicom = write_dicom(tmp_path / "picture.png", noise(9, 13))
    # A file may be TIFF and DICOM at once.
    both = tmp_path / "both.tif"
    both.write_bytes(b"II*\0" + dicom.read_bytes()[4:])
    odd = tmp_path / "1.2.840.10008"
    odd.write_bytes(b"without a preamble")
    for path in (dicom, both, odd):
        read_image(path, DEEP)
    assert asked == [(dicom, DEEP), (both, DEEP), (odd, DEEP)]


def test_pictures_are_read_without_the_dicom_reader(tmp_path):
    save(tmp_path / "a.png", noise(9, 13))
    code = (
        "import sys; from sscdl.images.picture import read_image; "
        "from sscdl.dicom.radiograph import Rendering; "
        f"read_image({os.fspath(tmp_path / 'a.png')!r}, Rendering()); "
        "print(sorted({'pydicom', 'torch', 'pandas', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
