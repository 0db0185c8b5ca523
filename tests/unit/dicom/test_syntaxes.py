"""Every transfer syntax shows the same picture, and damage to it is noticed."""

from __future__ import annotations

import base64

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames

from sscdl.dicom.radiograph import ImageError
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import write_dicom

# The picture that the frames below hold: 16 x 24 pixels of 12 bits, 8 bits for JPEG baseline.
STORED = np.add.outer(10 * np.arange(16), 160 * np.arange(24)).astype(np.uint16)
# Frames that pydicom cannot write, made with dcmcjpeg of DCMTK 3.6.7 (+el +sv 6, +e1, +ee +q 100,
# +eb +q 100) and ojph_compress of OpenJPH 0.9.0 (-num_decomps 2 -prog_order RPCL).
FRAMES = {
    uid.JPEGLossless: """
        /9j/4AAQSkZJRgABAQAAAQABAAD/wwALEAAQABgBAREA/8QAFwABAQEBAAAAAAAAAAAAAAAAAwgEEP/aAAgBAQAG
        AADqgqCoKgqCoKgqCoKgqCoKgqCoKgqCoKgqCoKgqDUqqqqqqqqqqqqqqq6lVVVVVVVVVVVVVVXUqqqqqqqqqqqq
        qqq6lVVVVVVVVVVVVVVXUqqqqqqqqqqqqqqq6lVVVVVVVVVVVVVVXUqqqqqqqqqqqqqqq6lVVVVVVVVVVVVVVXUq
        qqqqqqqqqqqqqq6lVVVVVVVVVVVVVVXUqqqqqqqqqqqqqqq6lVVVVVVVVVVVVVVXUqqqqqqqqqqqqqqq6lVVVVVV
        VVVVVVVVXUqqqqqqqqqqqqqqq///2Q==
    """,
    uid.JPEGLosslessSV1: """
        /9j/4AAQSkZJRgABAQAAAQABAAD/wwALEAAQABgBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAACAQQ/9oACAEBAAEA
        AMoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoKlAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFBUoFAoFAoFAoFAoFA
        oFAoFAoFAoFAoFAoFAoKlAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFBUoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoF
        AoKlAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFBUoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoKlAoFAoFAoFAoFA
        oFAoFAoFAoFAoFAoFAoFBUoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoKlAoFAoFAoFAoFAoFAoFAoFAoFAoFAoF
        AoFBUoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoKlAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFBUoFAoFAoFAoFA
        oFAoFAoFAoFAoFAoFAoFAoKlAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFBUoFAoFAoFAoFAoFAoFAoFAoFAoFAoF
        AoFAoKlAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFAoFB///2Q==
    """,
    uid.JPEGExtended12Bit: """
        /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB
        AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQH/wQALDAAQABgBAREA/8QAFQABAQAAAAAAAAAAAAAAAAAADg//xAAcEAAA
        BgMAAAAAAAAAAAAAAAAACAwlOUNXYXX/2gAIAQEAAD8AJS6SbKTGc2Ykp5GgoAEk2UmM5sxJTyNBQAJJspMZzZiS
        nkaEyf0k2UmM5sxJTyNBQAJJspMZzZiSnkaCgASTZSYzmzElPI0P///Z
    """,
    uid.JPEGBaseline8Bit: """
        /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB
        AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQH/wAALCAAQABgBAREA/8QAFQABAQAAAAAAAAAAAAAAAAAACgv/xAAcEAAA
        BgMAAAAAAAAAAAAAAAAAAQIECCVBYoP/2gAIAQEAAD8AJLElodZxwrUKAiS0Os44VqFARJaHWccK1EyeJLQ6zjhW
        oUBElodZxwrUKAiS0Os44VqP/9k=
    """,
    uid.HTJ2KLosslessRPCL: """
        /0//UQApQAAAAAAYAAAAEAAAAAAAAAAAAAAAGAAAABAAAAAAAAAAAAABCwEB/1AACAACAAAAB/9SAAwAAgABAAIE
        BEAB/1wACiBweHh4cHB4/2QAFgABT3BlbkpQSCBWZXIgMC45LjAu/5AACgAAAAAAgwAB/5PAAXWA/3/6/3pV/z3t
        n1f850TZCOjrA/8lB/TVgX5hAJ7Up5Rc9QCdBcwWGQBRugDAAKqAAVjOnDlz9tpyAnUALGOMseAA9gAB7LgAwAFo
        QAFpAD4+Pj4+Pj4+8/p6enGCeABSRERERET+/xye/fJ798nsuwD/2Q==
    """,
    uid.HTJ2K: """
        /0//UQApQAAAAAAYAAAAEAAAAAAAAAAAAAAAGAAAABAAAAAAAAAAAAABCwEB/1AACAACAAAAJf9SAAwAAgABAAIE
        BEAA/1wAESJ35mg1aDVoeGAaYBpvv/9kABYAAU9wZW5KUEggVmVyIDAuOS4wLv+QAAoAAAAAALIAAf+TwAF1wMU9
        1EvrSKXvbN3ZivqxoaIwzCoP8EUaPs9aosWwAQTpmqTDRACdBc4WIUBRugDAAtmABakACMB02jDSpBEihKYNI00a
        IUL+ASaByBWESZkABKCIhVhEEYso4kApgABTdtVqOgD4AwDABdDABaQk2WwMBkJuNgYDITcbg4GQm43B8HPyV/JX
        8lfiCsALfQAAYFVV9X7Xv3Xv3XssxjGM7QD/2Q==
    """,
}
FRAMES[uid.HTJ2KLossless] = FRAMES[uid.HTJ2KLosslessRPCL]
LOSSY = (uid.JPEGExtended12Bit, uid.JPEGBaseline8Bit, uid.HTJ2K)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
WRITABLE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian,
            uid.DeflatedExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless,
            uid.JPEG2000Lossless)  # fmt: skip


def frame_of(syntax):
    return base64.b64decode(FRAMES[syntax])


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", WRITABLE, ids=lambda syntax: syntax.keyword)
def test_lossless_syntaxes(tmp_path, syntax, bits, signed):
    rng = np.random.default_rng(1)
    stored = rng.integers(0, 2**bits, (63, 41)) - (2 ** (bits - 1) if signed else 0)
    stored = stored.astype(f"{'i' if signed else 'u'}{1 if bits == 8 else 2}")
    plain = read_radiograph(write_dicom(tmp_path / "x.dcm", stored, bits=bits))
    other = read_radiograph(write_dicom(tmp_path / "y.dcm", stored, bits=bits, syntax=syntax))
    assert other.transfer_syntax == syntax.name
    assert np.array_equal(other.pixels, plain.pixels)


@pytest.mark.parametrize("syntax", FRAMES, ids=lambda syntax: syntax.keyword)
def test_syntaxes_that_only_other_programs_write(tmp_path, syntax):
    stored, fields = STORED, {"bits": 12, **WINDOW}
    if syntax == uid.JPEGBaseline8Bit:
        stored, fields = (STORED >> 4).astype(np.uint8), {"WindowCenter": 128, "WindowWidth": 256}
    plain = read_radiograph(write_dicom(tmp_path / "x.dcm", stored, **fields)).pixels
    path = write_dicom(tmp_path / "y.dcm", stored, syntax=syntax, frame=frame_of(syntax), **fields)
    read = read_radiograph(path)
    assert read.transfer_syntax == syntax.name
    difference = np.abs(read.pixels.astype(int) - plain)
    assert difference.max() <= (1 if syntax in LOSSY else 0)


@pytest.mark.parametrize("syntax", [uid.JPEGLSNearLossless, uid.JPEG2000])
def test_near_lossless_syntaxes(tmp_path, syntax):
    path = write_dicom(tmp_path / "x.dcm", np.tile(STORED, (4, 3)), bits=12, **WINDOW)
    plain = read_radiograph(path).pixels
    dataset = pydicom.dcmread(path)
    options = {"jls_error": 4} if syntax == uid.JPEGLSNearLossless else {"j2k_psnr": [80]}
    dataset.compress(syntax, generate_instance_uid=False, **options)
    dataset.save_as(path)
    assert np.abs(read_radiograph(path).pixels.astype(int) - plain).max() <= 1


def test_rle_of_colour(tmp_path):
    rng = np.random.default_rng(6)
    for stored in (
        rng.integers(0, 256, (20, 30, 3), dtype=np.uint8),
        rng.integers(0, 2**16, (20, 30, 3), dtype=np.uint16),
    ):
        plain = read_radiograph(write_dicom(tmp_path / "x.dcm", stored)).pixels
        packed = write_dicom(tmp_path / "y.dcm", stored, syntax=uid.RLELossless)
        assert np.array_equal(read_radiograph(packed).pixels, plain)


def test_codestream_in_a_jp2_file(tmp_path):
    stored = np.tile(STORED, (4, 3))
    path = write_dicom(tmp_path / "x.dcm", stored, bits=12, syntax=uid.JPEG2000Lossless)
    plain = read_radiograph(path).pixels
    dataset = pydicom.dcmread(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    rows, columns = stored.shape
    header = b"ihdr" + rows.to_bytes(4) + columns.to_bytes(4) + bytes([0, 1, 11, 7, 0, 0])
    colour = b"colr" + bytes([1, 0, 0, 0, 0, 0, 17])
    header, colour = ((len(box) + 4).to_bytes(4) + box for box in (header, colour))
    boxes = [b"jP  \r\n\x87\n", b"ftypjp2 \0\0\0\0jp2 ", b"jp2h" + header + colour, b"jp2c" + frame]
    frame = b"".join((len(box) + 4).to_bytes(4) + box for box in boxes)
    dataset.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])
    dataset.save_as(path)
    assert np.array_equal(read_radiograph(path).pixels, plain)


def test_frame_in_several_fragments(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", STORED, bits=12, syntax=uid.JPEGLSLossless)
    plain = read_radiograph(path).pixels
    dataset = pydicom.dcmread(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame], fragments_per_frame=5)
    dataset.save_as(path)
    assert np.array_equal(read_radiograph(path).pixels, plain)


@pytest.mark.parametrize("syntax", WRITABLE[:3], ids=lambda syntax: syntax.keyword)
def test_data_set_without_file_meta_information(tmp_path, syntax):
    path = write_dicom(tmp_path / "x.dcm", STORED, bits=12, syntax=syntax, **WINDOW)
    plain = read_radiograph(path).pixels
    dataset = pydicom.dcmread(path)
    content = path.read_bytes()
    start = 144 + dataset.file_meta.FileMetaInformationGroupLength
    for shorter in (content[start:], content[132:]):
        path.write_bytes(shorter)
        read = read_radiograph(path)
        assert read.transfer_syntax == syntax.name
        assert np.array_equal(read.pixels, plain)


@pytest.mark.parametrize(
    ("name", "twin"),
    [("rtdose_expb_1frame.dcm", "rtdose_1frame.dcm"),
     ("rtdose_rle_1frame.dcm", "rtdose_1frame.dcm"),
     ("SC_rgb_32bit.dcm", "SC_rgb.dcm"), ("SC_rgb_expb_32bit.dcm", "SC_rgb.dcm"),
     ("MR_small_jp2klossless.dcm", "MR_small.dcm"), ("693_J2KR.dcm", "693_UNCR.dcm"),
     ("RG1_J2KR.dcm", "RG1_UNCR.dcm"), ("RG3_J2KR.dcm", "RG3_UNCR.dcm"),
     ("MR2_J2KR.dcm", "MR2_UNCR.dcm"), ("US1_J2KR.dcm", "US1_UNCR.dcm")],
)  # fmt: skip
def test_shipped_files_are_the_same_as_their_twins(name, twin):
    pixels = [read_radiograph(shipped(each)).pixels for each in (name, twin)]
    assert np.array_equal(*pixels)


@pytest.mark.parametrize("name", ["693", "RG1", "RG3", "MR2", "US1"])
def test_lossy_jpeg_2000_is_as_its_producer_decoded_it(name):
    ours, theirs = (read_radiograph(shipped(f"{name}_{kind}.dcm")) for kind in ("J2KI", "UNCI"))
    assert np.abs(ours.pixels.astype(int) - theirs.pixels).max() <= 2


def test_scan_that_says_it_holds_nothing_is_read_like_others():
    # The two files differ in the byte that says which coefficients the scan holds.
    right, wrong = shipped("JPGExtended.dcm"), shipped("JPEG-lossy.dcm")
    assert np.array_equal(read_radiograph(right).pixels, read_radiograph(wrong).pixels)


def shipped(name):
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} is not here: install pydicom-data")
    return path


# Damage


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless])
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


@pytest.mark.parametrize("syntax", [*FRAMES, uid.RLELossless], ids=lambda syntax: syntax.keyword)
def test_frame_that_is_no_such_frame(tmp_path, syntax):
    path = write_dicom(tmp_path / "x.dcm", STORED, bits=12, syntax=syntax, frame=b"JANE" * 30)
    with pytest.raises(ImageError) as caught:
        read_radiograph(path)
    assert "JANE" not in str(caught.value)


def test_truncated_deflated_file(tmp_path):
    stored = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    path = write_dicom(tmp_path / "x.dcm", stored, syntax=uid.DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    for length in (len(content) // 2, 400):
        path.write_bytes(content[:length])
        with pytest.raises(ImageError, match="deflated data set is truncated or damaged"):
            read_radiograph(path)


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        (uid.MPEG2MPML, "not supported: MPEG2 Main Profile"),
        (uid.UID("1.2.840.10008.1.2.4.92"), "not supported: JPEG 2000 Part 2"),
        (uid.UID("1.2.840.10008.9.9.9"), "not one of the standard"),
        (uid.UID("1.2.840.113619.5.2"), "not one of the standard"),
        (uid.CTImageStorage, "not one of the standard"),
    ],
)
def test_syntaxes_that_are_not_supported(tmp_path, syntax, reason):
    written = uid.UID("1.2.840.10008.1.2.4.102.1")
    path = write_dicom(tmp_path / "x.dcm", STORED, bits=12, syntax=written, frame=b"frame!")
    content = path.read_bytes()
    assert content.count(written.encode()) == 1
    path.write_bytes(content.replace(written.encode(), syntax.encode().ljust(len(written), b"\0")))
    with pytest.raises(ImageError, match=reason):
        read_radiograph(path)
