"""``sscdl new`` without a table: which of the folders above an image is its label."""

from __future__ import annotations

import os
import random
import re
import shlex
from pathlib import Path

import pytest

from sscdl.errors import InputError
from sscdl.front import levels, new, patients, propose
from tests.unit.front.image_trees import read, sides, tree

pytestmark = pytest.mark.usefixtures("here")

TWO = [("NORMAL", "ILL")[n % 2] for n in range(60)]
PLAIN = [f"{label}/patient{n // 2}_{n}.png" for n, label in enumerate(TWO)]


@pytest.mark.parametrize(
    ("images", "others"),
    [
        ("images/{}", "masks/{}"),
        ("{}", "heatmaps/{}"),
        ("x/{}", "annotations/{}"),
        ("x/{}", "lung segmentations/{}"),
        ("A.b (1)/{}", "Contours/a/{}"),
        ("lung segmentation/images/{}", "lung segmentation/lung Masks/{}"),
    ],
)
def test_what_is_drawn_on_radiographs_is_set_aside_and_told(tmp_path, capsys, images, others):
    root = tree(tmp_path / "mine", map(images.format, PLAIN))
    tree(root, map(others.format, PLAIN[:40]))
    tree(root, [images.format(f"NORMAL/patient{n}_mask.png") for n in range(5)])
    new.main([str(root)])
    _, labels, _ = read("mine.yaml")
    assert sorted(labels) == sorted(map(images.format, PLAIN))
    assert "45 of 105 files are set aside, as their paths say" in capsys.readouterr().out


def test_many_findings_of_one_kind_hide_no_other(tmp_path, capsys, monkeypatch):
    root = tree(tmp_path / "mine", [f"{'ab'[n % 2]}/{n}.png" for n in range(40)])
    tree(root, [f"masks/{n}.png" for n in range(40)])
    new.main([str(root), "--no-patient"])
    said = capsys.readouterr().out
    assert re.search("left out .file 4. by path., and 39 more of that kind .a run lists", said)
    assert "no group for the patient: each PNG, JPEG or TIFF file counts as another" in said
    monkeypatch.setattr(new, "_MOST_KINDS", 1)
    new.main([str(root), "--no-patient", "--study", "two"])
    assert "and 1 more of other kinds (a run lists all)" in capsys.readouterr().out


@pytest.mark.parametrize("first", ["train/{}", "x/{}"])
def test_sides_of_some_images_below_labels_are_other_folders(tmp_path, first):
    """They are found all the same, and no split is made of them."""
    paths = [
        (first if n < 20 else "{}").format(path).replace("/p", "/train/p" if n > 39 else "/p")
        for n, path in enumerate(PLAIN)
    ]
    new.main([str(tree(tmp_path / "mine", paths)), "--classes", "NORMAL", "ILL"])
    config, labels, _ = read("mine.yaml")
    assert {path: label.upper() for path, label in labels.items()} == dict(
        zip(paths, TWO, strict=True)
    )
    assert "split>" not in str(config["dataset"]["folders"]["patterns"])


def test_a_word_that_all_paths_have_sets_nothing_aside(tmp_path):
    new.main([str(tree(tmp_path / "mine", [f"face masks/{path}" for path in PLAIN]))])
    assert len(read("mine.yaml")[1]) == len(PLAIN)


VIEWS = [path.replace("/", f"/{('AP', 'PA')[n // 2 % 2]}/") for n, path in enumerate(PLAIN)]
SITES = [f"site {n // 2 % 2}/{path}" for n, path in enumerate(PLAIN)]
KINDS = [path.replace("ILL/", f"ILL/{('a', 'b')[n // 2 % 2]}/") for n, path in enumerate(PLAIN)]
NUMBERS = [path.replace("/", f"/{n:04}/") for n, path in enumerate(PLAIN)]


@pytest.mark.parametrize(
    ("paths", "levels", "meant"),
    [
        (VIEWS, ["ILL .30., NORMAL .30.", "AP .30., PA .30."], ["NORMAL", "ILL"]),
        (VIEWS, ["ILL .30., NORMAL .30.", "AP .30., PA .30."], ["AP", "PA"]),
        (SITES, ["site 0 .30., site 1 .30.", "ILL .30., NORMAL .30."], ["NORMAL", "ILL"]),
        (KINDS, ["ILL .30., NORMAL .30.", "NORMAL .30., . .15., . .15."], ["NORMAL", "ILL"]),
        (KINDS, ["ILL .30., NORMAL .30.", "NORMAL .30., . .15., . .15."], ["NORMAL", "a", "b"]),
        (NUMBERS, ["ILL .30., NORMAL .30."], ["NORMAL", "ILL"]),
    ],
)
def test_of_folders_in_folders_it_must_be_said_which_are_the_labels(
    tmp_path, answers, paths, levels, meant
):
    root = tree(tmp_path / "mine", paths)
    with pytest.raises(InputError, match="the labels: .*" + ".*or ".join(levels)) as refused:
        new.main([str(root)])
    ways = re.findall(r"--classes ((?:\S+ )*?[^ ;]+)(?:; |$)", str(refused.value))
    assert len(ways) == len(levels), "each level is named as a choice"
    assert set(shlex.split(ways[0])) in ({"NORMAL", "ILL"}, {"site 0", "site 1"})
    assert any(set(shlex.split(way)) == set(meant) for way in ways)
    assert ("have others, too" in str(refused.value)) == (len(levels) == 1)
    with pytest.raises(InputError, match="--classes none=nowhere: is none of the folders"):
        new.main([str(root), "--classes", "NORMAL", "none=nowhere"])
    with pytest.raises(InputError, match="--classes normal: .*did you mean 'NORMAL'"):
        new.main([str(root), "--classes", "normal", "ILL"])
    new.main([str(root), "--classes", *meant, "--study", "told"])
    _, labels, patients = read("told.yaml")
    expected = {path: next(one.lower() for one in meant if f"{one}/" in path) for path in paths}
    assert labels == expected
    assert len(set(patients.values())) == 30
    number = 1 + ("AP" in meant or "a" in meant or paths is SITES)
    asked = answers("", str(number), *([""] if len(meant) == 2 else ["1 2 3"]), "")
    new.main([str(root)])
    assert asked[0] == asked[1], "Enter is no answer to it"
    assert read("mine.yaml")[1] == expected


def test_sides_between_and_folders_above_all_are_no_labels(tmp_path, answers):
    """Views below sides would be labels by themselves, as would sides."""
    paths = [f"all/{('train', 'test')[n // 2 % 2]}/images/{path}" for n, path in enumerate(PLAIN)]
    answers("", "", "")
    new.main([str(tree(tmp_path / "mine", paths))])
    config, labels, _ = read("mine.yaml")
    assert set(labels.values()) == {"normal", "ill"}
    assert all(side == path.split("/")[1] for path, side in sides(config).items())
    below = [
        path.replace("/", f"/{('train', 'test')[n // 2 % 2]}/") for n, path in enumerate(PLAIN)
    ]
    answers("", "", "")
    new.main([str(tree(tmp_path / "below", below))])
    config, labels, _ = read("below.yaml")
    assert set(labels.values()) == {"normal", "ill"}
    assert all(side == path.split("/")[1] for path, side in sides(config).items())


def test_a_file_that_a_pattern_would_find_by_mistake_is_refused(tmp_path):
    inner = ["x", "NORMAL", "ILL"]
    root = tree(tmp_path / "mine", [f"x/{inner[n % 3]}/patient{n}.png" for n in range(60)])
    tree(root, ["x/patient0.png"])
    with pytest.raises(InputError, match="1 file lies so .*x/patient0.png.; move them, or write"):
        new.main([str(root)])


@pytest.mark.parametrize(
    "path",
    [
        "{label}/patient{n}/{k}.png",
        "{label}/images/Subject-{n}/png/{k}.png",
        "train/{label}/sub-{n}/ses-1/{k}.png",
        "{label}/PERSON_{n}/study{k}/patient.png",
    ],
)
def test_folders_of_patients_are_the_patients(tmp_path, path):
    paths = [
        path.format(label=label, n=n, k=k)
        for n, label in enumerate(["NORMAL", "ILL"] * 10)
        for k in range(3)
    ]
    new.main([str(tree(tmp_path / "mine", paths))])
    _, labels, patients = read("mine.yaml")
    assert labels == {one: "normal" if "NORMAL" in one else "ill" for one in paths}
    number = re.compile(r"\d+(?=/)")
    assert len({(number.search(one)[0], patients[one]) for one in paths}) == 20
    assert len(set(patients.values())) == 20


def test_folders_of_patients_alone_are_no_labels_and_told(tmp_path, capsys):
    root = tree(tmp_path / "mine", [f"patient{n % 4}/{n}.png" for n in range(80)])
    with pytest.raises(InputError, match="A study needs labels"):
        new.main([str(root)])
    assert "4 folders look like those of patients (such as patient" in capsys.readouterr().out
    assert list(Path().iterdir()) == []


def test_folders_that_are_too_many_for_labels_are_told(tmp_path, capsys):
    root = tree(tmp_path / "mine", [f"{n // 2}/{n}.png" for n in range(80)])
    with pytest.raises(InputError, match="A study needs labels"):
        new.main([str(root)])
    assert "no folders that may be labels: 40 names of folders" in capsys.readouterr().out


def plainly(paths):
    """Return what `places` and `drawn` are said to be, each path by itself."""
    words = {path: {one.lower() for one in propose.DRAWN.findall(path)} for path in paths}
    everywhere = set.intersection(*words.values())
    aside = {path: min(found - everywhere) for path, found in words.items() if found - everywhere}

    def label(name):
        patient = any(re.fullmatch(pattern, name) for pattern in patients._WRITTEN)
        return not (levels.is_plain(name) or levels.side_of(name) or patient)

    folders = {path: tuple(path.split("/")[:-1]) for path in paths}
    named = {
        path: tuple(n for n, one in enumerate(found) if label(one))
        for path, found in folders.items()
    }
    stacks = [tuple(folders[path][n] for n in found) for path, found in named.items() if found]
    common = len(os.path.commonprefix(stacks))
    left = {path: found[common:] for path, found in named.items()}
    return aside, [levels.Place(path, folders[path], left[path]) for path in paths if left[path]]


NAMES = [
    *("train", "Valid", "test", "NORMAL", "ILL", "images", "Images_01", "dcm", "study3", "all"),
    *("patient12", "sub-0a", "SUBJECT_7", "Case 1", "masks", "Heat-Map", "segs", "lung seg", "a.b"),
    *("annotatıons", "ſegmentations", "MAſK", "contour"),
]


@pytest.mark.parametrize("seed", range(8))
def test_places_are_those_of_each_path_by_itself(seed):
    draw = random.Random(seed)
    names, root = draw.sample(NAMES, 8), draw.choice(["", "lung masks/", "ILL/"])
    paths = [
        f"{root}{''.join(f'{draw.choice(names)}/' for _ in range(draw.randrange(5)))}{n}.png"
        for n in range(200)
    ]
    aside, placed = plainly(paths)
    assert levels.drawn(paths) == aside
    assert levels.places(paths) == placed
    left = [path for path in paths if path not in aside]
    assert levels.levels_of(paths) == levels.levels(plainly(left)[1] if left else [])


def test_a_name_of_folders_is_looked_at_once(monkeypatch):
    """Archives have hundreds of thousands of images, and to ask at each took ten seconds."""
    asked = []
    monkeypatch.setattr(levels, "is_patient", lambda name: bool(asked.append(name)))
    levels.levels_of([f"{'ab'[n % 2]}/p{n % 10}/{n}.png" for n in range(2000)])
    assert len(asked) == len(set(asked)) == 12
