"""What a store holds under an earlier identity is used on if it is the same, and only then."""

from __future__ import annotations

import copy
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from sscdl.archives.digests import earlier_content
from sscdl.archives.layouts import list_files
from sscdl.errors import InputError
from sscdl.files import read_json, write_json
from sscdl.study import identity
from sscdl.study.identity import Identity, complete, decide, settle
from sscdl.study.study import Study
from tests.unit.records import OF_ROWS
from tests.unit.study.test_study import siim, study, write_siim

OWN, EARLIER = "0" * 12, "e" * 12


def image(name: str, **change) -> dict:
    """Return what a manifest says of an image."""
    row = {"image_id": name, "png": f"{name}.png", "label": "typical", "boxes": [[0, 0, 1, 1]]}
    row |= {"patient_id": "ab", "sha256": "of the file", "pixel_hash": f"of {name}", "age": None}
    return row | change


def write_manifest(path, rows, kind):
    """Write a manifest of ``rows``, with what else such a file must hold."""
    rest = {"rejected": [], "failed": [], "problems": []} if kind == "images" else {}
    write_json(path, {kind: [OF_ROWS[kind] | row for row in rows], **rest})


def write(folder, rows, shards=2, kind="images"):
    """Write manifests and, in place of pictures, files of their names; return the manifests."""
    (folder / "png").mkdir(parents=True, exist_ok=True)
    paths = [folder / f"shard-{k}-of-{shards}.json" for k in range(shards)]
    for number, path in enumerate(paths):
        write_manifest(path, rows[number::shards], kind)
    for row in rows:
        if not (folder / "png" / row["png"]).exists():
            (folder / "png" / row["png"]).write_text(f"{folder.name} {row['png']}")
    return paths


def decided(store, earlier=EARLIER, shards=2, **settings):
    return decide(store, "images", OWN, lambda: [earlier], shards, **settings)


def test_nothing_of_before_is_nothing_to_decide(tmp_path):
    assert decided(tmp_path) == Identity("images", OWN, OWN)
    write(tmp_path / "images" / EARLIER, [image("a")])
    (tmp_path / "images" / EARLIER / "shard-1-of-2.json").unlink()
    assert decided(tmp_path) == Identity("images", OWN, OWN), "half of them"
    assert decided(tmp_path).record(tmp_path) is None
    assert decided(tmp_path).sentence() is None
    assert decided(tmp_path).made(tmp_path) == tmp_path / "images" / OWN


def test_what_is_there_under_the_own_identity_is_used(tmp_path):
    write(tmp_path / "images" / EARLIER, [image("a")])
    write(tmp_path / "images" / OWN, [image("a")])

    def never():
        raise AssertionError("the names of all files need not be listed once more")

    assert decide(tmp_path, "images", OWN, never, 2) == Identity("images", OWN, OWN)


def test_earlier_ones_are_undecided(tmp_path):
    write(tmp_path / "images" / EARLIER, [image("a")])
    found = decided(tmp_path)
    assert found == Identity("images", OWN, EARLIER, decided=False, shards=2)
    assert found.made(tmp_path) == tmp_path / "images" / f"{OWN}.anew"
    assert found.record(tmp_path) == tmp_path / f"identities/images.{OWN}.json"
    assert found.sentence().startswith(f"Undecided: the store has images ({EARLIER}) that")
    assert decided(tmp_path, earlier=OWN) == Identity("images", OWN, OWN)


def test_earlier_ones_keep_their_number_of_manifests(tmp_path):
    write(tmp_path / "images" / EARLIER, [image("a"), image("b")], shards=3)
    assert complete(tmp_path / "images" / EARLIER) == {3}
    assert decided(tmp_path).shards == 3
    assert decided(tmp_path, other_numbers=False) == Identity("images", OWN, OWN)
    write(tmp_path / "images" / EARLIER, [image("a"), image("b")], shards=2)
    assert decided(tmp_path).shards == 2


def test_the_same_are_used_on_and_the_copy_goes(tmp_path):
    old = write(tmp_path / "images" / EARLIER, [image("a"), image("b")])
    # Compressed by another version, and described by one that says more of an image.
    anew = [image("a", sha256="of another file", added="new"), image("b")]
    new = write(tmp_path / "images" / f"{OWN}.anew", anew, shards=1)
    record = decided(tmp_path).record(tmp_path)
    settle("images", old, new, record, made_of="archive")
    assert read_json(record) == {"same_as": EARLIER, "compared": 2}
    assert not (tmp_path / "images" / f"{OWN}.anew").exists()
    found = decided(tmp_path)
    assert found == Identity("images", OWN, EARLIER, shards=2)
    assert found.made(tmp_path) == tmp_path / "images" / EARLIER
    assert found.record(tmp_path) == record
    assert found.sentence().startswith(f"Accepted: the images {EARLIER}, which")
    other = decide(tmp_path, "images", "1" * 12, lambda: [EARLIER], 2)
    assert not other.decided, "another archive of these names and sizes"


CHANGES = [
    {"pixel_hash": "other"},
    {"label": "negative"},
    {"boxes": [[0, 0, 0.5, 1]]},
    {"patient_id": "cd"},
    {"age": 61.0},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_others_get_a_place_of_their_own(tmp_path, change):
    old = write(tmp_path / "images" / EARLIER, [image("a"), image("b")])
    before = {path: path.read_bytes() for path in (tmp_path / "images").rglob("*.*")}
    new = write(tmp_path / "images" / f"{OWN}.anew", [image("a"), image("b", **change)])
    record = decided(tmp_path).record(tmp_path)
    with pytest.raises(
        InputError, match=r"archive: .* is not what .* 1 of 2 images .* first is b\)"
    ):
        settle("images", old, new, record, made_of="archive")
    assert not record.exists()
    own = tmp_path / "images" / OWN
    assert (own / "png/b.png").read_text() == f"{OWN}.anew b.png"
    assert complete(own) == {2}
    assert not (tmp_path / "images" / f"{OWN}.anew").exists()
    assert decided(tmp_path) == Identity("images", OWN, OWN)
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize("rows", [["a"], ["a", "b", "c"]], ids=["one less", "one more"])
def test_other_images_are_others(tmp_path, rows):
    old = write(tmp_path / "images" / EARLIER, [image("a"), image("b")])
    new = write(tmp_path / "images" / f"{OWN}.anew", [image(name) for name in rows])
    with pytest.raises(InputError, match=r"1 of [23] images differ"):
        settle("images", old, new, tmp_path / "record.json", made_of="archive")


def test_a_place_that_was_begun_is_completed(tmp_path):
    """A crash amid the move: what is left is compared and moved in the next run."""
    old = write(tmp_path / "images" / EARLIER, [image("a")])
    new = write(tmp_path / "images" / f"{OWN}.anew", [image("a", label="negative")])
    (tmp_path / "images" / OWN / "png").mkdir(parents=True)
    new[0].parent.joinpath("png/a.png").rename(tmp_path / "images" / OWN / "png/a.png")
    assert not decided(tmp_path).decided
    with pytest.raises(InputError, match="1 of 1 images differ"):
        settle("images", old, new, tmp_path / "record.json", made_of="archive")
    assert decided(tmp_path) == Identity("images", OWN, OWN)


def test_two_runs_that_compare_at_once(tmp_path):
    old = write(tmp_path / "images" / EARLIER, [image("a")])
    new = write(tmp_path / "images" / f"{OWN}.anew", [image("a")])
    record = decided(tmp_path).record(tmp_path)
    settle("images", old, new, record, made_of="archive")
    before = record.read_bytes()
    with pytest.raises(InputError, match="has gone; another run has compared the same images"):
        settle("images", old, new, record, made_of="archive")
    assert record.read_bytes() == before


def test_masks_are_compared_by_their_pixels(tmp_path):
    def mask(name, digest):
        return {"image_id": name, "png": f"{name}.png", "sha256": digest, "faults": []}

    lungs = np.zeros((8, 8), np.uint8)
    lungs[2:6, 2:6] = 255
    folders = [tmp_path / "masks" / name for name in (EARLIER, f"{OWN}.anew")]
    for folder, level in zip(folders, (0, 9), strict=True):
        (folder / "png").mkdir(parents=True)
        Image.fromarray(lungs).save(folder / "png/a.png", compress_level=level)
    none = {"image_id": "b", "png": None, "sha256": None, "faults": []}
    for other, same in ((none, True), (mask("b", "given now"), False)):
        if other is not none:
            Image.fromarray(lungs).save(folders[1] / "png/b.png")
        manifests = []
        for folder, rows in zip(
            folders, ([mask("a", "x"), none], [mask("a", "y"), other]), strict=True
        ):
            manifests.append([folder / "shard-0-of-1.json"])
            write_manifest(manifests[-1][0], rows, "masks")
        compared = [identity._entries("masks", paths) for paths in manifests]
        folders_of_png = [folder / "png" for folder in folders]
        found = {
            name: identity._same_pixels(
                "sha256", compared[0][name], compared[1][name], *folders_of_png
            )
            for name in ("a", "b")
        }
        assert found == {"a": True, "b": same}
    lungs[0, 0] = 255
    Image.fromarray(lungs).save(folders[1] / "png/a.png")
    with pytest.raises(InputError, match="2 of 2 masks differ"):
        settle("masks", *manifests, tmp_path / "record.json", made_of="lungs.masks")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"same_as": "../x"}', '{"same_as": 3}', "{"])
def test_a_damaged_record_is_named(tmp_path, text):
    record = tmp_path / f"identities/images.{OWN}.json"
    record.parent.mkdir()
    record.write_text(text)
    with pytest.raises(
        InputError, match=rf"images.{OWN}.json: .*; delete it and run the same command"
    ):
        decided(tmp_path)


def earlier_images(one: Study) -> str:
    """Return the fingerprint that version 0.1 gave the images of a study."""
    contents = {name: earlier_content(list_files(c)) for name, c in one.cohorts.items()}
    accept = {"range": ..., "grays": ...}  # keys that were not there
    known = {k: v for k, v in one.config["ingest"]["accept"].items() if k not in accept}
    return one._images(contents, known, identity.EARLIER_SOURCES["images"][0])


def test_images_of_the_last_release_are_compared_whatever_reads_them_now(tmp_path):
    """Of the same files: what another source made of them, under settings that it did not know."""
    write_siim(tmp_path / "a")
    limits = {"range": 0.0, "grays": 0}
    for accept in ({}, limits):
        one = study(siim(tmp_path / "a", ingest={"accept": accept}))
        used = one.earlier_images()[0]
        assert used not in (one.image_identity.own, earlier_images(one))
        folder = tmp_path / f"store/images/{used}"
        old = write(folder, [image("a")], shards=one.shards)
        again = Study(one.config)
        assert (again.images, again.image_identity.decided) == (used, False)
        made = write(again.image_manifests(made=True)[0].parent, [image("a")], shards=one.shards)
        settle("images", old, made, again.records()[0], made_of="a")
        assert Study(one.config).image_identity.decided
        shutil.rmtree(tmp_path / "store")
    assert study(siim(tmp_path / "a", ingest={"accept": {"range": 0.3}})).earlier_images() == []


def test_two_versions_of_an_archive_under_one_store(tmp_path):
    for name, content in (("first", b"123"), ("second", b"321")):
        write_siim(tmp_path / name)
        (tmp_path / name / "train/0/1/2.dcm").write_bytes(content)
    change = {"split": {"near_duplicates": "ignore"}}  # of which a plan would speak, too
    first, second = (study(siim(tmp_path / name, **change)) for name in ("first", "second"))
    assert first.images != second.images
    used = earlier_images(first)
    assert used == earlier_images(second)
    store = tmp_path / "store"
    old = write(store / "images" / used, [image("a")])
    first, second = Study(first.config), Study(second.config)
    assert (first.images, second.images) == (used, used)
    assert first.records() == [store / f"identities/images.{first.image_identity.own}.json"]
    assert first.records() != second.records()
    packs = first.pack("full")
    for one, rows in ((first, [image("a")]), (second, [image("a", pixel_hash="of another")])):
        assert [text.split(":")[0] for text in one.outline()["identities"]] == ["Undecided"]
        assert one.image_manifests() == old
        made = one.image_manifests(made=True)
        write(made[0].parent, rows)
        if one is first:
            settle("images", old, made, one.records()[0], made_of="first")
        else:
            with pytest.raises(
                InputError, match="second: .*, which an earlier version made, is not what"
            ):
                settle("images", old, made, one.records()[0], made_of="second")
    first, second = Study(first.config), Study(second.config)
    assert first.images == used
    assert first.pack("full") == packs
    assert [text.split(":")[0] for text in first.outline()["identities"]] == ["Accepted"]
    assert first.records()[0].exists()
    assert second.images == second.image_identity.own
    assert second.pack("full") != packs
    assert (second.records(), second.outline()["identities"]) == ([], [])


def test_the_number_of_manifests_is_that_of_the_earlier_ones(tmp_path):
    write_siim(tmp_path / "a")
    one = study(siim(tmp_path / "a"))
    write(tmp_path / "store/images" / earlier_images(one), [image("a")], shards=5)
    again = Study(copy.deepcopy(one.config))
    assert one.config["ingest"]["shards"] != 5
    assert again.shards == 5
    assert len(again.image_manifests()) == len(again.mask_manifests()) == 5
    assert all(re.search(r"\.anew/shard-\d-of-5", str(p)) for p in again.image_manifests(made=True))


@pytest.mark.parametrize("source", ["masks", "train"])
def test_masks_of_a_second_reader_are_told_from_the_first(tmp_path, source):
    for reader, content in (("one", b"lungs"), ("two", b"snugl")):
        for part in ("images", "masks"):
            (tmp_path / reader / part).mkdir(parents=True)
            (tmp_path / reader / part / "a.png").write_bytes(content)
        (tmp_path / reader / "index.csv").write_text("id,split\n")
    write_siim(tmp_path / "archive")
    readers = []
    for reader in ("one", "two"):
        folder = tmp_path / reader / ("masks" if source == "masks" else "")
        lungs = {"source": source, source: {"folder": str(folder)}}
        readers.append(study(siim(tmp_path / "archive", lungs=lungs)))
    one, two = readers
    assert one.images == two.images
    assert one.masks != two.masks
    used = one.earlier_masks()[-1]
    assert used == two.earlier_masks()[-1]
    rows = [{"image_id": "a", "png": "a.png", "sha256": "x"}]
    write(tmp_path / "store/masks" / used, rows, kind="masks", shards=one.shards)
    one, two = Study(one.config), Study(two.config)
    assert one.masks == two.masks == used
    assert not one.mask_identity.decided
    settle(
        "masks",
        one.mask_manifests(),
        write(one.mask_identity.made(one.store), rows, kind="masks"),
        one.records()[0],
        made_of="masks",
    )
    one, two = Study(one.config), Study(two.config)
    assert one.mask_identity.decided
    assert not two.mask_identity.decided
    assert one.masks == used
