"""What texts of headers and tables mean: the same in both, and never nothing where something is."""

from __future__ import annotations

import math

import pytest

from sscdl.archives.reading import read_index
from sscdl.dicom import terms
from sscdl.dicom.render import read_radiograph
from tests.unit.dicom_files import RAMP, write_dicom
from tests.unit.table_archives import archive

VIEWS = {
    # Of MIMIC-CXR, PadChest and CheXpert, and what people write by hand.
    "AP": "AP", "PA": "PA", "pa": "PA", "LL": "LL", "LATERAL": "LATERAL", "L": "LATERAL",
    "XTABLE LATERAL": "LATERAL", "LAO": "LAO", "RAO": "RAO", "LPO": "LPO", "RPO": "RPO",
    "OBLIQUE": "OBLIQUE", "AP AXIAL": "AXIAL", "AP LLD": "LLD", "PA RLD": "RLD",
    "SWIMMERS": "OTHER", "COSTAL": "OTHER", "EXCLUDE": "OTHER", "AP_horizontal": "AP",
    "postero-anterior": "PA", "antero-posterior": "AP", "Posterior-Anterior": "PA",
    "POSTERO_ANTERIOR": "PA", "A.P.": "AP", "p.a.": "PA", "A-P": "AP", "A.P. / P.A.": "",
    "left anterior oblique": "OBLIQUE", "antero-posterior oblique": "OBLIQUE",
    "AP_SUPINE": "AP", "AP (portable)": "AP", "PA ERECT": "PA", "Posteroanterior": "PA",
    "Frontal": "", "AP/PA": "", "Left lateral": "LL", "right lateral decubitus": "RLD",
    "Decubitus": "OTHER", "PA AND LATERAL": "LATERAL", "LAT/OBL": "OTHER", "P": "OTHER",
    "0": "OTHER", "\u00e9\u00e9": "OTHER", "\u5b85": "OTHER", "JANE DOE": "OTHER",
    "": "", " ": "", "-": "", "N/A": "", "unknown": "", "None": "", "?": "",
}  # fmt: skip


@pytest.mark.parametrize(("text", "view"), VIEWS.items())
def test_views(text, view):
    assert terms.view(text) == view


def test_headers_and_tables_speak_alike(tmp_path):
    """One text, read by way of a table and of a header."""
    texts = [text for text in VIEWS if text.isascii()]
    rows = [(f"{n}.png", text) for n, text in enumerate(texts)]
    dataset = archive(tmp_path, ("f", "v"), rows, [row[0] for row in rows],
                      columns={"file": "f", "view": "v"})  # fmt: skip
    table = read_index(dataset).images.set_index("path")["view"].to_dict()
    file = tmp_path / "x.dcm"
    for name, text in rows:
        header = read_radiograph(write_dicom(file, RAMP, bits=12, ViewPosition=text)).view
        assert header == table[name] == VIEWS[text], text


def test_sexes_and_modalities():
    sexes = {"f": "F", "Male": "M", "O": "", "Unknown": "", "": "", "W": "OTHER", "1": "OTHER"}
    assert {text: terms.sex(text) for text in sexes} == sexes
    modalities = {"cr": "CR", "DX": "DX", "CT": "CT", "": "", "XRAY": "OTHER", "JANE": "OTHER"}
    assert {text: terms.modality(text) for text in modalities} == modalities


def test_ages():
    ages = {"058Y": 58, "58": 58, "006M": 0.5, "18M": 1.5, "0": 0, "130": 130}
    assert {text: terms.years(text) for text in ages} == ages
    for text in ("999Y", "131", "old", "-1", "Y", "1e3", "12 Y"):
        assert terms.years(text) == math.inf
    for text in (" ", "nan", "N/A", "Unknown", "-"):
        assert math.isnan(terms.years(text)), text
