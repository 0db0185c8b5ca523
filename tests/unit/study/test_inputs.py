"""Given files that cannot be used are refused while the study is planned."""

from __future__ import annotations

import os

import pytest

from sscdl.archives.digests import Digests
from sscdl.errors import InputError
from sscdl.front import look
from sscdl.study.inputs import Inputs, check_first_line, check_given
from tests.unit.study.test_study import study

FOLDERS = {"masks": ("",), "train": ("images", "masks")}


@pytest.fixture(params=FOLDERS)
def lungs(request, tmp_path) -> dict:
    """Return the block of a study with given masks, or with pairs, and make these."""
    for below in FOLDERS[request.param]:
        (tmp_path / "given" / below).mkdir(parents=True, exist_ok=True)
        (tmp_path / "given" / below / "x.PNG").touch()
    return {"source": request.param, request.param: {"folder": str(tmp_path / "given")}}


def refused(block: dict) -> str:
    with pytest.raises(InputError) as caught:
        study({"lungs": block}).check()
    return str(caught.value)


def shut(monkeypatch, path) -> None:
    """Let a file or folder be one that this user may not read; for root there is none."""
    scandir, access = os.scandir, os.access

    def look(where):
        if str(where) == str(path):
            raise PermissionError(13, "Permission denied", str(where))
        return scandir(where)

    monkeypatch.setattr(os, "scandir", look)
    monkeypatch.setattr(os, "access", lambda p, mode: str(p) != str(path) and access(p, mode))


def test_a_folder_or_a_picture_that_cannot_be_read_is_named(lungs, tmp_path, monkeypatch):
    check_given(lungs)
    source = lungs["source"]
    for below in FOLDERS[source]:
        for path in (tmp_path / "given" / below, tmp_path / "given" / below / "x.PNG"):
            with monkeypatch.context() as patch:
                shut(patch, path)
                message = refused(lungs)
            assert f"lungs.{source}.folder: {path} cannot be read (Permission denied)" in message


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=,", "sep=\t", "\ufeffsep=|"])
def test_a_line_for_excel_is_no_header(tmp_path, line):
    table = tmp_path / "labels.csv"
    table.write_text(f"{line}\npath;label\na.png;ill\n", encoding="utf-8")
    cohort = {"layout": "table", "root": str(tmp_path), "table": "labels.csv"}
    inputs = Inputs({"main": cohort}, {}, Digests(tmp_path / "digests"))
    with pytest.raises(InputError, match=r"dataset: .*labels.csv: its first line, .* delete that"):
        inputs.image_files()
    with pytest.raises(InputError, match="its first line"):
        look.Table(table)


def test_a_header_may_begin_as_such_a_line_does(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("sep=;path\nx;a.png\n", encoding="utf-8")
    check_first_line(table)
    check_first_line(tmp_path / "none.csv")


def test_a_link_that_leads_nowhere_is_said_to_be_one(lungs, tmp_path):
    for below in FOLDERS[lungs["source"]]:
        (tmp_path / "given" / below / "y.png").symlink_to("gone.png")
    message = refused(lungs)
    assert "y.png cannot be read (No such file or directory)" in message
    assert "where it leads" in message


def test_a_folder_without_pictures_is_named(lungs, tmp_path):
    for below in FOLDERS[lungs["source"]]:
        (tmp_path / "given" / below / "x.PNG").rename(tmp_path / "given" / below / "x.dcm")
    assert "has no file that ends in .png" in refused(lungs)


def test_masks_in_a_shut_folder_beside_are_nobodys_business(lungs, tmp_path, monkeypatch):
    (tmp_path / "given/lost+found").mkdir()
    shut(monkeypatch, tmp_path / "given/lost+found")
    check_given(lungs)


def test_a_link_deep_in_the_folder_that_leads_nowhere_is_named(lungs, tmp_path):
    """Whatever lies below the folder identifies it, also where nothing is read."""
    (tmp_path / "given/deep").mkdir()
    (tmp_path / "given/deep/y.png").symlink_to("gone.png")
    key = f"lungs.{lungs['source']}.folder"
    with pytest.raises(InputError, match=rf"{key}: \S+/deep/y\.png: cannot be read \(No such file"):
        Inputs({}, lungs, Digests(tmp_path / "store")).given  # noqa: B018
