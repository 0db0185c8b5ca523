"""Optional fields that are malformed are as good as missing, and are remarked upon."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword

from sscdl.dicom.optional import tidy
from sscdl.dicom.radiograph import ImageError
from sscdl.dicom.render import read_radiograph
from sscdl.segment.processing.reading import read_values
from tests.unit.dicom_files import RAMP, write_dicom

WINDOW = {"WindowCenter": "2000", "WindowWidth": "1000"}


@pytest.fixture
def written(tmp_path):
    def write(texts, stored=RAMP, **fields):
        """Write a file into which the bytes of ``texts`` are put as they are."""
        path = write_dicom(tmp_path / "x.dcm", stored, bits=12, **fields)
        content = path.read_bytes()
        place = content.index(b"\xe0\x7f\x10\x00O")
        for keyword, text in texts.items():
            tag, vr = divmod(tag_for_keyword(keyword), 2**16), dictionary_VR(keyword)
            value = text.encode() + b" " * (len(text) % 2)
            element = struct.pack("<HH2sH", *tag, vr.encode(), len(value)) + value
            content = content[:place] + element + content[place:]
            place += len(element)
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("texts", "malformed"),
    [
        ({"NumberOfFrames": "0"}, ["NumberOfFrames"]),
        ({"NumberOfFrames": "-1"}, ["NumberOfFrames"]),
        ({"NumberOfFrames": "one"}, ["NumberOfFrames"]),
        ({**WINDOW, "WindowCenter": "2047,5"}, ["WindowCenter"]),
        ({**WINDOW, "WindowCenter": "NaN"}, ["WindowCenter"]),
        ({**WINDOW, "WindowWidth": "inf"}, ["WindowWidth"]),
        ({**WINDOW, "WindowCenter": "JANE DOE"}, ["WindowCenter"]),
        ({**WINDOW, "WindowWidth": "0"}, ["WindowCenter", "WindowWidth"]),
        ({**WINDOW, "WindowWidth": "0.5"}, ["WindowCenter", "WindowWidth"]),
        ({"PixelSpacing": "0.143,0.143"}, ["PixelSpacing"]),
        ({"PixelSpacing": "0.143"}, ["PixelSpacing"]),
        ({"ImagerPixelSpacing": "0\\0"}, ["ImagerPixelSpacing"]),
        ({"PixelAspectRatio": "1:2"}, ["PixelAspectRatio"]),
    ],
)
def test_what_is_malformed_counts_as_missing(written, texts, malformed):
    rest = {keyword: text for keyword, text in texts.items() if keyword not in malformed}
    without = read_radiograph(written(rest))
    found = read_radiograph(written(texts))
    assert np.array_equal(found.pixels, without.pixels)
    assert found.remarks == tuple(
        f"header field {keyword} is malformed; taken as missing" for keyword in malformed
    )
    assert without.remarks == ()
    assert np.array_equal(read_values(written(texts)), RAMP)


def test_an_unknown_function_leaves_the_window_as_it_is(written):
    linear = read_radiograph(written(WINDOW))
    found = read_radiograph(written({**WINDOW, "VOILUTFunction": "CUBIC"}))
    assert np.array_equal(found.pixels, linear.pixels)
    assert found.remarks == ("header field VOILUTFunction is malformed; taken as missing",)


def test_one_possible_window_of_several_is_enough(written):
    found = read_radiograph(written({"WindowCenter": "9\\2000", "WindowWidth": "0\\1000"}))
    assert np.array_equal(found.pixels, read_radiograph(written(WINDOW)).pixels)
    assert found.remarks == ()


def test_a_sound_spacing_takes_the_place_of_a_malformed_one(written):
    path = written({"PixelSpacing": "0.1,0.2", "ImagerPixelSpacing": "0.2\\0.1"})
    assert read_radiograph(path).pixels.shape == (32, 16)


def test_malformed_padding_is_none(written):
    # As a text, of which the value representation makes no number.
    path = written({"PixelPaddingRangeLimit": "abc"}, PixelPaddingValue=0)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x28\x00\x20\x01US", b"\x28\x00\x20\x01LO"))
    found = read_radiograph(path)
    assert found.pixels.shape == RAMP.shape


def test_an_absurdly_long_window_is_none(written):
    path = written({})
    content = path.read_bytes()
    place = content.index(b"\xe0\x7f\x10\x00O")
    many = b"1\\" * 150_000
    element = struct.pack("<HH2s2xI", 0x28, 0x1050, b"UT", len(many)) + many
    path.write_bytes(content[:place] + element + content[place:])
    assert read_radiograph(path).remarks == (
        "header field WindowCenter is malformed; taken as missing",
    )


@pytest.mark.parametrize("texts", [{"RescaleSlope": "-1,0"}, {"RescaleIntercept": "NaN"}])
def test_what_decides_what_pixels_mean_is_not_optional(written, texts):
    with pytest.raises(ImageError, match="header field Rescale"):
        read_radiograph(written({"RescaleSlope": "1", "RescaleIntercept": "0"} | texts))


def test_fields_in_functional_groups_are_optional_there(monkeypatch):
    item, group, header = Dataset(), Dataset(), Dataset()
    item.WindowCenter, item.WindowWidth = 5, 0
    group.FrameVOILUTSequence = [item]
    header.SharedFunctionalGroupsSequence = [group]
    assert [remark.split()[2] for remark in tidy(header)] == ["WindowCenter", "WindowWidth"]
    assert "WindowCenter" not in header


def test_sound_fields_are_left_alone(written):
    sound = {
        "NumberOfFrames": "1", **WINDOW, "VOILUTFunction": "SIGMOID", "PixelSpacing": "0.1\\0.1",
        "PatientAge": "045Y", "PatientSex": "F",
    }  # fmt: skip
    found = read_radiograph(written(sound, PixelPaddingValue=7))
    assert (found.remarks, found.age_years, found.sex) == ((), 45, "F")
