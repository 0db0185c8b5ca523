"""An archive and a table that do not meet, as one of them is there in part: said on the terminal.

What counts here is what the readers of archives write, so that they are asked.
"""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import pandas as pd
import pytest

from sscdl.archives.reading import read_index
from sscdl.images import imagelist
from sscdl.images.classes import unmet
from tests.conftest import ROOT
from tests.unit.dicom_files import write_archive
from tests.unit.table_archives import archive


def table(folder, named: int, there: int, both: int) -> dict:
    """Make a table of so many rows and folder of so many files, ``both`` of them the same."""
    rows = [(f"{n}.png", "p") for n in range(named)]
    files = [f"{n}.png" for n in range(named - both, named - both + there)]
    return archive(folder, ("f", "p"), rows, files, columns={"file": "f", "patient": "p"})


def read(dataset: dict, *others: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return cohorts of images, and what is rejected, of an archive and one to pretrain on."""
    cohorts, problems = [], []
    for name, one in zip(("main", "pretraining"), (dataset, *others), strict=False):
        index = read_index(one)
        cohorts += [name] * len(index.images)
        lead = "" if name == "main" else f"{name}/"
        problems.append(index.problems.assign(file=lead + index.problems["file"]))
    return pd.DataFrame({"cohort": cohorts}), pd.concat(problems, ignore_index=True)


def test_a_table_that_is_cut_off_is_told(tmp_path):
    told = unmet(*read(table(tmp_path, named=40, there=70, both=40)))
    assert len(told) == 1
    assert told[0].startswith("30 image files have no row (table.csv: image files without a row")
    assert "beside 40 images that are used; is the table cut off, or is a part" in told[0]
    assert "rejected.csv" in told[0]


def test_an_archive_that_is_there_in_part_is_told_with_its_first_row(tmp_path):
    told = unmet(*read(table(tmp_path, named=1500, there=100, both=100)))
    assert [one.split(";")[0] for one in told] == [
        "1,400 rows name a file that is not there (table.csv: line 2: no such file below the root"
    ]


def test_a_few_strays_are_not_worth_a_word(tmp_path):
    assert unmet(*read(table(tmp_path, named=100, there=100, both=97))) == []


def test_one_archive_does_not_hide_the_other(tmp_path):
    whole, cut = table(tmp_path / "a", 300, 300, 300), table(tmp_path / "b", 5, 6, 5)
    (told,) = unmet(*read(whole, cut))
    assert told.startswith("1 image file has no row (pretraining/table.csv: ")
    assert unmet(*read(cut, whole))[0].startswith("1 image file has no row (table.csv: ")


@pytest.mark.parametrize("rows", [7, 20])
def test_tables_of_the_challenge_that_are_cut_off_are_told(tmp_path, rows):
    root = write_archive(tmp_path, [(f"s{n}", f"i{n}", "typical") for n in range(20)], dicom=False)
    for name in ("train_image_level.csv", "train_study_level.csv"):
        lines = (root / name).read_text().splitlines()
        (root / name).write_text("\n".join(lines[: rows + 1]) + "\n")
    told = unmet(*read({"layout": "siim", "root": str(root), "id_key": "k"}))
    assert len(told) == (rows < 20)
    assert all(one.startswith("26 files or studies have no row (train/s") for one in told)


def test_the_job_that_lists_images_says_so(tmp_path, monkeypatch):
    images, rejected = read(table(tmp_path / "data", named=40, there=70, both=40))

    def list_images(_, __, ___, images_csv, rejected_csv, **____):
        images.to_csv(images_csv, index=False)
        rejected.to_csv(rejected_csv, index=False)

    monkeypatch.setattr(imagelist, "list_images", list_images)
    monkeypatch.setenv("SSCDL_GIVEN_SPLIT", "null")
    params = dict.fromkeys(["implausible", "split", "treatment", "classes", "several", "masked"])
    job = SimpleNamespace(
        log=[str(tmp_path / "a.log")],
        input=SimpleNamespace(images=[], masks=[], phantom=[], near_duplicates=None),
        output=SimpleNamespace(images=tmp_path / "i.csv", rejected=tmp_path / "r.csv"),
        params=SimpleNamespace(truths=[], **params),
    )
    script = ROOT / "workflow/scripts/list_images.py"
    runpy.run_path(str(script), init_globals={"snakemake": job}, run_name="__main__")
    assert "WARNING 30 image files have no row" in (tmp_path / "a.log").read_text()
