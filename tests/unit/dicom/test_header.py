"""What is kept of a header: codes of the standard, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes

from sscdl.dicom import header
from sscdl.dicom.radiograph import ImageError
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import RAMP, write_dicom

NAMES = ("JANE DOE", "DOE^JANE", "JANE", "DOEJ", "CHESTER", "PAUL")


@pytest.fixture
def read(tmp_path):
    def read_with(**fields):
        return read_radiograph(write_dicom(tmp_path / "x.dcm", RAMP, bits=12, **fields))

    return read_with


def code(value, scheme="SCT"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "JANE DOE"
    return [item]


def test_header_facts(read):
    radiograph = read(
        PatientSex="f",
        PatientAge="006M",
        ViewPosition="pa",
        BodyPartExamined="Chest",
        ImageType=["ORIGINAL", "PRIMARY"],
        PatientOrientation=["L", "F"],
    )
    assert radiograph.pixels.dtype == np.uint8
    assert (radiograph.patient_id, radiograph.sex, radiograph.age_years, radiograph.view) == (
        "PLANTED-0815",
        "F",
        0.5,
        "PA",
    )
    assert (radiograph.rows, radiograph.columns, radiograph.bits_stored) == (16, 16, 12)
    assert (radiograph.photometric, radiograph.modality) == ("MONOCHROME2", "CR")
    assert radiograph.transfer_syntax == "Explicit VR Little Endian"
    assert radiograph.body_part == "CHEST"
    assert radiograph.image_type == ("ORIGINAL", "PRIMARY")
    assert radiograph.orientation == "L\\F"
    assert not radiograph.coloured


def test_missing_and_odd_header_facts(read):
    radiograph = read(PatientID=None, PatientSex="O", ViewPosition="JANE DOE", Modality=None)
    assert (radiograph.patient_id, radiograph.sex, radiograph.view) == ("", "", "OTHER")
    assert math.isnan(radiograph.age_years)
    assert (radiograph.modality, radiograph.body_part, radiograph.orientation) == ("", "", "")
    assert radiograph.image_type == ()


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize("name", NAMES)
def test_no_name_passes_for_a_code(read, name):
    radiograph = read(
        PatientSex=name,
        ViewPosition=name,
        ViewCodeSequence=code(name),
        Modality=name,
        BodyPartExamined=name,
        ImageType=["DERIVED", name, "SECONDARY"],
        PatientOrientation=[name, "F"],
        PatientAge=name,
    )
    assert radiograph.body_part == "OTHER"
    assert (radiograph.sex, radiograph.view, radiograph.modality) == ("OTHER", "OTHER", "OTHER")
    assert (radiograph.image_type, radiograph.orientation) == (("DERIVED", "SECONDARY"), "")
    assert math.isnan(radiograph.age_years)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("CHEST", "CHEST"),
        (" chest ", "CHEST"),
        ("Thorax", "CHEST"),
        ("TORAX PA", "CHEST"),
        ("TÓRAX", "CHEST"),
        ("PORT CHEST", "CHEST"),
        ("CHEST_AP", "CHEST"),
        ("CHEST ABDOMEN", "CHESTABDOMEN"),
        ("HAND", "HAND"),
        ("L-SPINE", "LSPINE"),
        ("THORACIC SPINE", "OTHER"),
        ("ARCHEST", "OTHER"),
        ("JANE CHESTER", "OTHER"),
        ("", ""),
    ],
)
def test_body_part(read, text, part):
    radiograph = read(BodyPartExamined=text)
    assert radiograph.body_part == part


def test_body_part_from_the_anatomic_region(read):
    chest = codes.cid4031.Chest
    knee = codes.cid4031.Knee
    assert read(AnatomicRegionSequence=code(chest.value)).body_part == "CHEST"
    assert read(AnatomicRegionSequence=code("T-D3000", "SRT")).body_part == "CHEST"
    assert read(AnatomicRegionSequence=code(knee.value)).body_part == "OTHER"
    both = read(BodyPartExamined="HAND", AnatomicRegionSequence=code(chest.value))
    assert both.body_part == "HAND"


@pytest.mark.parametrize(
    ("position", "view"),
    [("AP", "AP"), ("LL", "LL"), ("RLD", "RLD"), ("LLO", "LLO"), ("lateral", "LATERAL"),
     ("LAT", "LATERAL"), ("LLAT", "LL"), ("LAO", "LAO"), ("XY", "OTHER"), ("", ""),
     ("XTABLE LATERAL", "LATERAL"), ("SWIMMERS", "OTHER"), ("AP PORTABLE", "AP")],
)  # fmt: skip
def test_view_position(read, position, view):
    assert read(ViewPosition=position).view == view


@pytest.mark.parametrize(
    ("concept", "view"),
    [("AnteroPosterior", "AP"), ("PosteroAnterior", "PA"), ("LeftLateral", "LL"),
     ("RightLateral", "RL"), ("LateralProjection", "LATERAL"), ("LeftAnteriorOblique", "LAO"),
     ("LateralOblique", "OBLIQUE"), ("Tangential", "OTHER")],
)  # fmt: skip
def test_view_code(read, concept, view):
    value = getattr(codes.cid4010, concept).value
    assert read(ViewCodeSequence=code(value)).view == view
    assert read(ViewPosition="", ViewCodeSequence=code(value)).view == view
    assert read(ViewPosition="RL", ViewCodeSequence=code(value)).view == "RL"


@pytest.mark.parametrize("value", ["R-10206", "R-10214", "R-10236", "R-10232"])
def test_view_code_of_snomed_rt(read, value):
    assert read(ViewCodeSequence=code(value, "SRT")).view in ("AP", "PA", "LL", "RL")


@pytest.mark.parametrize(
    ("value", "orientation"),
    [(["L", "F"], "L\\F"), (["A", "FR"], "A\\FR"), (["PLH", "F"], "PLH\\F"), (["L", "X"], ""),
     (["L"], ""), (["L", "F", "A"], ""), (["LFAR", "F"], ""), (["", ""], "")],
)  # fmt: skip
def test_orientation(read, value, orientation):
    assert read(PatientOrientation=value).orientation == orientation


@pytest.mark.parametrize(
    ("age", "years"), [("045Y", 45), ("18M", 1.5), ("052W", 364 / 365.25), ("999Y", math.nan)]
)
def test_age(read, age, years):
    assert read(PatientAge=age).age_years == pytest.approx(years, nan_ok=True)


@pytest.mark.parametrize("vr", ["US", "AT", "LO", "FL"])
def test_texts_that_are_declared_to_be_something_else(tmp_path, vr):
    path = write_dicom(tmp_path / "x.dcm", RAMP, bits=12, ImageType=["ORIGINAL", "PRIMARY"])
    content = path.read_bytes()
    assert content.count(b"\x08\x00\x08\x00CS") == 1
    path.write_bytes(content.replace(b"\x08\x00\x08\x00CS", b"\x08\x00\x08\x00" + vr.encode()))
    # A long string is as good as a coded one.
    expected = ("ORIGINAL", "PRIMARY") if vr == "LO" else ()
    assert read_radiograph(path).image_type == expected


@pytest.mark.parametrize("value", [7.5, 3, "text"])
def test_a_sequence_that_is_none_is_malformed(monkeypatch, value):
    # Damaged files have led pydicom to give such values for a sequence.
    monkeypatch.setattr(header, "value_of", lambda dataset, keyword: value)
    with pytest.raises(ImageError, match="VOILUTSequence is malformed"):
        header.item_of(Dataset(), "VOILUTSequence")
