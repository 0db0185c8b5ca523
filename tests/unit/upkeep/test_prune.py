"""Clearing out a store: what may go, what must stay, and who is asked."""

from __future__ import annotations

import os
import shutil

import pytest

from sscdl.__main__ import main
from sscdl.files import write_json
from sscdl.store.store import Store, read_pointer
from sscdl.upkeep import prune as prune_module
from sscdl.upkeep.verify import verify
from tests.unit.small_store import age, small_store  # noqa: F401


@pytest.fixture
def store(small_store):  # noqa: F811
    """Return a store with two stages, one on the other, and everything around them."""
    small_store.surroundings()
    small_store.moco = small_store.train("moco")
    small_store.swav = small_store.train("moco+swav", on=small_store.moco)
    return small_store


def prune(store, *arguments) -> int:
    return main(["store", "prune", str(store.folder), *map(str, arguments)])


def test_a_store_without_leftovers_stays_as_it_is(store, capsys):
    age(store.folder, 30)
    before = store.contents()
    assert prune(store, "--yes") == 0
    assert "nothing to delete" in capsys.readouterr().out
    assert store.contents() == before


def test_leftovers_are_listed_and_deleted(store, capsys):
    before = store.contents()
    orphan = store.orphan()
    loser = read_pointer(store.moco.pointer)["candidates"][0]["key"]
    leftovers = [
        store.folder / "objects" / loser / "state.pt",
        store.folder / "objects" / loser / "metrics.damaged",
        store.folder / "objects" / loser / ".state.abcdefgh.pt",
        store.folder / "recipes" / ".moco.abcdefgh.json",
        store.folder / "images" / "dddddddddddd" / "png" / ".0.4711.part",
        store.folder / "phantom" / "eeeeeeeeeeee" / ".archive.abcdefgh" / "archive" / "file",
    ]
    for path in leftovers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 1000)
    age(store.folder, 3)
    assert prune(store, "--yes") == 0
    out = capsys.readouterr().out
    assert f"{orphan}: no pointer leads to it (a run that was stopped" in out
    assert "1.0 kB" in out
    assert "deleted 6." in out
    assert store.contents() == before
    assert verify(store.folder) == []


def test_what_is_young_stays(store, capsys):
    orphan = store.orphan(days=0.5)
    temporary = store.folder / "recipes" / ".moco.abcdefgh.json"
    temporary.write_text("")
    assert prune(store, "--yes") == 0
    out = capsys.readouterr().out
    assert f"kept  {orphan}: changed within" in out
    assert "nothing to delete" in out
    # Images are written without locks, so that for unfinished files a day is the least.
    assert prune(store, "--yes", "--days", 0) == 0
    assert temporary.exists()
    assert not orphan.exists()
    assert prune(store, "--yes", "--days", 0) == 0


def test_a_folder_is_as_young_as_its_youngest_file(store):
    orphan = store.orphan()
    with (orphan / "state.pt").open("ab") as file:  # which leaves the folder's own time alone
        file.write(b"more")
    assert prune(store, "--yes") == 0
    assert orphan.exists()


@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("y", 1), ("", 1), (None, 1)])
def test_only_a_yes_deletes(store, capsys, monkeypatch, answer, status):
    def asked(question):
        assert "1 to delete" in question
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", asked)
    orphan = store.orphan()
    assert prune(store) == status
    assert orphan.exists() == bool(status)
    out = capsys.readouterr().out
    assert ("nothing was deleted" in out) == bool(status)
    assert ("--yes" in out) == (answer is None)


def test_nothing_goes_while_a_stage_trains(store, capsys):
    orphan = store.orphan()
    with Store(store.folder).lock("any stage"):
        assert prune(store, "--yes") == 0
        assert prune(store, "--yes", "--node", "moco+swav") == 2
    captured = capsys.readouterr()
    assert f"any stage is locked by process {os.getpid()}" in captured.out
    assert "nothing was deleted" in captured.err
    assert orphan.exists()
    assert store.swav.pointer.exists()


def test_a_lock_that_cannot_be_opened_counts_as_held(store, capsys):
    orphan = store.orphan()
    (store.folder / "locks" / "any stage.lock").mkdir()  # also root cannot open a folder
    assert prune(store, "--yes") == 0
    assert "cannot be opened" in capsys.readouterr().out
    assert orphan.exists()


def test_unfinished_files_of_a_stopped_stage_go_while_another_trains(store):
    path = store.folder / "objects" / store.object(store.moco).name / ".state.abcdefgh.pt"
    path.write_text("")
    age(path, 3)
    with Store(store.folder).lock(path.parent.name):
        assert prune(store, "--yes") == 1  # its own object is locked
        assert path.exists()
    with Store(store.folder).lock("any stage"):
        assert prune(store, "--yes") == 0
    assert not path.exists()


def test_nothing_goes_while_a_pointer_is_damaged(store, capsys):
    store.orphan()
    before = store.contents()
    (store.folder / "recipes" / "x.json").write_text("{")
    assert prune(store, "--yes") == 0
    assert "what it leads to cannot be told" in capsys.readouterr().out
    assert prune(store, "--yes", "--node", "moco+swav") == 2
    (store.folder / "recipes" / "x.json").unlink()
    assert store.contents() == before


def test_links_are_neither_followed_nor_deleted(store, tmp_path, capsys):
    outside = tmp_path / "outside"
    write_json(outside / "metrics.json", {})
    (store.folder / "objects" / "linked").symlink_to(outside)
    (store.folder / "recipes" / ".moco.abcdefgh.json").symlink_to(outside / "metrics.json")
    (store.folder / "images" / "linked").symlink_to(outside)
    (store.folder / "objects" / "alias").symlink_to(store.object(store.moco))
    (outside / ".x.4711.part").write_text("")
    inside = store.orphan()
    (inside / "link").symlink_to(outside)
    age(store.folder, 3)
    age(outside, 3)
    assert prune(store, "--yes") == 0
    out = capsys.readouterr().out
    assert "objects/linked: a link" in out
    assert ".moco.abcdefgh.json: a link" in out
    assert ".x.4711.part" not in out
    assert sorted(path.name for path in outside.iterdir()) == [".x.4711.part", "metrics.json"]
    assert (store.folder / "objects" / "linked").is_symlink()
    assert (store.object(store.moco) / "weights.safetensors").exists()
    assert not inside.exists()


def test_a_kind_that_is_a_link_is_left_alone(store, tmp_path, capsys):
    orphan = store.orphan()
    shutil.move(store.folder / "objects", tmp_path / "elsewhere")
    (store.folder / "objects").symlink_to(tmp_path / "elsewhere")
    assert prune(store, "--yes") == 0
    assert "reached through one" in capsys.readouterr().out
    assert orphan.exists()


def test_a_store_that_is_itself_a_link(store, tmp_path):
    orphan = store.orphan()
    (tmp_path / "link").symlink_to(store.folder)
    assert main(["store", "prune", str(tmp_path / "link"), "--yes"]) == 0
    assert not orphan.exists()


def test_a_named_stage_goes_with_what_it_alone_reaches(store, capsys):
    before = store.contents()
    classifier = store.train("moco+swav+classify", on=store.swav)
    assert len(store.contents()) == len(before) + 6  # a pointer, three metrics, weights, lineage
    assert prune(store, "--yes", "--node", classifier.fingerprint[:6]) == 0
    assert store.contents() == before
    out = capsys.readouterr().out
    assert out.index(classifier.pointer.name) < out.index("of a named node alone")


def test_a_stage_with_descendants_goes_only_with_them(store, capsys):
    before = store.contents()
    assert prune(store, "--yes", "--node", "moco") == 2
    error = capsys.readouterr().err
    assert "1 node was trained on it" in error
    assert f"--node {store.swav.fingerprint}" in error
    assert store.contents() == before
    assert prune(store, "--yes", "--node", "moco", "--node", "moco+swav") == 0
    assert not list((store.folder / "recipes").iterdir())
    assert not list((store.folder / "objects").iterdir())
    assert verify(store.folder) == []


def test_what_another_stage_reaches_stays(store):
    twin = store.train("moco", rates=(0.2, 0.4))
    shared = store.object(store.moco)
    only = read_pointer(twin.pointer)["candidates"][1]["key"]
    value = read_pointer(twin.pointer)
    write_json(twin.pointer, {**value, "object": shared.name})
    assert prune(store, "--yes", "--node", twin.fingerprint) == 0
    assert shared.exists()
    assert not (store.folder / "objects" / only).exists()
    assert not [one for one in verify(store.folder) if one.kind == "damaged"]


def test_an_unknown_stage_and_a_link_instead_of_a_pointer(store, tmp_path, capsys):
    assert prune(store, "--yes", "--node", "relloc") == 2
    assert "'relloc': no trained node" in capsys.readouterr().err
    shutil.move(store.swav.pointer, tmp_path / "pointer")
    store.swav.pointer.symlink_to(tmp_path / "pointer")
    assert prune(store, "--yes", "--node", "moco+swav") == 2
    assert "is a link; remove it by hand" in capsys.readouterr().err
    assert (tmp_path / "pointer").exists()


def test_what_was_reached_or_locked_while_the_user_thought_stays(store, capsys, monkeypatch):
    orphan, other = store.orphan(), store.orphan("ba9876543210")

    def reached(question):
        value = read_pointer(store.moco.pointer)
        write_json(store.moco.pointer, {**value, "candidates": [
            *value["candidates"], {**value["candidates"][0], "key": orphan.name},
        ]})  # fmt: skip
        return "yes"

    monkeypatch.setattr("builtins.input", reached)
    assert prune(store) == 1
    assert f"kept  {orphan}: in use or changed by now" in capsys.readouterr().out
    assert orphan.exists()
    assert not other.exists()


def test_what_is_locked_in_the_last_moment_stays(store):
    orphan = store.orphan()
    made = prune_module.plan(store.folder)
    with Store(store.folder).lock(orphan.name), pytest.MonkeyPatch.context() as patch:
        patch.setattr(prune_module, "held_locks", lambda folder: {})
        freed, failed = prune_module.delete(store.folder, made, (), 1.0)
    assert freed == 0
    assert failed == [f"{orphan}: locked by another process"]


def test_an_object_stays_where_its_pointer_cannot_go(store, monkeypatch, capsys):
    before = store.contents()

    def refuse(self, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    assert prune(store, "--yes", "--node", "moco+swav") == 1
    assert "cannot be deleted (Permission denied)" in capsys.readouterr().out
    assert store.contents() == before


def test_a_pruned_stage_trains_again_to_the_same_key(store):
    """What pruning leaves is a store in which a study goes on."""
    key, pointer = store.object(store.swav).name, store.swav.pointer.read_text()
    assert prune(store, "--yes", "--node", "moco+swav") == 0
    again = store.train("moco+swav", on=store.moco)
    assert store.object(again).name == key
    assert again.pointer == store.swav.pointer
    assert len(again.pointer.read_text()) == len(pointer)


def test_a_stage_of_one_variant_goes_and_that_of_another_stays(store, capsys):
    other = store.train("moco", rates=(0.3,))
    write_json(other.pointer, {**read_pointer(other.pointer), "variant": "inverted"})
    before = store.contents()
    assert prune(store, "--yes", "--variant", "inverted") == 2
    assert "say of which stage; give --node" in capsys.readouterr().err
    assert prune(store, "--yes", "--node", "moco") == 2
    assert store.contents() == before
    assert prune(store, "--yes", "--node", "moco", "--variant", "inverted") == 0
    assert not other.pointer.exists()
    assert store.moco.pointer.exists()
    again = store.train("moco", rates=(0.3,))
    assert again.pointer.exists()


def test_heads_and_queues_go_when_asked_for(store, capsys):
    kept = [store.object(stage) / "task.safetensors" for stage in (store.moco, store.swav)]
    others = {name for name in store.contents() if not name.endswith("/task.safetensors")}
    assert prune(store, "--yes") == 0
    assert all(path.exists() for path in kept)
    size = sum(path.stat().st_size for path in kept)
    capsys.readouterr()
    assert prune(store, "--task-state", "--yes") == 0
    out = capsys.readouterr().out
    assert f"{kept[0]}: heads and queues, which no stage needs" in out
    assert f"deleted {size} B" in out
    assert set(store.contents()) == others
    assert verify(store.folder) == []
    assert Store(store.folder).finished(store.moco.pointer)
    assert prune(store, "--task-state", "--yes") == 0
    assert "nothing to delete" in capsys.readouterr().out


def test_heads_and_queues_go_with_their_object_and_only_once(store, capsys):
    path = store.object(store.swav) / "task.safetensors"
    assert prune(store, "--task-state", "--node", "moco+swav", "--yes") == 0
    assert not path.parent.exists()
    assert f"{path}:" not in capsys.readouterr().out
    assert not (store.object(store.moco) / "task.safetensors").exists()


def test_heads_and_queues_stay_while_a_stage_trains(store):
    with Store(store.folder).lock("any stage"):
        assert prune(store, "--task-state", "--yes") == 0
    assert (store.object(store.moco) / "task.safetensors").exists()
