"""Paths in the list of images lead to the pictures, and name nobody's home folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sscdl import places

PICTURE = "images/0123456789ab/png/x.png"


def test_a_link_inside_the_store_is_not_followed(tmp_path, monkeypatch):
    for folder in ("run", "store", "quillfeather"):
        (tmp_path / folder).mkdir()
    (tmp_path / "store/images").symlink_to(tmp_path / "quillfeather")
    monkeypatch.chdir(tmp_path / "run")
    assert places.written(tmp_path / "store" / PICTURE, tmp_path / "store") == PICTURE


@pytest.mark.parametrize(
    ("store", "text"),
    [
        ("store", f"store/{PICTURE}"),
        ("../store", f"../store/{PICTURE}"),
        ("{tmp}/run/store", f"store/{PICTURE}"),
        ("{tmp}/run/../run/store", f"store/{PICTURE}"),
        ("{tmp}/quillfeather/store", PICTURE),
        ("{tmp}/run/../quillfeather/store", PICTURE),
        ("{tmp}/run-of-quillfeather/store", PICTURE),
        ("{tmp}/quillfeather/link/store", f"store/{PICTURE}"),  # which leads to the directory
        ("{tmp}/run/link/store", PICTURE),  # which leads out of it
    ],
)
def test_a_path_begins_in_the_working_directory_or_in_the_store(tmp_path, monkeypatch, store, text):
    for folder in ("run", "quillfeather", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "quillfeather/link").symlink_to(tmp_path / "run")
    (tmp_path / "run/link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "run")
    store = Path(store.format(tmp=tmp_path))
    picture = store / PICTURE
    picture.parent.mkdir(parents=True)
    picture.touch()
    assert places.written(picture, store) == text
    assert os.path.samefile(places.found(text, store), picture)
