"""What a check of a store finds, and what it takes for no damage."""

from __future__ import annotations

import os
import shutil

import cv2
import numpy as np
import pytest
from safetensors.numpy import save_file

from sscdl.files import atomic_path, read_json, write_json
from sscdl.store.nodes import read_nodes
from sscdl.store.store import Store
from sscdl.upkeep.verify import verify
from tests.unit.upkeep.test_command import damaged, run


def test_a_whole_store_has_no_finding_and_is_not_changed(store, capsys):
    before = store.contents()
    assert verify(store.folder) == []
    assert run("verify", store.folder) == 0
    assert "0 damaged, 0 leftovers" in capsys.readouterr().out
    assert store.contents() == before


def _cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def _folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def _change(path):
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")


def _edit(**changes):
    return lambda path: write_json(path, {**read_json(path), **changes})


def _not_finite(path):
    with atomic_path(path) as temporary:
        save_file({"w": np.array([1, np.nan], np.float32)}, temporary)


OBJECT, SOME = "objects/{moco}", "dddddddddddd"


@pytest.mark.parametrize(
    ("name", "harm", "fault"),
    [
        (f"{OBJECT}/weights.safetensors", _cut, "not what was written"),
        (f"{OBJECT}/weights.safetensors", _not_finite, "not what was written"),
        (f"{OBJECT}/weights.safetensors", _folder, "is a folder"),
        (f"{OBJECT}/metrics.json", _folder, "is a folder"),
        ("segmenters/lungVAE.pt", _folder, "is a folder"),
        ("roots/imagenet.ffffffffffff.safetensors", _folder, "is a folder"),
        ("packs/full.aaaaaaaaaaaa.npy", _folder, "not a whole array"),
        (f"images/{SOME}/png/0.png", _folder, ""),
        (f"{OBJECT}/task.safetensors", _cut, "not what was written"),
        (f"{OBJECT}/metrics.json", _cut, "not JSON"),
        (f"{OBJECT}/metrics.json", _edit(key="other"), "is that of other"),
        (f"{OBJECT}/metrics.json", lambda path: path.write_text("[]"), "is a list and not an obj"),
        (
            f"{OBJECT}/metrics.json",
            lambda path: path.write_text("{}"),
            "key, learning_rate, metric",
        ),
        (f"{OBJECT}/lineage.json", _cut, "not JSON"),
        (f"{OBJECT}/lineage.json", _edit(learning_rate=0.5), "the key of the object"),
        (f"{OBJECT}/lineage.json", _edit(recipe={}), "missing in recipe"),
        ("recipes/{pointer}", _cut, "damaged"),
        ("recipes/{pointer}", lambda path: path.write_text('{"object": "x"}'), "missing in it"),
        ("recipes/{pointer}", _edit(fingerprint="012345678901"), "holds moco.012345678901"),
        ("recipes/{pointer}", _edit(candidates=[]), "fingerprint does not come out"),
        ("packs/full.aaaaaaaaaaaa.npy", _change, "not the array"),
        ("packs/full.aaaaaaaaaaaa.npy", os.unlink, "missing"),
        ("packs/full.aaaaaaaaaaaa.json", _cut, "not JSON"),
        (f"images/{SOME}/png/0.png", _change, "not the file"),
        (f"images/{SOME}/png/1.png", os.unlink, "missing"),
        (f"masks/{SOME}/shard-0-of-1.json", _cut, "not JSON"),
        ("phantom/eeeeeeeeeeee/archive/train", shutil.rmtree, "missing"),
        ("phantom/eeeeeeeeeeee/done.json", _cut, "not JSON"),
        ("roots/imagenet.ffffffffffff.safetensors", _cut, "not whole"),
        ("roots/imagenet.ffffffffffff.safetensors", _not_finite, "not finite"),
        ("segmenters/ffffffffffff.safetensors", _cut, "not whole"),
        ("segmenters/lungVAE.pt", lambda path: path.write_text("?"), "not the file that was publ"),
    ],
)
def test_damage_is_found(store, capsys, name, harm, fault):
    names = {"moco": store.object(store.moco).name, "pointer": store.moco.pointer.name}
    path = store.folder / name.format(**names)
    harm(path)
    before = store.contents()
    assert any(one == path and fault in text for one, text in damaged(store)), damaged(store)
    assert run("verify", store.folder) == 1
    assert str(path) in capsys.readouterr().out
    assert store.contents() == before


def test_a_pointer_without_its_object(store):
    shutil.rmtree(store.object(store.swav))
    assert any("has no weights.safetensors" in fault for _, fault in damaged(store))


def test_what_a_damaged_pointer_leads_to_is_no_orphan(store):
    store.classifier.pointer.write_text("{")
    assert [one.path for one in verify(store.folder)] == [store.classifier.pointer]


def test_a_missing_raw_mask(store):
    manifest = store.folder / "masks" / SOME / "shard-0-of-1.json"
    value = read_json(manifest)
    value["masks"][0]["raw_png"] = "0.raw.png"
    write_json(manifest, value)
    assert damaged(store) == [(manifest.parent / "png/0.raw.png", "missing")]


def test_a_damaged_list_of_near_duplicates(store):
    path = store.folder / "near_duplicates/dddddddddddd.eeeeeeeeeeee.json"
    path.parent.mkdir()
    write_json(path, {"pairs": [], "compared": 2, "bound": 0.85})
    assert damaged(store) == []
    write_json(path, {"pairs": [{"image_ids": ["a", "b"]}], "compared": 2, "bound": 0.85})
    assert [one for one, fault in damaged(store) if "missing" in fault] == [path]


def test_numbers_that_numpy_does_not_have_are_no_damage(store):
    header = b'{"w":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    path = store.folder / "roots" / "other.ffffffffffff.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    assert damaged(store) == []


def test_files_that_cannot_be_read(store):
    for path in (store.object(store.moco) / "metrics.json", store.swav.pointer):
        path.unlink()
        path.mkdir()  # also root cannot read a folder
    assert sum("is a folder" in fault for _, fault in damaged(store)) == 2


def test_leftovers_and_notes_are_no_damage(store, capsys):
    orphan = store.orphan()
    (store.object(store.moco) / "metrics.damaged").write_text("{")
    (store.folder / "recipes" / ".moco.abcd_123.json").write_text("{")
    (store.folder / "images" / SOME / "png" / ".x.4711.part").write_text("")
    (store.folder / "images" / SOME / "png" / "unknown.png").write_text("")
    (store.folder / "packs" / "lungs.aaaaaaaaaaaa.npy").write_text("")
    (store.folder / "phantom" / "eeeeeeeeeeee" / "done.json").unlink()
    (store.folder / "phantom" / "eeeeeeeeeeee" / ".archive.abcdefgh").mkdir()
    (store.folder / "masks" / SOME / "shard-0-of-1.json").rename(
        store.folder / "masks" / SOME / "shard-0-of-2.json"
    )
    store.moco.pointer.unlink()
    found = {one.path.name: one.kind for one in verify(store.folder)}
    assert found.pop(store.swav.pointer.name) == found.pop("unknown.png") == "note"
    assert set(found.values()) == {"leftover"}
    assert {
        orphan.name, "state.pt", "metrics.damaged", ".moco.abcd_123.json", ".x.4711.part", SOME,
        "lungs.aaaaaaaaaaaa.npy", "eeeeeeeeeeee", ".archive.abcdefgh",
    } <= set(found)  # fmt: skip
    assert run("verify", store.folder) == 0
    assert "prune" in capsys.readouterr().out


def test_what_is_at_work_is_no_damage(store):
    orphan = store.orphan()
    other = store.orphan("ba9876543210")
    (orphan / "metrics.json").write_text("{")
    with Store(store.folder).lock(orphan.name):
        found = verify(store.folder)
    assert {one.kind for one in found} == {"note", "leftover"}
    assert "process" in next(one.fault for one in found if one.kind == "note")
    assert {one.path for one in found if one.kind == "leftover"} == {other, other / "state.pt"}
    assert all("training now" in one.advice for one in found if one.kind == "leftover")
    assert [one[0] for one in damaged(store)] == [orphan / "metrics.json"]


def test_heads_and_queues_are_checked_where_they_are_there(store):
    path = store.object(store.moco) / "task.safetensors"
    metrics = path.with_name("metrics.json")
    value = read_json(metrics)
    write_json(metrics, {key: one for key, one in value.items() if key != "task_state"})
    assert verify(store.folder) == []
    _not_finite(path)
    (found,) = verify(store.folder)
    assert (found.path, found.fault) == (path, "w is not finite")
    write_json(metrics, value)
    (found,) = verify(store.folder)
    assert (found.fault, found.advice) == ("not what was written", "delete it: no stage needs it")
    path.unlink()
    assert verify(store.folder) == []


def test_pictures_of_a_damaged_list_are_not_called_unknown(store):
    folder = store.folder / f"images/{SOME}"
    (folder / "png/stray.png").touch()
    assert [one.path.name for one in verify(store.folder)] == ["stray.png"]
    _cut(folder / "shard-0-of-1.json")
    assert [one.path.name for one in verify(store.folder)] == ["shard-0-of-1.json"]


def test_a_raw_mask_that_is_not_whole_is_found(store):
    manifest = store.folder / "masks" / SOME / "shard-0-of-1.json"
    value = read_json(manifest)
    raw = manifest.parent / "png/raw.png"
    value["masks"][0]["raw_png"] = raw.name
    write_json(manifest, value)
    whole = cv2.imencode(".png", np.eye(9, dtype=np.uint8))[1].tobytes()
    raw.write_bytes(whole)
    assert not damaged(store)
    for content in (whole[:-1], whole[:40], whole[:20] + b"?" + whole[21:], b"", b"x" * 99):
        raw.write_bytes(content)
        assert damaged(store) == [(raw, "not a whole PNG file, or cannot be read")]


def test_a_record_of_a_candidate_that_is_gone_is_noted(store):
    """Only by the pointer that has its record: a stage on it has not."""
    node = next(one for one in read_nodes(store.folder)[0] if one.name == "moco")
    key = min(one["key"] for one in node.candidates)
    for gone in (key, node.object):
        (store.folder / "objects" / gone / "metrics.json").unlink(missing_ok=True)
    notes = [one for one in verify(store.folder) if one.kind == "note"]
    told = {f"points to {gone}, which has no metrics.json" for gone in (key, node.object)}
    assert {(one.path, one.fault) for one in notes} == {(node.path, fault) for fault in told}
