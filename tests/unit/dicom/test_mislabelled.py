"""Pixel data that are compressed where they should not be, and the other way round."""

from __future__ import annotations

import cv2
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate

from sscdl.dicom.codestream import compressed_as
from sscdl.dicom.radiograph import ImageError
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import write_dicom

# Noise, of which compression makes more bytes than there were pixels.
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
NATIVE = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian]


def coded(suffix: str) -> bytes:
    data = cv2.imencode(suffix, NOISE, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    return data + b"\0" * (len(data) % 2)


def relabelled(path, old: uid.UID, new: uid.UID):
    """Give a file another transfer syntax, and leave its pixel data as they are."""
    content = path.read_bytes()
    before, after = (text.encode() + b"\0" * (len(text) % 2) for text in (old, new))
    start = b"\2\0\x10\0UI"
    assert content.count(start) == 1
    old_element, new_element = (
        start + len(text).to_bytes(2, "little") + text for text in (before, after)
    )
    path.write_bytes(content.replace(old_element, new_element))
    return path


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (coded(".jpg"), "JPEG"),
        (coded(".jp2"), "JPEG 2000"),
        (coded(".jpg") + bytes(9000), "JPEG"),
        (encapsulate([coded(".jpg")]), "encapsulated frames"),
        (encapsulate([coded(".jp2")], has_bot=False), "encapsulated frames"),
    ],
)
def test_compressed_bytes_are_never_shown(tmp_path, syntax, data, kind):
    data = data.ljust(NOISE.size + 2, b"\0")  # enough to be shown
    path = write_dicom(tmp_path / "x.dcm", NOISE, syntax=syntax, PixelData=data)
    with pytest.raises(ImageError, match=rf"compressed \({kind}\), although .* \({syntax.name}\)"):
        read_radiograph(path)


@pytest.mark.parametrize(
    "syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.JPEGBaseline8Bit]
)
def test_a_file_with_the_wrong_transfer_syntax_is_named(tmp_path, syntax):
    frame = coded(".jpg") if syntax == uid.JPEGBaseline8Bit else None
    path = write_dicom(tmp_path / "x.dcm", NOISE, syntax=syntax, frame=frame)
    assert read_radiograph(path).pixels.shape == NOISE.shape
    relabelled(path, syntax, uid.ExplicitVRLittleEndian)
    with pytest.raises(ImageError, match="compressed .encapsulated frames., although"):
        read_radiograph(path)


def test_segments_of_run_lengths_without_an_item_are_named(tmp_path):
    header = np.array([1, 64, *[0] * 14], "<u4").tobytes()
    path = write_dicom(tmp_path / "x.dcm", NOISE, PixelData=header + bytes(NOISE.size))
    with pytest.raises(ImageError, match=r"compressed \(RLE\)"):
        read_radiograph(path)


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [([1, 64], "RLE"), ([2, 64, 80], "RLE"), ([1, 64, 7], ""), ([1, 63], ""), ([2, 64, 64], ""),
     ([2, 80, 64], ""), ([1, 9_000], ""), ([3, 64, 80], "")],
)  # fmt: skip
def test_a_header_of_segments_is_one_only_as_a_whole(numbers, kind):
    header = np.array(numbers + [0] * (16 - len(numbers)), "<u4").tobytes()
    found = compressed_as(header + bytes(4096), rle_segments=min(numbers[0], 2))
    assert found == kind


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGBaseline8Bit])
def test_pixels_that_are_said_to_be_compressed_are_named(tmp_path, syntax):
    path = write_dicom(tmp_path / "x.dcm", NOISE)
    relabelled(path, uid.ExplicitVRLittleEndian, syntax)
    with pytest.raises(ImageError, match="not encapsulated, although the transfer syntax"):
        read_radiograph(path)


@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGBaseline8Bit]
)
@pytest.mark.parametrize("count", [None, "0", "1A"])
def test_several_frames_are_not_one_picture(tmp_path, syntax, count):
    path = write_dicom(tmp_path / "x.dcm", NOISE)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = NOISE.tobytes() * 2
    if syntax == uid.JPEGBaseline8Bit:
        dataset.PixelData = encapsulate([coded(".jpg")] * 2)
    elif syntax == uid.RLELossless:
        dataset.NumberOfFrames = 2
        dataset.compress(syntax)
        del dataset.NumberOfFrames
    dataset.file_meta.TransferSyntaxUID = syntax
    if count is not None:
        dataset._dict[pydicom.tag.Tag("NumberOfFrames")] = RawDataElement(
            pydicom.tag.Tag("NumberOfFrames"), "IS", 2, f"{count:2}".encode(), 0, False, True
        )
    dataset.save_as(path)
    with pytest.raises(ImageError, match="not a single-frame image: pixel data"):
        read_radiograph(path)


@pytest.mark.parametrize(
    "start",
    [
        b"\xff\xd8\xff\xe0" + b"\xff" * 60,  # no frame follows
        b"\xfe\xff\x00\xe0" + b"\x00\x01\x00\x00" * 15,  # no item follows
        b"\xff" * 64,
        np.array([1, 64, *[0] * 14], "<u4").tobytes(),  # as many bytes as there are pixels
    ],
)
def test_pixels_that_only_begin_like_compressed_ones_are_read(tmp_path, start):
    pixels = NOISE.copy()
    pixels[0] = np.frombuffer(start, np.uint8)
    found = read_radiograph(
        write_dicom(tmp_path / "x.dcm", pixels, WindowCenter=128, WindowWidth=256)
    )
    assert np.array_equal(found.pixels, pixels)
