"""Files that claim more than they are: refused before they cost memory or time."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate, generate_frames

from sscdl.dicom.radiograph import ImageError, Rendering
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import RAMP, lookup_table, write_dicom

MIB = 2**20


# Sizes


@pytest.fixture
def no_decoder(monkeypatch):
    def fail(syntax):
        pytest.fail("was decoded")

    for decoder in ("get_decoder", "jpeg_decoder"):
        monkeypatch.setattr(f"sscdl.dicom.pixels.{decoder}", fail)


@pytest.fixture
def refused():
    """Check that a file is refused for a reason, and how many bytes that takes at most."""

    def check(path, reason, rendering=Rendering(), *, most=32 * MIB):  # noqa: B008 - immutable
        tracemalloc.start()
        try:
            with pytest.raises(ImageError, match=reason):
                read_radiograph(path, rendering)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < most

    return check


def test_absurd_size_is_refused_before_decoding(tmp_path, no_decoder, refused):
    path = write_dicom(tmp_path / "x.dcm", RAMP, Rows=65535, Columns=65535)
    refused(path, "more than the limit of 100000000")
    small = write_dicom(tmp_path / "y.dcm", RAMP)
    refused(small, "16 x 16 pixels are more than the limit of 255", Rendering(max_pixels=255))


def deflated(path, *, before=b"", pixels=b"", zeros=0):
    """Write a deflated file of 16 x 16 pixels that has so many zeros in them, or before them."""
    write_dicom(path, RAMP, bits=12, syntax=uid.DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    dataset = pydicom.dcmread(path)
    start = 144 + dataset.file_meta.FileMetaInformationGroupLength
    plain = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    end = plain.index(b"\xe0\x7f\x10\x00OW")
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    with path.open("wb") as file:
        file.write(content[:start])
        file.write(squeeze.compress(plain[:end] + before + pixels))
        for _ in range(zeros // MIB):
            file.write(squeeze.compress(bytes(MIB)))
        file.write(squeeze.compress(plain[end:] if before else b"") + squeeze.flush())
    return path


def element(group, number, vr, length):
    return struct.pack("<HH2s2xI", group, number, vr, length)


def test_deflate_bombs(tmp_path, refused):
    size = 256 * MIB
    path = deflated(tmp_path / "x.dcm", pixels=element(0x7FE0, 0x10, b"OW", size), zeros=size)
    assert path.stat().st_size < MIB
    refused(path, "inflates to more|larger than such an image")
    path = deflated(tmp_path / "y.dcm", before=element(0x0029, 0x1010, b"OB", size), zeros=size)
    refused(path, "inflates to more than such an image can need", most=160 * MIB)


def test_deflated_private_element_of_a_fair_size_is_skipped(tmp_path):
    size = 20 * MIB
    before = element(0x0029, 0x1010, b"OB", size)
    path = deflated(tmp_path / "y.dcm", before=before, zeros=size)
    plain = read_radiograph(write_dicom(tmp_path / "x.dcm", RAMP, bits=12)).pixels
    assert np.array_equal(read_radiograph(path).pixels, plain)


@pytest.mark.parametrize("tag", [0x00281052, 0x00283010, 0x00091010, 0x7FE00010])
def test_declared_lengths_are_not_believed(tmp_path, refused, tag):
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, syntax=uid.ImplicitVRLittleEndian)
    content = path.read_bytes()
    place = content.index(b"\xe0\x7f\x10\x00")
    lie = struct.pack("<HHI", *divmod(tag, 2**16), 0xFFFFFFF0)
    path.write_bytes(content[:place] + lie + content[place + 8 :])
    refused(path, "no pixel data|header field|truncated|has .* bytes", most=4 * MIB)


def test_pixel_data_of_another_image_are_not_read(tmp_path, refused):
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, PixelData=bytes(40 * MIB))
    refused(path, "larger than such an image can need", most=4 * MIB)


def test_long_header_fields_are_not_unfolded(tmp_path, refused):
    many = b"1\\" * 150_000
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, RescaleSlope=1)
    content = path.read_bytes()
    place = content.index(b"\x28\x00\x53\x10DS")
    path.write_bytes(content[:place] + element(0x28, 0x1052, b"UT", len(many)) + many
                     + content[place:])  # fmt: skip
    refused(path, "RescaleIntercept has 300000 bytes", most=4 * MIB)


def test_endless_sequences_are_not_unfolded(tmp_path, refused):
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12)
    content = path.read_bytes()
    place = content.index(b"\xe0\x7f\x10\x00")
    items = b"\xfe\xff\x00\xe0" + bytes(4)
    for length in (8 * 10**6, 0xFFFFFFFF):
        sequence = element(0x28, 0x3010, b"SQ", length) + items * 2 * 10**6
        path.write_bytes(content[:place] + sequence + content[place:])
        refused(path, "has .* bytes|larger than", most=300 * MIB)


def test_deep_nesting_is_refused(tmp_path, refused):
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12)
    content = path.read_bytes()
    place = content.index(b"\xe0\x7f\x10\x00")
    nest = (element(0x28, 0x3010, b"SQ", 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 5000
    path.write_bytes(content[:place] + nest + content[place:])
    refused(path, "RecursionError")


def test_absurd_lookup_tables_are_refused(tmp_path, refused):
    item = Dataset()
    item.LUTDescriptor = [0, 0, 16]
    item.add_new("LUTData", "OW", bytes(100))
    path = write_dicom(tmp_path / "x.dcm", RAMP, VOILUTSequence=[item])
    refused(path, "VOILUTSequence has a descriptor that does not fit", most=4 * MIB)
    item.LUTData = bytes(MIB // 2)
    refused(write_dicom(path, RAMP, VOILUTSequence=[item]), "LUTData has 524288 bytes")
    item.LUTDescriptor, item.LUTData = [2, 0, 40], bytes(4)
    refused(write_dicom(path, RAMP, ModalityLUTSequence=[item]), "ModalityLUTSequence has a desc")
    del item.LUTDescriptor
    refused(write_dicom(path, RAMP, ModalityLUTSequence=[item]), "LUTDescriptor is missing")


def test_segmented_palette_that_stands_for_gigabytes_is_cut_off(tmp_path, refused):
    fields = {"PhotometricInterpretation": "PALETTE COLOR"}
    line = [0, 1, 0] + [1, 65535, 9] * 20_000
    call_itself = [0, 1, 0] + [2, 65535, 0, 0]
    empty = [0, 1, 0] + [2, 65535, 12, 0] * 100 + [0, 0] * 20_000
    stored = (RAMP >> 4).astype(np.uint8)
    for words, reason in (
        (line, "without contrast"),
        (call_itself, "segmented in an unknown way"),
        (empty, "empty segment"),
    ):
        for name in ("Red", "Green", "Blue"):
            fields[f"{name}PaletteColorLookupTableDescriptor"] = [0, 0, 16]
            data = np.array(words, dtype="<u2").tobytes()
            fields[f"Segmented{name}PaletteColorLookupTableData"] = data
        refused(write_dicom(tmp_path / "x.dcm", stored, **fields), reason)


# Frames that lie


def rewritten(path, frame):
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([frame])
    dataset.save_as(path)
    return path


def frame_in(path):
    return next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))


@pytest.fixture
def rle(tmp_path):
    return write_dicom(tmp_path / "x.dcm", RAMP, bits=12, syntax=uid.RLELossless)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ([1, 64], "1 segments instead of 2"),
        ([15, *range(64, 79)], "15 segments instead of 2"),
        ([2**32 - 1], "4294967295 segments"),
        ([2, 64, 2**31], "do not lie one after another"),
        ([2, 200, 64], "do not lie one after another"),
        ([2, 0, 64], "do not lie one after another"),
        ([2, 64, 66], "pixel data are truncated: "),
    ],
)
def test_lying_rle_headers(rle, refused, header, reason):
    packed = struct.pack("<16I", *header, *[0] * (16 - len(header)))
    refused(rewritten(rle, packed + frame_in(rle)[64:]), reason, most=MIB)


def test_rle_frame_without_header(rle, refused):
    refused(rewritten(rle, b"\2\0\0\0"), "truncated .RLE header.", most=MIB)


def test_rle_bomb_is_unfolded_no_further_than_the_picture(tmp_path, refused):
    segment = b"\x81\x00" * (MIB // 2)  # each stands for 128 bytes: 64 MiB
    frame = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2
    stored = np.zeros((1024, 1024), np.uint16)
    path = write_dicom(tmp_path / "x.dcm", stored, syntax=uid.RLELossless, frame=frame)
    refused(path, "without contrast", most=40 * MIB)


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless])
def test_frames_that_declare_another_size(tmp_path, no_decoder, refused, syntax):
    path = write_dicom(tmp_path / "x.dcm", np.tile(RAMP, (5, 5)), bits=12)
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)
    frame = frame_in(path)
    if syntax == uid.JPEG2000Lossless:
        wide = frame[:8] + struct.pack(">2I", 2**31, 2**31) + frame[16:]
        deep = frame[:40] + struct.pack(">H", 16384) + frame[42:]
        tiles = frame[:24] + struct.pack(">2I", 1, 1) + frame[32:]
        refused(rewritten(path, tiles), "cut into 6400 tiles", most=MIB)
        no_tiles = frame[:24] + bytes(8) + frame[32:]
        refused(rewritten(path, no_tiles), "ZeroDivisionError", most=MIB)
        refused(rewritten(path, deep), "16384 channels, not 1", most=MIB)
    else:
        place = frame.index(b"\xff\xf7")
        wide = frame[: place + 5] + struct.pack(">2H", 65535, 65535) + frame[place + 9 :]
        deep = frame[: place + 9] + b"\xff" + frame[place + 10 :]
        refused(rewritten(path, deep), "255 channels, not 1", most=MIB)
    refused(rewritten(path, wide), "not of the size that the header states", most=MIB)


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGLosslessSV1])
def test_jpeg_frames_that_declare_another_size(tmp_path, no_decoder, refused, syntax):
    stored = np.tile(RAMP, (5, 5))
    lossless = syntax == uid.JPEGLosslessSV1
    values = stored if lossless else (stored >> 4).astype(np.uint8)
    frame = imagecodecs.jpeg8_encode(values, lossless=lossless, bitspersample=12 if lossless else 8)
    frame += b"\0" * (len(frame) % 2)
    path = write_dicom(tmp_path / "x.dcm", values, syntax=syntax, frame=frame)
    place = frame.index(b"\xff\xc3" if lossless else b"\xff\xc0")
    wide = frame[: place + 5] + struct.pack(">2H", 65535, 65535) + frame[place + 9 :]
    refused(rewritten(path, wide), "not of the size that the header states", most=MIB)
    deep = frame[: place + 9] + b"\xff" + frame[place + 10 :]
    refused(rewritten(path, deep), "255 channels, not 1", most=MIB)


def test_sequence_that_says_it_is_text(tmp_path):
    sequence = lookup_table([0, 255], first=0, bits=8)
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, VOILUTSequence=sequence)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x28\x00\x10\x30SQ", b"\x28\x00\x10\x30LO"))
    with pytest.raises(ImageError):
        read_radiograph(path)
