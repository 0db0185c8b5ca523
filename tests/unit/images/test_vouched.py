"""Lists, pictures and packed arrays that do not belong together are refused, with what to do."""

from __future__ import annotations

import pytest

from sscdl.errors import InputError
from sscdl.images.vouched import check_list, check_masks, describe_list, listed
from sscdl.recipe import file_hash
from tests.unit.damages import damages

LIST = "image_id,label,split\na,x,train\nb,y,train\nc,x,test\n"
PACK = {"ids": ["a", "b", "c"]}
SPLIT = {"by": "patient", "seed": 0}
DATA = {"split": SPLIT, "source": "s"}


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.csv"
    path.write_text(LIST)
    describe_list(path, split=SPLIT, source="s")
    return path


def test_a_list_that_belongs_to_its_images_is_taken(images):
    check_list(images, PACK, DATA)
    check_list(images, PACK, {"train": "all"})


@pytest.mark.parametrize(
    "text",
    [
        LIST[: LIST.index("c,")],
        LIST.replace("b,y", "b,x"),
        LIST.replace("c,x,test", "c,x,train"),
        LIST + "d,x,test\n",
        LIST.replace("a,x,train\n", ""),
        "",
    ],
    ids=["cut", "label", "split", "longer", "shorter", "empty"],
)
def test_a_list_that_was_changed_by_hand_is_refused(images, text):
    images.write_text(text)
    with pytest.raises(InputError, match=r"images\.csv: .* was edited or cut off; delete it and"):
        check_list(images, PACK, DATA)


@pytest.mark.parametrize(
    ("pack", "fault"),
    [
        (["a", "b"], r"3 and 2; not in both: c\)"),
        (["a", "b", "c", "d", "e", "f", "g"], r"3 and 7; not in both: d, e, f and 1 more\)"),
        (["a", "b", "c", "c"], "c is there twice"),
    ],
)
def test_a_list_of_other_images_is_refused(images, pack, fault):
    with pytest.raises(InputError, match=rf"images\.csv: lists other images .*{fault}"):
        check_list(images, {"ids": pack}, DATA)


@pytest.mark.parametrize(
    ("data", "what"), [({"split": {}}, "with another split"), ({"source": "t"}, "by other code")]
)
def test_a_list_of_another_split_is_refused(images, data, what):
    with pytest.raises(InputError, match=rf"images\.csv: was made {what} .* delete it and"):
        check_list(images, PACK, DATA | data)


def test_what_is_trained_on_all_images_has_the_given_split_of_its_list(images):
    about = {"given": "g", "given_source": "t"}
    with pytest.raises(InputError, match="was made with another split"):
        check_list(images, PACK, {"train": "all", **about})
    describe_list(images, split={**SPLIT, "given": "g"}, source="s", given_source="t")
    check_list(images, PACK, {"train": "all", **about})
    check_list(images, PACK, {"train": "all"})
    with pytest.raises(InputError, match="was made with another split"):
        check_list(images, PACK, {"train": "all", **about, "given": "h"})
    with pytest.raises(InputError, match="was made by other code"):
        check_list(images, PACK, {"train": "all", **about, "given_source": "u"})


def test_every_damage_of_the_description_is_named(images):
    path = images.with_suffix(".json")
    for how, _ in damages(path):
        with pytest.raises(InputError) as failed:
            check_list(images, PACK, DATA)
        assert str(path) in str(failed.value), how
    path.unlink()
    with pytest.raises(InputError, match=r"images\.json: .* is missing; delete images.csv"):
        check_list(images, PACK, DATA)


def test_a_picture_is_that_of_its_manifest_or_named(tmp_path):
    path, manifest = tmp_path / "a.png", tmp_path / "shard-0-of-1.json"
    path.write_bytes(b"picture")
    assert listed(path, file_hash(path), manifest) == path
    for harm in (lambda: path.write_bytes(b"another"), path.unlink, path.mkdir):
        before = file_hash(path) if path.is_file() else ""
        harm()
        with pytest.raises(InputError) as failed:
            listed(path, before, manifest)
        assert all(str(one) in str(failed.value) for one in (path, manifest))


def test_masks_belong_to_the_images_one_each(tmp_path):
    check_masks("ab", "ba", [tmp_path / "shard-0-of-1.json"])
    for masks in ("a", "abc", "abb", "ac"):
        with pytest.raises(InputError, match="lists of masks .* the masks alone are made again"):
            check_masks("ab", masks, [tmp_path / "shard-0-of-1.json"])
