"""Studies of several findings: what their configuration implies, and what does not go with them."""

from __future__ import annotations

import copy
import re
import shlex

import pytest
import yaml

from sscdl.archives.cohorts import MAIN
from sscdl.archives.reading import read_index
from sscdl.errors import InputError
from sscdl.study.config import check_config, load_schema
from sscdl.study.outputs import MADE, OF_FINDINGS, OF_OTHERS, Outputs
from sscdl.study.reading import read_config
from sscdl.study.reference import SCHEMA as PATH
from sscdl.study.study import Study
from sscdl.study.trie import Trie, curriculum_of, final_task
from tests.conftest import ROOT

SCHEMA = load_schema(PATH)
LABELS = {
    "Edema": {"column": "Edema", "values": [1], "unknown": [-1]},
    "Effusion": {"column": "Findings", "values": ["Effusion"], "separator": "|"},
}
GIVEN = {
    "study": "x", "findings": ["Effusion", "Edema"], "curricula": ["scratch", "moco"],
    "dataset": {"layout": "table", "table": {
        "root": "/archive", "table": "a.csv", "columns": {"file": "f"}, "labels": LABELS}},
    "variants": ["full"],
}  # fmt: skip


def checked(**changes):
    return check_config(copy.deepcopy(GIVEN) | changes, SCHEMA, folders=False)


def refused(**changes):
    with pytest.raises(InputError) as caught:
        checked(**changes)
    return str(caught.value)


def test_curricula_end_with_the_findings_and_have_their_tables():
    outputs = Outputs(checked())
    assert [one.task for one in outputs.stages] == ["findings", "moco", "findings"]
    assert [one.name for one in outputs.stages] == ["findings", "moco", "moco+findings"]
    assert {curriculum_of(one.name) for one in outputs.stages} == {"scratch", "moco"}
    assert outputs.tables == [*OF_OTHERS, *OF_FINDINGS]
    models = ["full.scratch.s0", "full.moco.s0"]
    assert outputs.predictions == {"": models, "untrained": ["full"]}
    curves = {"4.2_validation_curves", "roc", "precision_recall"}
    assert set(outputs.figures) == {"dataset", "comparisons", *curves}
    # Of ten panels and more, each variant has a page of its own.
    outputs = Outputs(checked(variants=["full", "inverted", "lung_box", "segmented_black",
                                        "segmented_gray"]))  # fmt: skip
    assert {f"roc-{name}" for name in outputs.variants} <= set(outputs.figures)
    assert all(MADE.fullmatch(f"tables/{name}.csv") for name in OF_FINDINGS)
    assert MADE.fullmatch("monitors/full/moco+findings.s0")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"classes": ["Effusion", "Edema"]}, "classes"),
        ({"label_share": 0.1}, "label_share"),
        ({"results": {"label_shares": [0.1]}}, "results.label_shares"),
        ({"results": {"cross_variants": True}}, "results.cross_variants"),
        ({"findings": ["Effusion", "edema"]}, "findings"),
        ({"dataset": {"layout": "phantom"}}, "findings"),
        ({"findings": ["Effusion", "Effusion"]}, "findings"),
        ({"findings": ["Effusion", "mean"]}, "findings"),
        ({"search": {"weights": "averaged"}}, "search.weights"),
        ({"findings": []}, "findings"),
        ({"stages": {"classify": {"batch_size": 8}}}, "stages.classify"),
    ],
)
def test_what_does_not_go_with_findings_is_refused_by_key(changes, key):
    message = refused(**changes)
    assert f"\n  {key}: " in message, message
    assert len(message.splitlines()) < 12


def test_what_is_left_at_its_default_is_no_fault():
    assert checked(results={"margin": 3})["findings"] == ["Effusion", "Edema"]


def test_the_commands_of_the_page_are_those_of_the_shipped_studies():
    page = (ROOT / "config/README.md").read_text().partition("### Several findings")[2]
    page = page.partition("What cannot be decided")[0]
    lines = [line for line in page.splitlines() if line.startswith("snakemake plan")]
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line)
        file, given = (words[words.index(f"--{key}") + 1] for key in ("configfile", "config"))
        assert read_config([ROOT / file], [given], folders=True)["findings"]
    (block,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    config = check_config({"study": "x"} | yaml.safe_load(block), SCHEMA, folders=False)
    assert config["findings"] == ["Effusion", "Edema"]


def test_rates_of_the_last_stage_are_ruled_by_its_name():
    rules = [{"stage": "findings", "values": [0.5]}, {"stage": "pretext", "values": [0.25]}]
    config = checked(learning_rate_rules=rules)
    trie = Trie(
        config["curricula"], stages=config["stages"], rules=rules, common={}, roots={},
        final=final_task(config),
    )  # fmt: skip
    for name in config["curricula"]:
        trie.add(name, "full", 0, {"pretext": {}, "final": {}})
    rates = {node.name: node.learning_rates for node in trie.nodes.values()}
    assert rates == {"moco": (0.25,), "findings": (0.5,), "moco+findings": (0.5,)}


def test_settings_of_the_other_last_stage_are_no_fault_beside_those_of_the_own():
    both = {"classify": {"batch_size": 8}, "findings": {"batch_size": 8}}
    assert checked(stages=both)["stages"]["findings"]["batch_size"] == 8
    message = refused(findings=[], classes=["Effusion", "Edema"], stages={"findings": {}})
    assert "stages.findings: given, but curricula of this study end with classify" in message


def test_another_layout_is_told_once():
    message = refused(dataset={"layout": "phantom"})
    assert len(message.splitlines()) == 2


NIH = [
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis",
    "Hernia", "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
]  # fmt: skip
NIH_ROWS = {
    "00000001_000.png": ("Cardiomegaly|Emphysema", "1", "Cardiomegaly|Emphysema", "train"),
    "00000001_001.png": ("No Finding", "1", "-", "train"),
    "00000002_000.png": ("Pleural_Thickening", "2", "Pleural_Thickening", "test"),
    "00000003_000.png": ("|".join(NIH[::-1]), "3", "|".join(NIH), "train"),
}


def test_the_shipped_study_of_nih_has_14_findings_on_the_official_lists(tmp_path):
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
        "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
    )
    lines = [header]
    sides = {"train": [], "test": []}
    for number, (name, (findings, patient, _, side)) in enumerate(NIH_ROWS.items()):
        folder = tmp_path / f"images_00{number + 1}/images"
        folder.mkdir(parents=True)
        (folder / name).touch()
        lines.append(f"{name},{findings},0,{patient},57,M,PA,2682,2749,0.143,0.143")
        sides[side].append(name)
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "train_val_list.txt").write_text("\n".join(sides["train"]))
    (tmp_path / "test_list.txt").write_text("\n".join(sides["test"]))
    study = shipped("nih-findings", tmp_path)
    assert study.config["findings"] == NIH
    assert study.split_read["files"] == {"train": 3, "test": 1}
    rows = listed(study)
    assert {
        path.rpartition("/")[2]: (row["label"], row["patient_id"]) for path, row in rows.items()
    } == {name: (label, patient) for name, (_, patient, label, _) in NIH_ROWS.items()}


def test_the_shipped_study_of_chexpert_knows_what_is_uncertain(tmp_path):
    header = (
        "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
        "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
        "Pleural Effusion,Pleural Other,Fracture,Support Devices"
    )
    rows = {
        "train/patient00001/study1/view1_frontal.jpg": (
            "Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0", "-"),
        "train/patient00002/study2/view1_frontal.jpg": (
            "Male,87,Frontal,AP,,,-1.0,1.0,,-1.0,-1.0,,1.0,,1.0,,,",
            "Atelectasis|Cardiomegaly?|Consolidation?|Edema?|Effusion"),
        "train/patient00002/study1/view2_lateral.jpg": ("Male,83,Lateral,,1.0,,,,,,,,,,,,,", None),
        "valid/patient64541/study1/view1_frontal.jpg": (
            "Male,73,Frontal,AP,0.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0",
            "Cardiomegaly"),
        "valid/patient64542/study1/view1_frontal.jpg": (
            "Male,73,Frontal,PA,0.0,1.0,1.0,1.0,0.0,1.0,1.0,0.0,1.0,0.0,1.0,0.0,0.0,0.0",
            "Atelectasis|Cardiomegaly|Consolidation|Edema|Effusion"),
    }  # fmt: skip
    for side in ("train", "valid"):
        lines = [header]
        for path, (cells, _) in rows.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
            if path.startswith(side):
                lines.append(f"CheXpert-v1.0-small/{path},{cells}")
        (tmp_path / f"{side}.csv").write_text("\n".join(lines) + "\n")
    study = shipped("chexpert-findings", tmp_path)
    assert study.split_read["files"]["test"] == 2
    found = {path: row["label"] for path, row in listed(study).items()}
    assert found == {path: label for path, (_, label) in rows.items() if label is not None}


def shipped(name, root):
    file, store = ROOT / f"config/{name}.yaml", str(root / "store")
    given = [f'dataset={{table: {{root: "{root}"}}}}']
    return Study(read_config([file], given, folders=True, store=store))


def listed(study):
    index = read_index(study.cohorts[MAIN])
    return {row["path"]: row for row in index.images.to_dict("records")}
