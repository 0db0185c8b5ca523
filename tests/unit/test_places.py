"""Paths in the list of images lead to the pictures, and name nobody's home folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sscdl import places

PICTURE = "images/0123456789ab/png/x.png"


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
    ],
)
def test_a_path_begins_in_the_working_directory_or_in_the_store(tmp_path, monkeypatch, store, text):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    store = Path(store.format(tmp=tmp_path))
    picture = store / PICTURE
    picture.parent.mkdir(parents=True)
    picture.touch()
    assert places.written(picture, store) == text
    assert os.path.samefile(places.found(text, store), picture)
