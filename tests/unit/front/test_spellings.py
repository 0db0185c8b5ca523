"""``sscdl new`` where one patient is written in several ways, or nobody is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from sscdl.archives.reading import read_index
from sscdl.errors import InputError
from sscdl.front import new
from tests.unit.front.image_trees import read, tree
from tests.unit.own_images import archive, written

pytestmark = pytest.mark.usefixtures("here")


def patients(name: str) -> list[str]:
    """Return the patient of each image of a table as a run reads it, by its number."""
    index = read_index({"layout": "table", **written(name)["dataset"]["table"]})
    found = index.images.set_index("path")["patient_id"].to_dict()
    return [found[f"images/{n}.png"] for n in range(40)]


def table(folder: Path, *ways: str) -> Path:
    """Make a table of 40 images of 20 patients or more, whose ids are written in these ways."""
    ids = [ways[n % len(ways)].format(n // 2 + 1) for n in range(40)]
    rows = [f"images/{n}.png,{one},{'ab'[n // 2 % 2]}" for n, one in enumerate(ids)]
    return archive(folder, "path,patient,label", rows)


@pytest.mark.parametrize(
    "ways",
    [
        ("{}", "{:03}"),
        ("{}", "{}.0"),
        ("p{}", "P_{:02}"),
        ("Patient {}", "{:04}"),
        ("a-{}", "A{}"),
    ],
)
def test_ids_of_one_number_may_be_one_patient(tmp_path, answers, ways):
    root = table(tmp_path / "mine", *ways)
    with pytest.raises(InputError, match="20 patients may be written in .*give --alike .*one, sev"):
        new.main([str(root)])
    new.main([str(root), "--alike", "several"])
    assert len(set(patients("mine.yaml"))) == 40
    new.main([str(root), "--alike", "one", "--study", "one"])
    found = patients("one.yaml")
    assert len(set(found)) == 20
    assert found[::2] == found[1::2]
    asked = answers("", "", "", "one", "", "", "two")
    new.main([str(root)])
    assert asked[2] == asked[3], "Enter is no answer to it"
    assert patients("two.yaml") == found


@pytest.mark.parametrize("ways", [("a{}", "b{}"), ("1-{}", "1{}"), ("s1p{}", "s2p{}"), ("x{}",)])
def test_other_ids_are_other_patients(tmp_path, ways):
    new.main([str(table(tmp_path / "mine", *ways))])
    assert len(set(patients("mine.yaml"))) == 20 * len(ways)


def test_ids_of_several_numbers_are_no_single_one(tmp_path):
    root = table(tmp_path / "mine", "3-{}", "3-{:03}")
    with pytest.raises(InputError, match="--alike one: '3-1' and .* have no single number each"):
        new.main([str(root), "--alike", "one"])
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("normal", "ill"),
    [
        ("patient{:03}_x.png", "Patient_{}_x.png"),
        ("patient{:02}_a.png", "patient{}_b.png"),
        ("patient{:02}/a.png", "patient{}/b.png"),
        ("person-{}.png", "subject{}/b.png"),
    ],
)
def test_folders_may_write_one_patient_in_several_ways(tmp_path, answers, normal, ill):
    paths = [f"NORMAL/{normal.format(n)}" for n in range(1, 10)]
    paths += [f"ILL/{ill.format(n)}" for n in range(1, 21)]
    more = [f"NORMAL/{normal.format(n)}" for n in range(30, 40)]
    root = tree(tmp_path / "mine", [*paths, *more])
    with pytest.raises(
        InputError, match="9 patients may be written in several ways, such as .*--a"
    ):
        new.main([str(root)])
    new.main([str(root), "--alike", "several"])
    assert len(set(read("mine.yaml")[2].values())) == 39
    new.main([str(root), "--alike", "one", "--study", "one"])
    found = read("one.yaml")[2]
    assert len(set(found.values())) == 30
    assert all(
        found[one] == found[other] for one, other in zip(paths[:9], paths[9:18], strict=True)
    )
    answers("", "one", "two")
    new.main([str(root)])
    assert read("two.yaml")[2] == found


def test_names_of_files_in_a_table_may_write_one_patient_in_several_ways(tmp_path):
    paths = [f"patient{n // 2 + 1:0{1 + n % 2 * 3}}_{n}.png" for n in range(40)]
    root = tree(tmp_path / "mine", paths)
    lines = [f"{path},{'ab'[n // 2 % 2]}" for n, path in enumerate(paths)]
    (root / "t.csv").write_text("\n".join(["path,label", *lines]))
    with pytest.raises(InputError, match="20 patients may be written .*give --alike"):
        new.main([str(root)])
    new.main([str(root), "--alike", "one"])
    index = read_index({"layout": "table", **written("mine.yaml")["dataset"]["table"]})
    assert index.images["patient_id"].nunique() == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--no-patient", "--unknown", "each"], "--unknown: .* no column tells the patient"),
        (["--no-patient", "--alike", "one"], "--alike: .* no column tells the patient; leave it"),
        (["--no-table", "--no-patient", "--alike", "one"], "--alike: .*the paths tell no patients"),
        (["--no-table", "--no-patient", "--unknown", "one"], "--unknown: .* has no table"),
    ],
)
def test_what_ids_mean_is_not_told_where_there_are_none(tmp_path, words, said):
    paths = [f"{'ab'[n % 2]}/{n}.png" for n in range(40)]
    lines = [f"{path},p{n},{path[0]}" for n, path in enumerate(paths)]
    root = archive(tmp_path / "mine", "path,patient,label", lines)
    tree(root, paths)
    with pytest.raises(InputError, match=said):
        new.main([str(root), *words])


def test_what_is_told_of_ids_and_changes_nothing_is_said_to(tmp_path, capsys):
    root = tree(tmp_path / "mine", [f"{'ab'[n % 2]}/patient{n}_x.png" for n in range(40)])
    new.main([str(root), "--alike", "one", "--no-patient"])
    said = capsys.readouterr().out
    assert "--alike one: no patient is written in several ways" in said
    assert "--no-patient: where paths tell a patient, that is taken all the same (" in said
    lines = [f"images/{n}.png,{n},{'ab'[n % 2]}" for n in range(40)]
    root = archive(tmp_path / "table", "path,patient,label", lines)
    new.main([str(root), "--unknown", "each"])
    assert "--unknown each: no image's patient is called unknown" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["unknown", "NaN", "n/a", "-1", "?"])
def test_who_is_not_known_is_no_patient_of_all_these_images(tmp_path, answers, word):
    lines = [f"images/{n}.png,{word if n < 15 else n},{'ab'[n % 2]}" for n in range(40)]
    root = archive(tmp_path / "mine", "path,patient,label", lines)
    shown = word.replace("?", "[?]")
    with pytest.raises(InputError, match=f"'{shown}' .15 images. may mean .*give --unknown .*each"):
        new.main([str(root)])
    new.main([str(root), "--unknown", "each"])
    found = patients("mine.yaml")
    assert found[:15] == [""] * 15
    assert len(set(found[15:])) == 25
    new.main([str(root), "--unknown", "one", "--study", "one"])
    assert len(set(patients("one.yaml")[:15])) == 1
    asked = answers("", "", "", "each", "", "", "two")
    new.main([str(root)])
    assert asked[2] == asked[3], "Enter is no answer to it"
    assert patients("two.yaml") == found


def test_both_may_be_so_of_one_column(tmp_path):
    ids = ["unknown", "-1", *(way.format(n) for n in range(1, 20) for way in ("{}", "p{:03}"))]
    lines = [f"images/{n}.png,{one},{'ab'[n // 2 % 2]}" for n, one in enumerate(ids)]
    root = archive(tmp_path / "mine", "path,patient,label", lines)
    new.main([str(root), "--unknown", "each", "--alike", "several"])
    assert len(set(patients("mine.yaml")[2:])) == 38
    lines = [line.replace(",p", ",0") for line in lines]
    root = archive(tmp_path / "two", "path,patient,label", lines)
    new.main([str(root), "--unknown", "each", "--alike", "one"])
    found = patients("two.yaml")
    assert found[:2] == ["", ""]
    assert found[2::2] == found[3::2]
    assert len(set(found[2:])) == 19
