"""Whatever happens to a JSON file of a store: it is named, or mended, and nothing else fails."""

from __future__ import annotations

import pytest

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.store.listing import history, listing
from sscdl.store.nodes import read_nodes
from sscdl.upkeep import prune
from sscdl.upkeep.verify import verify
from tests.unit.damages import damages
from tests.unit.plan_helpers import data_recipes, make_nodes, make_plan, train
from tests.unit.real_stage import write_images
from tests.unit.small_store import small_store  # noqa: F401

RATE = {
    "task": "moco", "backbone": "resnet18", "last_stage": 2, "image_size": 32, "threads": 1,
    "batch_size": 8, "precision": "float32", "device": "cpu", "device_name": "a processor",
    "torch": "2", "images_per_second": 50.0,
}  # fmt: skip
DATA = data_recipes()
DATA["final"]["classes"] = ["a", "b"]  # as the images are labelled
NODES = make_nodes("moco", data=DATA)


@pytest.fixture
def store(small_store, tmp_path, monkeypatch):  # noqa: F811
    """Return a store with the stages of a curriculum, everything around them and a rate."""
    write_images(tmp_path)
    for name in ("pack.json", "images.csv"):  # what the stages are told, in the present folder
        (tmp_path / name).rename(tmp_path / name.partition(".")[0])
    monkeypatch.chdir(tmp_path)
    small_store.surroundings()
    train(small_store.folder, NODES)
    write_json(small_store.folder / "rates.json", [RATE])
    return small_store


def look(store) -> list[str]:
    """Do all that only looks at a store; return what was found, and check that nothing changed."""
    before = store.contents()
    found = [f"{one.path}: {one.fault}" for one in verify(store.folder) if one.kind == "damaged"]
    nodes, _ = read_nodes(store.folder)
    for one in nodes:
        history(store.folder, nodes, one)
    listing(store.folder)
    prune.plan(store.folder)
    make_plan(store.folder, NODES)
    assert store.contents() == before, "a look changes nothing"
    return found


def refused(store) -> str:
    """Return why the stages cannot be trained, "" if they can."""
    try:
        train(store.folder, NODES)
    except InputError as error:
        return str(error)
    return ""


def test_every_damage_of_every_file_is_named_or_mended(store):
    assert look(store) == []
    whole = store.contents()
    paths = sorted(store.folder.rglob("*.json"))
    assert len(paths) > 10
    for path in paths:
        for how, surely in damages(path):
            named = [text for text in look(store) if str(path) in text]
            assert named or not surely or path.name == "rates.json", (path, how)
            why = refused(store)
            assert not why or str(path) in why, (path, how, why)
        for name, content in whole.items():
            (store.folder / name).write_bytes(content)
    assert look(store) == []


@pytest.mark.parametrize("name", ["", "metrics.json", "lineage.json"])
def test_a_stage_mends_its_own_files(store, name):
    pointer = store.folder / "recipes" / NODES[0].pointer
    (kept,) = [one.object for one in read_nodes(store.folder)[0] if one.path == pointer]
    path = store.folder / "objects" / kept / name if name else pointer
    whole, content = store.contents(), path.read_bytes()
    for how, surely in damages(path):
        if surely:
            if name:
                pointer.unlink()
            assert refused(store) == "", how
            assert look(store) == [], how
        for file, before in whole.items():
            if store.folder / file != path:
                (store.folder / file).write_bytes(before)
    assert path.read_bytes() == content
