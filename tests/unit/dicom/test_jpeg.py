"""JPEG frames: lossless ones show what was stored, lossy ones what libjpeg makes of them."""

from __future__ import annotations

import cv2
import imagecodecs
import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from sscdl.dicom.pixels import Layout, decode
from sscdl.dicom.radiograph import ImageError
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import write_dicom

NOISE = np.random.default_rng(0).normal(size=(50, 70))
SMOOTH = cv2.GaussianBlur(NOISE, (0, 0), 2)
SMOOTH = (SMOOTH - SMOOTH.min()) / np.ptp(SMOOTH)
LOSSLESS = [uid.JPEGLossless, uid.JPEGLosslessSV1]


def gray(bits: int) -> np.ndarray:
    return np.rint(SMOOTH * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def colour() -> np.ndarray:
    return np.stack([gray(8), gray(8)[::-1], gray(8)[:, ::-1]], axis=2)


def read(frame: bytes, stored: np.ndarray, syntax: uid.UID, space: str = "") -> np.ndarray:
    allocated = 8 * stored.itemsize
    samples = 1 if stored.ndim == 2 else 3
    layout = Layout(
        *stored.shape[:2], samples, space or ("MONOCHROME2" if samples == 1 else "RGB"),
        planar=0, allocated=allocated, bits=allocated, shift=0, signed=False,
    )  # fmt: skip
    words, found = decode(encapsulate([frame + b"\0" * (len(frame) % 2)]), "OB", layout, syntax)
    assert words.dtype == stored.dtype
    assert found == layout.photometric
    return words


@pytest.mark.parametrize("bits", [2, 7, 8, 9, 10, 12, 14, 16])
def test_lossless_frames_of_all_depths(bits):
    stored = gray(bits)
    frame = imagecodecs.jpeg8_encode(stored, lossless=True, bitspersample=bits)
    for syntax in LOSSLESS:
        assert np.array_equal(read(frame, stored, syntax), stored)


def test_a_frame_of_bytes_in_a_file_with_room_for_more_has_two_bytes_a_sample():
    stored = gray(8)
    for frame in (
        imagecodecs.jpeg8_encode(stored, lossless=True, bitspersample=8),
        imagecodecs.jpegls_encode(stored),
    ):
        words = read(frame, stored.astype(np.uint16), uid.JPEGLossless)
        assert np.array_equal(words, stored)


@pytest.mark.parametrize("predictor", range(1, 8))
def test_lossless_frames_of_all_predictors(predictor):
    for stored, bits in ((gray(8), 8), (gray(16), 16), (colour(), 8)):
        frame = imagecodecs.jpeg8_encode(
            stored, lossless=True, predictor=predictor, bitspersample=bits
        )
        assert np.array_equal(read(frame, stored, uid.JPEGLossless), stored)


@pytest.mark.parametrize(
    "options", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 3]]
)
def test_lossy_frames_are_read_as_opencv_does(options):
    frame = cv2.imencode(".jpg", gray(8), [cv2.IMWRITE_JPEG_QUALITY, 80, *options])[1].tobytes()
    theirs = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.abs(theirs.astype(int) - gray(8)).max() > 0
    for syntax in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit):
        assert np.array_equal(read(frame, gray(8), syntax), theirs)


def test_twelve_lossy_bits():
    frame = imagecodecs.jpeg8_encode(gray(12), level=98, bitspersample=12)
    read_back = read(frame, gray(12), uid.JPEGExtended12Bit).astype(int)
    difference = np.abs(read_back - gray(12))
    assert 0 < difference.max() <= 8


@pytest.mark.parametrize(("space", "written"), [("RGB", "RGB"), ("YBR_FULL", "YCBCR")])
def test_colours_are_left_as_they_are_stored(space, written):
    frame = imagecodecs.jpeg8_encode(
        colour(), level=100, subsampling="444", colorspace=written, outcolorspace=written
    )
    read_back = read(frame, colour(), uid.JPEGBaseline8Bit, space).astype(int)
    assert np.abs(read_back - colour()).max() <= 2


@pytest.mark.parametrize("stored", [gray(8), gray(12), colour()], ids=["8", "12", "colour"])
@pytest.mark.parametrize("standard", ["JPEG-LS", "JPEG 2000", "JP2"])
def test_frames_of_a_later_standard_under_the_syntax_of_jpeg(stored, standard):
    if standard == "JPEG-LS":
        frame = imagecodecs.jpegls_encode(stored)
    else:
        form = "JP2" if standard == "JP2" else "J2K"
        frame = imagecodecs.jpeg2k_encode(stored, level=0, codecformat=form, reversible=True)
    for syntax in (*LOSSLESS, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit):
        assert np.array_equal(read(frame, stored, syntax), stored)


@pytest.mark.parametrize("lossless", [True, False])
def test_frames_of_few_bits_where_the_file_has_room_for_more(lossless):
    stored = gray(8).astype(np.uint16)  # a file of 16 bits a sample
    frame = imagecodecs.jpeg8_encode(gray(8), level=100, lossless=lossless)
    read_back = read(frame, stored, uid.JPEGLossless if lossless else uid.JPEGExtended12Bit)
    assert np.abs(read_back.astype(int) - gray(8)).max() <= (0 if lossless else 2)


def test_frames_of_more_bytes_a_sample_than_the_header_says():
    frame = imagecodecs.jpeg8_encode(gray(12), lossless=True, bitspersample=12)
    with pytest.raises(ImageError, match="damaged or unsupported"):
        read(frame, gray(8), uid.JPEGLossless)


@pytest.mark.parametrize("start", [b"\xff\xc4", b"\xff\xda"])
def test_frames_without_tables_or_scan(tmp_path, start):
    frame = imagecodecs.jpeg8_encode(gray(8), lossless=True)
    place = frame.index(start)
    length = int.from_bytes(frame[place + 2 : place + 4], "big")
    frame = frame[:place] + frame[place + 2 + length :]
    frame += b"\0" * (len(frame) % 2)
    path = write_dicom(tmp_path / "x.dcm", gray(8), syntax=uid.JPEGLossless, frame=frame)
    with pytest.raises(ImageError, match="damaged or unsupported"):
        read_radiograph(path)
