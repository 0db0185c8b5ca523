"""The store's locks, and what it does with damaged files."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from sscdl.errors import InputError
from sscdl.store import Store, read_pointer


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
    assert (folder / "metrics.damaged").exists()
    assert not (folder / "metrics.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}"])
def test_a_damaged_pointer_is_named(tmp_path, text):
    path = tmp_path / "moco.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"moco\.json"):
        read_pointer(path)
