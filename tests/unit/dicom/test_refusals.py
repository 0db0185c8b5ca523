"""Files that are refused: with a reason that quotes no header text."""

from __future__ import annotations

import logging
import struct
import warnings

import pydicom
import pytest
from pydicom import uid
from pydicom.datadict import dictionary_VR, tag_for_keyword

from sscdl.dicom.radiograph import ImageError
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import PATIENT_NAME, RAMP, write_dicom

MIB = 2**20


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "truncated: 512 of 1536"),
        ({"PhotometricInterpretation": "RGB"}, "1 samples per pixel do not go with RGB"),
        ({"SamplesPerPixel": 3, "PlanarConfiguration": 0}, "do not go with MONOCHROME2"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "Descriptor is missing"),
        ({"PhotometricInterpretation": "CMYK"}, "missing or not supported"),
        ({"PhotometricInterpretation": None}, "missing or not supported"),
        ({"NumberOfFrames": 2}, "not a single-frame image"),
        ({"PixelData": None}, "no pixel data"),
        ({"PixelData": b""}, "no pixel data"),
        ({"Rows": 17}, "truncated: 512 of 544 bytes"),
        ({"Rows": None}, "Rows is missing"),
        ({"Columns": 0}, "image of 16 x 0 pixels"),
        ({"BitsAllocated": 32}, "truncated: 512 of 1024"),
        ({"BitsAllocated": 24}, "12 bits stored in 24"),
        ({"BitsStored": 17}, "17 bits stored in 16"),
        ({"HighBit": 10}, "high bit 10 does not go with 12 bits stored in 16"),
        ({"HighBit": 16}, "high bit 16"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "rescale slope is 0"),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, "all pixels are padding"),
        ({"WindowCenter": 60000, "WindowWidth": 10}, "without contrast"),
    ],
)
def test_unusable_image_is_rejected_without_patient_data(tmp_path, fields, reason):
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, **fields)
    with pytest.raises(ImageError, match=reason) as caught:
        read_radiograph(path)
    assert "Planted" not in str(caught.value)
    assert "0815" not in str(caught.value)


def test_floating_point_pixels_are_refused(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", RAMP, BitsAllocated=32, PixelData=None)
    dataset = pydicom.dcmread(path)
    del dataset.BitsStored, dataset.HighBit
    dataset.FloatPixelData = RAMP.astype("<f4").tobytes()
    dataset.save_as(path)
    with pytest.raises(ImageError, match="floating point"):
        read_radiograph(path)


def test_name_in_a_coded_field_is_not_quoted(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", RAMP, PhotometricInterpretation="JANE DOE")
    with pytest.raises(ImageError, match="missing or not supported") as caught:
        read_radiograph(path)
    assert "JANE" not in str(caught.value)


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_name_in_a_number_is_not_quoted(tmp_path, keyword):
    path = write_dicom(tmp_path / "x.dcm", RAMP)
    content = path.read_bytes()
    tag, vr = tag_for_keyword(keyword), dictionary_VR(keyword).encode()
    name = struct.pack("<HH2sH", *divmod(tag, 2**16), vr, 8) + b"JANE DOE"
    place = content.index(b"\xe0\x7f\x10\x00O")
    path.write_bytes(content[:place] + name + content[place:])
    with pytest.raises(ImageError, match=f"{keyword} is (no number|malformed)") as caught:
        read_radiograph(path)
    assert "JANE" not in str(caught.value)


@pytest.mark.parametrize("keyword", ["HighBit", "Rows", "BitsStored", "SamplesPerPixel"])
def test_date_in_the_place_of_a_number_is_not_quoted(tmp_path, keyword):
    path = write_dicom(tmp_path / "x.dcm", RAMP)
    content = path.read_bytes()
    tag = struct.pack("<HH", *divmod(tag_for_keyword(keyword), 2**16))
    place = content.index(tag + b"US\2\0")
    wrong = tag + b"DA\x08\x0019310227"
    path.write_bytes(content[:place] + wrong + content[place + 10 :])
    with pytest.raises(ImageError, match=f"{keyword} is out of range") as caught:
        read_radiograph(path)
    assert "1931" not in str(caught.value)


def test_what_is_no_dicom_file_is_rejected(tmp_path):
    path = tmp_path / "x.dcm"
    for content in (b"", b"\x08\0", b"\x89PNG" + bytes(500), b"II*\0" + bytes(500)):
        path.write_bytes(content)
        with pytest.raises(ImageError, match="not a DICOM file"):
            read_radiograph(path)
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        read_radiograph(tmp_path / "missing.dcm")
    with pytest.raises(ImageError, match="cannot be read: Is a directory"):
        read_radiograph(tmp_path)


def test_nothing_is_said_about_odd_headers(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, PixelData=RAMP.tobytes() + bytes(100))
    with pytest.warns(UserWarning, match="excess padding"):
        assert pydicom.dcmread(path).pixel_array.shape == RAMP.shape
    assert "pydicom" in {record.name for record in caplog.records}
    caplog.clear()
    content = path.read_bytes().replace(b"1.2.3\x00", b"bad-id")
    assert b"bad-id" in content
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_radiograph(path)
    assert not [record for record in caplog.records if record.name.startswith("pydicom")]
    assert PATIENT_NAME.split("^")[0] not in caplog.text


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.RLELossless])
def test_file_cut_off_anywhere_is_refused(tmp_path, syntax):
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, syntax=syntax)
    content = path.read_bytes()
    # The end marker of RLE data has four bytes of zero length that nothing depends on.
    for length in range(len(content) - (4 if syntax.is_encapsulated else 0)):
        path.write_bytes(content[:length])
        with pytest.raises(ImageError):
            read_radiograph(path)
