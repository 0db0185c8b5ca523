"""The file of a study: its name, what it says, and what it holds as other places say it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from sscdl.errors import InputError
from sscdl.front import allowed, new
from sscdl.front.splits import Given
from sscdl.front.study_file import Draft, study_text
from tests.conftest import ROOT
from tests.unit.own_images import archive, written

pytestmark = pytest.mark.usefixtures("here")


def drafted(**further) -> dict:
    """Return what the study file of a small archive holds, as it stands there."""
    return yaml.safe_load(text_of(**further))


def text_of(**further) -> str:
    draft = {
        "study": "mine",
        "file": "mine.yaml",
        "dataset": {"layout": "siim", "root": "/data/mine"},
        "images": {"negative": 10, "typical": 10},
        "counted": {"negative": "10 images", "typical": "10 images"},
        "total": 20,
    }
    return study_text(Draft(**(draft | further)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], r"mine\.yaml: is there already; give another --output"),
        (["--study", "two"], r"two\.yaml: is there already"),
        (["--output", "two.yaml"], r"two\.yaml: is there already"),
        (["--study", "a/b"], "--study a/b: letters, digits, - and _, no more than 64"),
        (["--study", ""], "--study : letters"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_an_archive_is_read(tmp_path, words, said):
    (tmp_path / "mine").mkdir()  # without images, which would be said
    for name in ("mine.yaml", "two.yaml"):
        Path(name).touch()
    with pytest.raises(InputError, match=said):
        new.main([str(tmp_path / "mine"), *words])


def test_the_name_of_a_study_that_is_there_is_asked_again(tmp_path, answers, capsys):
    root = archive(tmp_path / "mine")
    Path("mine.yaml").write_text("kept")
    asked = answers("", "", "", "", "mine", "other")
    new.main([str(root)])
    assert asked[-2:] == ["Name of the study: "] * 2
    assert "mine.yaml is there already; give another name" in capsys.readouterr().out
    assert written("other.yaml")["study"] == "other"
    assert Path("mine.yaml").read_text() == "kept"


def test_a_told_name_that_is_there_ends_it_on_a_terminal_before_all_is_asked(tmp_path, answers):
    Path("two.yaml").touch()
    asked = answers("", "")
    with pytest.raises(InputError, match=r"two\.yaml: is there already"):
        new.main([str(archive(tmp_path / "mine")), "--study", "two"])
    assert asked == []


@pytest.mark.parametrize(
    ("wrong", "longest"), [(allowed.wrong_class, 32), (allowed.wrong_study, 64)]
)
def test_names_are_those_that_a_run_takes(wrong, longest):
    for name in ("a", "9-_z", "x" * longest):
        assert wrong(name) is None
    for name in ("", "-a", "a b", "ä", "a\n", "x" * (longest + 1)):
        assert f"no more than {longest}, a letter" in wrong(name)


def test_shares_are_those_of_a_run():
    split = new.read_config([ROOT / "config/demo.yaml"])["split"]
    shares = allowed.shares()
    assert list(shares) == ["train", "val", "test"]
    assert sum(shares.values()) == pytest.approx(1)
    assert drafted()["split"] == {"val": shares["val"], "test": shares["test"]}
    assert {side: split[side] for side in ("val", "test")} == drafted()["split"]


@pytest.mark.parametrize(
    ("images", "shards"), [(20, 4), (4999, 4), (12_000, 12), (64_999, 64), (112_120, 64)]
)
def test_a_job_converts_about_a_thousand_images(images, shards):
    assert drafted(total=images)["ingest"] == {"shards": shards}


def test_a_reason_with_signs_that_no_file_may_hold_is_written_all_the_same():
    block = {"source": "lists", "lists": {"train": "a.txt", "test": "b.txt"}}
    text = text_of(split=Given(block, False, "a\x07b.txt is\u2028no list\nof " + "images " * 40))
    lines = text.splitlines()
    assert yaml.safe_load(text)["split"] == drafted()["split"]
    at = next(n for n, line in enumerate(lines) if "is not taken: a b.txt is no list of" in line)
    assert all(line.startswith("# ") and len(line) <= 100 for line in lines[at : at + 4])


def test_the_readme_shows_what_is_written(tmp_path):
    new.main([str(archive(tmp_path / "mine"))])
    made = yaml.safe_load(Path("mine.yaml").read_text())
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (shown,) = (block for text in blocks if "stages" in (block := yaml.safe_load(text)))
    for key in ("curricula", "seeds", "image"):
        assert shown[key] == made[key], key
    assert shown["stages"] == {
        task: {key: settings[key] for key in ("learning_rates", "search_epochs", "final_epochs")}
        for task, settings in made["stages"].items()
    }
