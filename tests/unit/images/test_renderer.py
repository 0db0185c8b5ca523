from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sscdl.dicom.radiograph import Rendering
from sscdl.images import renderer
from tests.conftest import ROOT
from tests.unit.dicom_files import PATIENT_NAME, write_dicom
from tests.unit.render_helpers import ACCEPT_ALL, RAMP, started

# The real worker, with a decoder that does what the file's name says.
STAND_IN = """
import ctypes, os, sys, time
import numpy as np
import sscdl.images.render_worker as worker
real, files = worker.read_image, 0
def read_image(file, rendering):
    global files
    files += 1
    name = os.path.basename(file)
    if name.startswith("hang"):
        ctypes.CDLL(None).sleep(1000)
    if name.startswith("crash") or name.startswith("later") and files > 1:
        ctypes.string_at(0)
    if name.startswith("exit"):
        os._exit(3)
    if name.startswith("memory") or name.startswith("leak") and files > 1:
        np.ones(2**40)
    if name.startswith("fault"):
        raise KeyError("Planted^Jane Q")
    if name.startswith("noise"):
        print('{"number": 1, "rejected": "forged"}', flush=True)
        os.write(1, b"\\xff no line end")
        os.write(2, b"Planted^Jane Q")
    return real(file, rendering)
worker.read_image = read_image
worker.main()
"""
# No worker at all: says that it is ready and then what is put in for %s.
IMPOSTOR = """
import json, os, signal, sys, time
sys.stdin.readline()
def say(text):
    os.write(1, text.encode())
say('{"ready": true}\\n')
for line in sys.stdin:
    number = json.loads(line)["number"]
    %s
"""


def program(monkeypatch, text):
    monkeypatch.setattr(renderer, "_COMMAND", [sys.executable, "-P", "-c", text])


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Return a function that renders a good file under some names with the stand-in decoder."""
    program(monkeypatch, STAND_IN)
    good = write_dicom(tmp_path / "good.dcm", RAMP).read_bytes()

    def outcomes(*names, time_limit=30):
        found = []
        with started(time_limit=time_limit) as it:
            for name in names:
                (tmp_path / f"{name}.dcm").write_bytes(good)
                found.append(it.render(tmp_path / f"{name}.dcm", tmp_path / f"{name}.png"))
        return [kind if kind == "image" else (kind, value) for kind, value in found], it.lost

    return outcomes


# Files that break the decoder


def test_crash_and_hang_cost_one_file_each(stand_in):
    found, lost = stand_in("a", "crash", "b", "hang", "c", "exit", time_limit=3)
    assert found == [
        "image",
        ("failed", "decoder crashed (signal 11)"),
        "image",
        ("failed", "decoder did not finish within 3 s"),
        "image",
        ("failed", "decoder ended its process (status 3)"),
    ]
    # A crash is tried again in a new process, as an earlier file may be to blame.
    assert lost == 5


def test_no_file_pays_for_an_earlier_one(stand_in):
    assert stand_in("a", "later", "b", "leak") == (["image"] * 4, 1)


def test_too_much_memory_is_a_rejection(stand_in):
    found, lost = stand_in("memory", "a")
    assert found == [("rejected", "needs more than 4 GiB of memory"), "image"]
    assert lost == 0


def test_memory_is_really_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(renderer, "_GIB_AT_LEAST", 1)
    monkeypatch.setattr(renderer, "_BYTES_A_PIXEL", 0)
    file = write_dicom(tmp_path / "x.dcm", RAMP, Rows=50_000, Columns=50_000)
    # A file of the right size that takes no room on the disk.
    content = file.read_bytes()
    length = 50_000**2
    head = content[: -RAMP.size - 4] + length.to_bytes(4, "little")
    file.write_bytes(head)
    os.truncate(file, len(head) + length)
    with started(Rendering(max_pixels=length)) as it:
        found = it.render(file, tmp_path / "x.png")
    assert found == ("rejected", "needs more than 1 GiB of memory")


def test_unexpected_error_is_reported_without_its_text(stand_in):
    found, lost = stand_in("fault", "a")
    assert found[1] == "image"
    assert lost == 0
    kind, reason = found[0]
    assert kind == "failed"
    assert reason.startswith("unexpected error (KeyError in ")
    assert PATIENT_NAME not in reason


def test_what_a_decoder_prints_is_lost(stand_in, capfd):
    assert stand_in("noise", "noise2") == (["image", "image"], 0)
    shown = capfd.readouterr()
    assert shown.out == shown.err == ""


# A worker that is none


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        (
            "say('\\n'.join(['garbage', '[1]', '\"x\"', '[' * 9999, '{\"number\": 0}', ''])); "
            "say('\\xff\\n' + json.dumps({'number': number, 'rejected': 'so'}) + '\\n')",
            ("rejected", "so"),
        ),
        (
            "t = json.dumps({'number': number, 'rejected': 'so'}); say(t[:9]); time.sleep(0.3); "
            "say(t[9:] + '\\n')",
            ("rejected", "so"),
        ),
        ("time.sleep(100)", ("failed", "decoder did not finish within 2 s")),
        ("while True: say('x' * 9999)", ("failed", "decoder did not finish within 2 s")),
        ("while True: say('x\\n')", ("failed", "decoder did not finish within 2 s")),
        ("os.kill(os.getpid(), signal.SIGKILL)", ("failed", "decoder crashed (signal 9)")),
        ("os.close(1); time.sleep(100)", ("failed", "decoder crashed (signal 9)")),
    ],
)
def test_whatever_is_answered(monkeypatch, tmp_path, action, outcome):
    program(monkeypatch, IMPOSTOR % action)
    with started(time_limit=2) as it:
        assert it.render(tmp_path / "x", tmp_path / "x.png") == outcome


def test_worker_that_died_between_two_files(monkeypatch, tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP)
    with started() as it:
        it.render(file, tmp_path / "x.png")
        os.kill(it.pid, signal.SIGKILL)
        time.sleep(0.2)
        assert it.render(file, tmp_path / "x.png")[0] == "image"
        assert it.lost == 1


def test_worker_that_does_not_start_ends_the_run(monkeypatch, tmp_path, capfd):
    program(monkeypatch, "raise SystemExit('module is missing')")
    with started() as it, pytest.raises(RuntimeError, match=r"did not start \(exit status 1\)"):
        it.render(tmp_path / "x", tmp_path / "x.png")
    assert "module is missing" in capfd.readouterr().err


def test_half_written_file_is_removed(monkeypatch, tmp_path):
    action = "open(json.loads(line)['partial'], 'w').write('x'); time.sleep(100)"
    program(monkeypatch, IMPOSTOR % action)
    with started(time_limit=1) as it:
        it.render(tmp_path / "x", tmp_path / "x.png")
        assert not list(tmp_path.iterdir())


# How processes end


def gone(pid, seconds=10):
    """Return whether a process has ended within that time."""
    for _ in range(10 * seconds):
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "State:\tZ" in status.read_text():
            return True
        time.sleep(0.1)
    return False


def test_block_ends_the_worker_also_by_an_exception(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP)
    pids = []

    def interrupted():
        with started() as it:
            it.render(file, tmp_path / "x.png")
            pids.append(it.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert gone(pids[0])


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent's death signal")
@pytest.mark.parametrize("busy", [False, True])
def test_killed_parent_leaves_no_worker(tmp_path, busy):
    write_dicom(tmp_path / "good.dcm", RAMP)
    write_dicom(tmp_path / "hang.dcm", RAMP)
    script = f"""
import sys
from pathlib import Path
from sscdl.images import renderer
from sscdl.dicom.radiograph import Rendering
renderer._COMMAND = [sys.executable, "-P", "-c", {STAND_IN!r}]
place = Path({str(tmp_path)!r})
with renderer.Renderer(Rendering(), {ACCEPT_ALL!r}, find_text=False, time_limit=600) as it:
    it.render(place / "good.dcm", place / "good.png")
    print(it.pid, flush=True)
    if {busy}:
        it.render(place / "hang.dcm", place / "hang.png")
    sys.stdin.read()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
    )
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    assert gone(pid)


def test_two_renderers_do_not_hold_each_other_open(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP)
    with started() as one, started() as two:
        one.render(file, tmp_path / "1.png")
        two.render(file, tmp_path / "2.png")
        pid = one.pid
        ended = threading.Thread(target=one.close)
        ended.start()
        ended.join(10)
        assert gone(pid)
        assert two.render(file, tmp_path / "3.png")[0] == "image"
