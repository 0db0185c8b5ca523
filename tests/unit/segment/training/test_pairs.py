"""The index of pairs of images and masks: read as all tables are, with splits that are apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sscdl.errors import InputError
from sscdl.segment.training.pairs import pairs_from_folder


def pairs(
    folder: Path, text: str, encoding: str = "utf-8", same: str = ""
) -> list[tuple[str, str]]:
    """Write four pictures with the index ``text``; return (id, split) of the pairs.

    ``same`` are the pictures that are alike.
    """
    for number, name in enumerate("abcd"):
        gray = 200 if name in same else number
        for kind in ("images", "masks"):
            (folder / kind).mkdir(exist_ok=True)
            Image.new("L", (4, 4), gray).save(folder / kind / f"{name}.png")
    (folder / "index.csv").write_bytes(text.encode(encoding))
    return [(image.stem, split) for image, _, split in pairs_from_folder(folder)]


ROWS = "a,train,x\nb,train,y\nc,val,z\nd,test,w\n"
RIGHT = [("a", "train"), ("b", "train"), ("c", "val"), ("d", "test")]


def test_a_byte_order_mark_and_spaces(tmp_path: Path) -> None:
    assert pairs(tmp_path, "\ufeffid, split ,group\n" + ROWS) == RIGHT
    assert pairs(tmp_path, "id,split\r\na , train\r\nb,train\r\nc,val\r\nd,test\r\n") == RIGHT


def test_another_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index.csv, line 2: a byte \(e9\) is no text in UTF-8"):
        pairs(tmp_path, "id,split,group\n" + ROWS.replace("x", "\u00e9"), "latin-1")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,train,x\nb,test,x\nc,val,z\n", "lines 2 and 3: the group x is both in train and"),
        (
            "a,train,x\nb,train,y\nc,val,x\n",
            "lines 2 and 4: the group x is both in train and",
        ),
        ("a,train,x\nb,train,y\na,test,z\n", "lines 2 and 4: image a is there twice"),
        ("a,train\nb,train,y\n", "line 2: the row does not have the 3 fields"),
    ],
)
def test_what_would_be_judged_on_what_was_learnt(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"index.csv, {message}"):
        pairs(tmp_path, "id,split,group\n" + rows)


def test_one_picture_under_two_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a in train and d in test are one picture"):
        pairs(tmp_path, "id,split,group\n" + ROWS, same="ad")
    assert pairs(tmp_path, "id,split,group\n" + ROWS, same="ab") == RIGHT
