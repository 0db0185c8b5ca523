"""PNG, JPEG and TIFF of every kind, by value; what is damaged, oversized or odd, by reason."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from dicom_files import write_dicom
from PIL import Image, PngImagePlugin

from sscdl import picture
from sscdl.picture import read_image, read_picture
from sscdl.radiograph import ImageError, Rendering

PLAIN = Rendering()
DEEP = Rendering(bits=16)
EXACT = Rendering(percentiles=(0.0, 100.0), bits=16)


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(7).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def save(path, array, mode=None, **options):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, array, colour, *, size=None, further=b""):
    """Write 16-bit PNG files, most kinds of which Pillow cannot."""
    rows, columns = size or array.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in array)
    header = struct.pack(">IIBBBBB", columns, rows, 16, colour, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + further
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
    return path


def write_tiff(path, array, photometric, orientation=1):
    """Write an uncompressed little-endian TIFF of unsigned or signed 16-bit samples."""
    rows, columns = array.shape[:2]
    samples = array.shape[2] if array.ndim == 3 else 1
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    tags = [
        (256, 3, 1, columns), (257, 3, 1, rows), (258, 3, samples, 16), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, 0), (274, 3, 1, orientation),
        (277, 3, 1, samples), (278, 3, 1, rows), (279, 4, 1, len(data)),
        (339, 3, 1, 2 if array.dtype.kind == "i" else 1),
    ]  # fmt: skip
    if samples > 1:
        tags.pop()
    end = 8 + 2 + 12 * len(tags) + 4
    places = {273: end + 2 * samples, 258: end if samples > 1 else 16}
    entries = [
        struct.pack("<HHII", tag, kind, count, places.get(tag, value))
        for tag, kind, count, value in tags
    ]
    path.write_bytes(
        b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + bytes(4)
        + struct.pack("<H", 16) * samples + data
    )  # fmt: skip
    return path


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


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_several_pictures_in_one_file(tmp_path, suffix):
    frames = [Image.fromarray(np.roll(noise(9, 13), shift)) for shift in range(3)]
    path = save(tmp_path / f"a{suffix}", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="not a single-frame image"):
        read_picture(path, PLAIN)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("values", [noise(64, 64), noise(64, 64, 3)])
def test_truncated_files(tmp_path, suffix, values):
    whole = save(tmp_path / f"a{suffix}", values).read_bytes()
    path = tmp_path / f"b{suffix}"
    for share in (0.2, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError, match="truncated, damaged or unsupported"):
            read_picture(path, PLAIN)


def test_one_changed_bit_in_a_png(tmp_path):
    # Stored without compression, where only the checksum tells.
    content = bytearray(save(tmp_path / "a.png", noise(64, 64), compress_level=0).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match="truncated, damaged or unsupported"):
        read_picture(tmp_path / "a.png", PLAIN)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_any_damage_gives_a_reason_or_a_picture(tmp_path, suffix):
    whole = save(tmp_path / f"a{suffix}", noise(24, 24)).read_bytes()
    path = tmp_path / f"b{suffix}"
    generator = np.random.default_rng(3)
    for _ in range(300):
        content = bytearray(whole)
        for place in generator.integers(0, len(content), 4):
            content[place] = generator.integers(0, 256)
        path.write_bytes(content)
        try:
            found = read_image(path, Rendering(max_pixels=100_000))
        except ImageError as error:
            reason = str(error)
        else:
            reason = ""
            assert found.pixels.size <= 100_000
        assert len(reason) < 120
        assert str(tmp_path) not in reason


def test_size_is_checked_before_anything_is_decoded(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("decoded")

    huge = write_png(tmp_path / "a.png", noise(2, 2, dtype=np.uint16), 0, size=(50_000, 50_000))
    monkeypatch.setattr(picture, "_channels", refuse)
    reason = "50000 x 50000 pixels are more than the limit of 100000000"
    for path in (huge, save(tmp_path / "b.png", noise(100, 101))):
        limit = Rendering(max_pixels=10_000) if path != huge else PLAIN
        with pytest.raises(ImageError, match="more than the limit") as caught:
            read_picture(path, limit)
        assert path != huge or str(caught.value) == reason
    with pytest.raises(AssertionError, match="decoded"):
        read_picture(tmp_path / "b.png", Rendering(max_pixels=10_100))


def test_the_limit_of_the_library_does_not_matter(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    values = noise(9, 13)
    for name in ("a.png", "a.jpg", "a.tif"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_picture(save(tmp_path / name, values), PLAIN).pixels.shape == (9, 13)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 0), (np.uint8, 200), (np.uint16, 900)])
def test_picture_that_shows_nothing(tmp_path, dtype, value):
    path = save(tmp_path / "a.png", np.full((9, 13), value, dtype))
    with pytest.raises(ImageError, match="^picture without contrast: all pixels have one gray"):
        read_picture(path, PLAIN)


@pytest.mark.parametrize("mode", ["1", "CMYK", "F", "I"])
def test_pixels_of_another_kind(tmp_path, mode):
    path = save(tmp_path / "a.tif", noise(9, 13), mode=mode)
    with pytest.raises(ImageError, match="is not gray, colour|32 bits a sample are not"):
        read_picture(path, PLAIN)


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
    monkeypatch.setattr("sscdl.dicom.read_radiograph", lambda *given: asked.append(given))
    dicom = write_dicom(tmp_path / "picture.png", noise(9, 13))
    # A file may be TIFF and DICOM at once.
    both = tmp_path / "both.tif"
    both.write_bytes(b"II*\0" + dicom.read_bytes()[4:])
    odd = tmp_path / "1.2.840.10008"
    odd.write_bytes(b"without a preamble")
    for path in (dicom, both, odd):
        read_image(path, DEEP)
    assert asked == [(dicom, DEEP), (both, DEEP), (odd, DEEP)]


def test_texts_of_a_picture_go_nowhere(tmp_path, capfd):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("PatientName", "Planted^Jane")
    texts.add_text("PatientID", "PLANTED-0815", zip=True)
    exif = Image.Exif()
    exif[270] = "Planted^Jane"
    found = read_picture(save(tmp_path / "a.png", noise(9, 13), pnginfo=texts, exif=exif), PLAIN)
    assert "lanted" not in repr(found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = save(tmp_path / "a.tif", noise(9, 13), tiffinfo={270: "Planted^Jane"})
        content.write_bytes(content.read_bytes()[:-60])
        with pytest.raises(ImageError) as caught:
            read_picture(content, PLAIN)
    assert "lanted" not in str(caught.value) + "".join(capfd.readouterr())


def test_large_chunk_of_text(tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("x", "y" * 50_000_000, zip=True)
    path = save(tmp_path / "a.png", noise(9, 13), pnginfo=texts)
    with pytest.raises(ImageError, match="truncated, damaged or unsupported"):
        read_picture(path, PLAIN)


def test_pictures_are_read_without_the_dicom_reader(tmp_path):
    save(tmp_path / "a.png", noise(9, 13))
    code = (
        "import sys; from sscdl.picture import read_image; from sscdl.radiograph import Rendering; "
        f"read_image({os.fspath(tmp_path / 'a.png')!r}, Rendering()); "
        "print(sorted({'pydicom', 'torch', 'pandas', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are not listed here")
def test_no_file_stays_open(tmp_path):
    path = save(tmp_path / "a.png", noise(9, 13))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        read_picture(path, PLAIN)
    assert len(os.listdir("/proc/self/fd")) == before
