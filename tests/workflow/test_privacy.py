"""Nothing that a header says of a person is in any output of a run."""

from __future__ import annotations

import copy
import zipfile

import pydicom
import pytest
from pydicom.dataset import Dataset
from safetensors.torch import save_file

from sscdl import places
from sscdl.__main__ import main
from sscdl.images.held_out import read_as_texts
from sscdl.phantom.archive import write_archive
from sscdl.training.backbones import build_backbone
from tests.workflow.conftest import TINY, Runner

PLANTED = {
    "PatientName": "Zyxwvut^Qpalzm",
    "PatientID": "MRN-7734119",
    "OtherPatientIDs": "ALT-5520931",
    "PatientBirthDate": "19310227",
    "PatientAddress": "17 Quillfeather Lane",
    "PatientComments": "Wubbleford remark",
    "StudyDate": "20131119",
    "AcquisitionDateTime": "20131119083312",
    "AccessionNumber": "ACC8842017",
    "InstitutionName": "Saint Frobnicus",
    "ReferringPhysicianName": "Grumbledore^Hexanthia",
    "OperatorsName": "Snorkwell^Idagrund",
    "StudyDescription": "Thneedville portable",
    "SeriesDescription": "Vermicious series",
    "ImageComments": "Oompaville note",
    "StationName": "KZXROOM9",
    "DeviceSerialNumber": "SN90210666",
    "ProtocolName": "Gollumpus",
    "BodyPartExamined": "CHEST",
    "Modality": "DX",
}
USER = "zanzibarova"
SEARCHED = {
    piece.encode()
    for name, text in PLANTED.items()
    if name not in ("BodyPartExamined", "Modality")
    for piece in text.split("^")
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Runner:
    """Return a finished study on an archive whose headers are full of identifiers."""
    place = tmp_path_factory.mktemp("privacy") / "home" / USER
    root = place / "siim"
    write_archive(root, patients=24, size=96, seed=5, classes={"negative": 0.5, "typical": 0.5})
    files = sorted((root / "train").rglob("*.dcm"))
    for number, path in enumerate(files):
        dataset = pydicom.dcmread(path)
        patient = dataset.PatientID
        for name, text in PLANTED.items():
            setattr(dataset, name, text)
        # Patients must differ for the split, and each must carry a planted id.
        dataset.PatientID = f"{PLANTED['PatientID']}-{patient}"
        block = dataset.private_block(0x0011, "Hexmaker", create=True)
        block.add_new(1, "LO", "Frobnicus private")
        code = Dataset()
        code.CodeMeaning = "Wubbleford remark"
        dataset.RequestAttributesSequence = [code]
        dataset.save_as(path)
        if number == 0:  # one that is rejected: its reason must not quote the header either
            dataset.PhotometricInterpretation = "Qpalzm"
            dataset.save_as(path)
        if number == 1:
            path.write_bytes(path.read_bytes()[:-400])
    config = copy.deepcopy(TINY)
    config["dataset"] = {"layout": "siim", "siim": {"root": str(root)}}
    config["lungs"] = {"source": "masks", "masks": {"folder": str(root / "truth/masks")}}
    config["ingest"] = {"find_text": True}
    config["results"] = {"panel_images": 2, "patient_images": True}
    weights = place / "weights.safetensors"
    save_file(dict(build_backbone("resnet18", 2).state_dict()), weights)
    config["roots"] = {"mine": {"file": str(weights)}}
    config |= {"store": str(place / "store"), "variants": ["full"], "curricula": ["mine"]}
    runner = Runner(place / "run", config)
    runner("all", "contact_sheet", "mask_sheet")
    runner("plan")
    runner("--report", str(runner.results / "report.zip"))
    return runner


def test_no_output_holds_a_planted_identifier(finished):
    searched = 0
    for folder in (finished.folder, finished.folder.parent / "store"):
        for path in folder.rglob("*"):
            if not path.is_file():
                continue
            for name, content in contents(path):
                found = {word for word in SEARCHED if word in content}
                assert not found, f"{name}: {found}"
            searched += 1
    assert searched > 60


def test_no_output_holds_a_path_that_names_its_user(finished):
    """Logs do, and so may the configuration: both are for whoever runs the study."""
    home = finished.folder.parent
    main(["model", "export", str(home / "store"), str(home / "model"), "--configfile",
          str(finished.folder / "study.yaml"), "--segmenter", "default"])  # fmt: skip
    searched = 0
    for folder in (finished.results, home / "store", home / "model"):
        for path in folder.rglob("*"):
            if path.is_file() and "logs" not in path.relative_to(folder).parts:
                assert not [name for name, text in contents(path) if USER.encode() in text], path
                searched += 1
    assert searched > 100
    images = read_as_texts(finished.results / "images.csv")
    for text in [*images["png"], *filter(None, images["mask"])]:
        assert places.found(text, home / "store").is_file()


def contents(path) -> list[tuple[str, bytes]]:
    """Return what a file holds, and what the files in it hold if it is an archive, by name."""
    found = [(str(path), path.read_bytes())]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found += [(name, archive.read(name)) for name in archive.namelist()]
    return found


def test_the_two_damaged_files_were_named_without_their_contents(finished):
    text = (finished.results / "rejected.csv").read_text()
    assert "photometric interpretation" in text
    assert "truncated" in text or "cut off" in text or "cannot be" in text


def test_pngs_hold_pixels_alone(finished):
    pngs = list((finished.folder.parent / "store").glob("images/*/png/*.png"))
    assert pngs
    for path in pngs:
        content, position, kinds = path.read_bytes(), 8, set()
        while position < len(content):
            length = int.from_bytes(content[position : position + 4], "big")
            kinds.add(content[position + 4 : position + 8])
            position += 12 + length
        assert kinds == {b"IHDR", b"IDAT", b"IEND"}, path
