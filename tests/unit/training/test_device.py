"""Jobs of one machine share its GPUs, each has its own; the GPUs here are stand-ins."""

from __future__ import annotations

import tempfile
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from sscdl.errors import InputError
from sscdl.training import device
from sscdl.training.device import lease


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """Pretend that there are three GPUs, and keep the locks in a folder of the test's own."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    current: list[object] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    see(monkeypatch, "a", "b", "c")
    return current


def see(monkeypatch, *uuids):
    """Have torch see the GPUs of these identities."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(uuids))
    properties = [SimpleNamespace(uuid=uuid) for uuid in uuids]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties[index])


def test_jobs_get_different_gpus_and_give_them_back(gpus):
    with lease("auto", 1) as first, lease("cuda", 2) as second:
        assert first == ["cuda:0"]
        assert second == ["cuda:1", "cuda:2"]
    assert gpus == [0, 1], "the current GPU is one that was lent, and the first of several"
    with lease("auto", 3) as again:
        assert again == ["cuda:0", "cuda:1", "cuda:2"]


def test_a_job_waits_until_all_that_it_wants_are_free(gpus, caplog):
    got = threading.Event()

    def wait():
        with lease("auto", 2):
            got.set()

    with caplog.at_level("INFO", "sscdl.device"), lease("auto", 2):
        thread = threading.Thread(target=wait)
        thread.start()
        deadline = time.monotonic() + 20
        while "waiting" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "waiting: 2 of this machine's 3 GPUs wanted" in caplog.text
        assert not got.is_set()
        with lease("auto", 1) as third:
            assert third == ["cuda:2"], "who waits for two holds none meanwhile"
    thread.join(20)
    assert got.is_set()


def test_a_schedulers_choice_is_a_machines_gpu_under_another_number(gpus, monkeypatch):
    see(monkeypatch, "c")
    with lease("auto", 1) as third:
        assert third == ["cuda:0"]
        see(monkeypatch, "b")
        with lease("auto", 1) as other:  # another GPU, although torch calls it 0, too
            assert other == ["cuda:0"]


def test_more_than_there_are_is_refused(gpus):
    with pytest.raises(InputError, match=r"training\.devices: 4, but torch sees 3 GPUs"):
        lease("auto", 4).__enter__()


def test_a_named_gpu_and_the_cpu_need_no_lock(gpus):
    with lease("cpu", 2) as processors, lease("cuda:1", 1) as named:
        assert (processors, named) == (["cpu", "cpu"], ["cuda:1"])
    assert gpus == [torch.device("cuda:1")]
    assert not list(device.Path(tempfile.gettempdir()).glob("sscdl-devices-*"))
