"""The store's locks, and what it does with damaged files."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from sscdl.errors import InputError
from sscdl.store.store import WEIGHTS, Store, read_pointer
from tests.unit.small_store import small_store  # noqa: F401


def _hold(folder, started, seconds):
    with Store(folder).lock("node"):
        started.set()
        time.sleep(seconds)


def test_the_second_process_waits_for_the_first(tmp_path, caplog):
    started = multiprocessing.Event()
    first = multiprocessing.Process(target=_hold, args=(tmp_path, started, 1.0))
    first.start()
    started.wait(10)
    with caplog.at_level("INFO", "sscdl.store"), Store(tmp_path).lock("node"):
        assert not first.is_alive() or first.join(0.5) is None
    assert f"process {first.pid}" in caplog.text
    first.join()


def test_a_killed_process_leaves_no_lock(tmp_path):
    started = multiprocessing.Event()
    first = multiprocessing.Process(target=_hold, args=(tmp_path, started, 600))
    first.start()
    started.wait(10)
    first.kill()
    first.join()
    with Store(tmp_path).lock("node"):
        pass


def test_damaged_metrics_are_set_aside(tmp_path):
    store = Store(tmp_path)
    folder = store.object("abc")
    folder.mkdir(parents=True)
    assert store.metrics("abc") is None
    (folder / "metrics.json").write_text('{"half": ')
    assert store.metrics("abc") is None
    assert (folder / "metrics.json").exists(), "a look changes nothing"
    store.set_aside_damaged("abc")
    assert (folder / "metrics.damaged").exists()
    assert not (folder / "metrics.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}"])
def test_a_damaged_pointer_is_named(tmp_path, text):
    path = tmp_path / "moco.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"moco\.json"):
        read_pointer(path)


@pytest.fixture
def kept(small_store):  # noqa: F811
    """Return a store with one trained stage, its pointer's contents and its weights."""
    stage = small_store.train("moco")
    return Store(small_store.folder), stage.pointer, small_store.object(stage) / WEIGHTS


def test_weights_are_checked_when_they_are_used(kept):
    store, pointer, path = kept
    assert store.weights(read_pointer(pointer)) == path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert store.finished(pointer), "of the same size: only a use finds it"
    with pytest.raises(InputError, match="damaged .* set aside as weights.damaged; run the workf"):
        store.weights(read_pointer(pointer))
    assert path.with_suffix(".damaged").exists()
    assert not store.finished(pointer), "the next run of the workflow trains it again"
    with pytest.raises(InputError, match="is gone; run the workflow again"):
        store.weights(read_pointer(pointer))


def test_a_cut_file_is_seen_without_reading_it(kept):
    store, pointer, path = kept
    assert store.finished(pointer)
    path.write_bytes(path.read_bytes()[:-1])
    assert not store.finished(pointer)
    assert pointer.exists(), "a look changes nothing"


def test_a_stage_without_its_lineage_is_not_finished(kept):
    store, pointer, path = kept
    lineage = path.with_name("lineage.json")
    lineage.write_text("{")
    assert store.finished(pointer), "only a use finds it"
    with pytest.raises(InputError, match=r"lineage\.json: .* damaged .* set aside"):
        store.lineage(read_pointer(pointer))
    assert not store.finished(pointer)
    assert path.exists(), "the weights stay"
