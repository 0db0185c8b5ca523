"""What pages and the comments of configurations say to give for a published split is understood."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from sscdl.archives.reading import read_index
from sscdl.study.reading import read_config
from sscdl.study.study import Study
from tests.conftest import ROOT

CONFIG = ROOT / "config"
PAGE = (CONFIG / "README.md").read_text().partition("### A split that is given")[2]
PAGE = PAGE.partition("\n### Several findings")[0]
HEADERS = {
    "nih-chestxray14": "Image Index,Finding Labels,Patient ID,Patient Age,Patient Gender,"
    "View Position",
    "chexpert": "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Pneumonia",
}


def nih(root):
    """Write two images in the shape of ChestX-ray14, with the two published lists."""
    rows = ["00000001_000.png,No Finding,1,50,M,PA", "00000002_000.png,Pneumonia,2,50,F,PA"]
    text = "\n".join([HEADERS["nih-chestxray14"], *rows])
    (root / "Data_Entry_2017_v2020.csv").write_text(text)
    for row, name in zip(rows, ("train_val_list.txt", "test_list.txt"), strict=True):
        (root / row.partition(",")[0]).touch()
        (root / name).write_text(row.partition(",")[0])


def chexpert(root):
    """Write two images in the shape of CheXpert, with its two tables."""
    for side, number in (("train", "00001"), ("valid", "64541")):
        path = f"{side}/patient{number}/study1/view1_frontal.jpg"
        (root / path).parent.mkdir(parents=True)
        (root / path).touch()
        row = f"CheXpert-v1.0-small/{path},Female,68,Frontal,AP,1.0,"
        (root / f"{side}.csv").write_text(f"{HEADERS['chexpert']}\n{row}\n")


ARCHIVES = {"nih-chestxray14": nih, "chexpert": chexpert}


def commands():
    """Return (configuration, settings) of each command of the page on given splits."""
    words = [shlex.split(line) for line in PAGE.splitlines() if line.startswith("snakemake plan")]
    return [(one[one.index("--configfile") + 1], one[one.index("--config") + 1 :]) for one in words]


def comments(name):
    """Return the settings that the comments above a configuration give, the last of each key."""
    head = (CONFIG / f"{name}.yaml").read_text().partition("study:")[0]
    text = re.sub(r"\s*\\?\n#\s*", " ", head)
    found = re.findall(r"'((?:dataset|split)=[^']*)'", text)
    return [one.replace("<folder>", "/archive") for one in found]


def sides(config, root):
    """Return the sides of a study of one image to train on and one to test on."""
    assert config["split"]["source"] == "lists"
    config["dataset"]["table"]["root"] = str(root)
    return Study(config).split_read["files"]


def test_the_page_has_a_command_for_each_published_split():
    assert [name for name, _ in commands()] == [f"config/{name}.yaml" for name in ARCHIVES]


@pytest.mark.parametrize("place", range(2))
def test_the_commands_of_the_page_give_the_published_split(place, tmp_path):
    file, settings = commands()[place]
    ARCHIVES[list(ARCHIVES)[place]](tmp_path)
    config = read_config([ROOT / file], settings, store=str(tmp_path / "store"))
    assert sides(config, tmp_path) == {"train": 1, "test": 1}


@pytest.mark.parametrize("name", ARCHIVES)
def test_what_the_comments_of_a_configuration_give_is_the_published_split(name, tmp_path):
    ARCHIVES[name](tmp_path)
    settings = comments(name)
    assert any(one.startswith("split=") for one in settings)
    config = read_config([CONFIG / f"{name}.yaml"], settings, store=str(tmp_path / "store"))
    assert sides(config, tmp_path) == {"train": 1, "test": 1}


def test_the_blocks_and_settings_of_the_page_are_understood():
    (block,) = re.findall(r"```yaml\n(split: .*)\n```", PAGE)
    given = yaml.safe_load(block)["split"]
    drawn = re.search(r"`(split=\{source: drawn, [^`]*)`", PAGE)[1]
    file, base = CONFIG / "nih-chestxray14.yaml", ["dataset={table: {root: /archive}}"]
    column = read_config([file], [*base, f"split={given}"])
    assert column["split"]["column"]["val"] == [3]
    assert read_config([CONFIG / "kermany.yaml"], [drawn])["split"]["source"] == "drawn"


FILES = {
    "test/PNEUMONIA/person101_bacteria_484.jpeg": ("bacterial", "person101"),
    "train/PNEUMONIA/person101_virus_187.jpeg": ("viral", "person101"),
    "train/PNEUMONIA/BACTERIA-1008087-0001.jpeg": ("bacterial", "BACTERIA-1008087"),
    "train/PNEUMONIA/BACTERIA-1008087-0002.jpeg": ("bacterial", "BACTERIA-1008087"),
    "test/PNEUMONIA/VIRUS-1008087-0001.jpeg": ("viral", "VIRUS-1008087"),
    "train/NORMAL/NORMAL-28501-0001.jpeg": ("", "NORMAL-28501"),
    "test/NORMAL/IM-0001-0001.jpeg": ("", "IM-0001"),
}


def kermany(root, text, files):
    """Return label and patient of each file by a configuration's text."""
    for file in files:
        (root / "chest_xray" / file).parent.mkdir(parents=True, exist_ok=True)
        (root / "chest_xray" / file).touch()
    folders = yaml.safe_load(text)["dataset"]["folders"]
    dataset = {"layout": "folders", "root": str(root), "ids": "file", **folders}
    rows = read_index(dataset).images.to_dict("records")
    return {
        row["path"].removeprefix("chest_xray/"): (row["label"], row["patient_id"]) for row in rows
    }


@pytest.mark.parametrize("names", ["", "person", "-1008087-"])
def test_kermanys_files_are_found_by_either_way_to_name_them(tmp_path, names):
    files = {file: row for file, row in FILES.items() if names in file or "NORMAL" in file}
    text = (CONFIG / "kermany.yaml").read_text()
    assert kermany(tmp_path, text, files) == {
        file: ("normal" if "NORMAL" in file else "pneumonia", patient)
        for file, (_, patient) in files.items()
    }


@pytest.mark.parametrize("names", ["", "person", "-1008087-"])
def test_the_comments_of_kermanys_configuration_ask_bacterial_against_viral(tmp_path, names):
    files = {file: row for file, row in FILES.items() if names in file or "NORMAL" in file}
    text = (CONFIG / "kermany.yaml").read_text()
    pattern = re.search(r"\n +# (\(.*PNEUMONIA.*)\n +- '.*PNEUMONIA.*'", text)
    text = text.replace(pattern[0], f"\n      - '{pattern[1]}'")
    labels = re.search(r"\n +normal: .*\n +pneumonia: .*# (bacterial: .*), (viral: .*)", text)
    text = text.replace(labels[0], f"\n      {labels[1]}\n      {labels[2]}")
    assert kermany(tmp_path, text, files) == files
