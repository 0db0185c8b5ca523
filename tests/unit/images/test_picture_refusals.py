"""PNG, JPEG and TIFF files that are damaged, oversized or odd: a reason, and nothing besides."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from sscdl.dicom.radiograph import ImageError, Rendering
from sscdl.images import picture
from sscdl.images.picture import read_image, read_picture
from tests.unit.picture_files import noise, save, write_png

PLAIN = Rendering()


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


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are not listed here")
def test_no_file_stays_open(tmp_path):
    path = save(tmp_path / "a.png", noise(9, 13))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        read_picture(path, PLAIN)
    assert len(os.listdir("/proc/self/fd")) == before
