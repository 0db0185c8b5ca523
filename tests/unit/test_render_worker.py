from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from dicom_files import PATIENT_NAME, write_dicom
from PIL import Image

from sscdl import renderer
from sscdl.errors import InputError
from sscdl.radiograph import Rendering
from sscdl.render_worker import encode_png, pixel_hash
from sscdl.renderer import Renderer
from tests.conftest import ROOT

ACCEPT_ALL = {
    "modality": None, "body_part": None, "view": None, "image_type_without": None, "colour": True,
    "uniform": 1.0,
}  # fmt: skip
RAMP = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
# The real worker, with a decoder that does what the file's name says.
STAND_IN = """
import ctypes, os, sys, time
import numpy as np
import sscdl.render_worker as worker
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


def started(rendering=None, *, accept=None, find_text=False, time_limit=30):
    return Renderer(
        rendering or Rendering(),
        accept or ACCEPT_ALL,
        find_text=find_text,
        time_limit=time_limit,
    )


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


# PNG files


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 517), (64, 48)])
def test_png_keeps_every_pixel_and_holds_nothing_else(dtype, shape):
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, top, shape, dtype, endpoint=True)
    content = encode_png(pixels)
    assert np.array_equal(cv2.imdecode(np.frombuffer(content, np.uint8), -1), pixels)
    kinds, position = [], 8
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        kinds.append(content[position + 4 : position + 8])
        position += 12 + length
    assert sorted(set(kinds)) == [b"IDAT", b"IEND", b"IHDR"]


def test_png_of_a_noisy_picture_is_made_without_a_search_for_strings():
    y, x = np.mgrid[0:256, 0:256]
    noise = np.random.default_rng(0).normal(0, 3, y.shape)
    pixels = np.clip(128 + 60 * np.sin(x / 40) * np.cos(y / 50) + noise, 0, 255).astype(np.uint8)
    # With the search, at a level that is as fast.
    usual = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    assert len(encode_png(pixels)) < 0.95 * len(usual)


def test_pixel_hash_depends_on_shape_type_and_values():
    pixels = np.zeros((2, 6), np.uint8)
    other = pixels.copy()
    other[1, 5] = 1
    hashes = [
        pixel_hash(p) for p in (pixels, pixels.reshape(3, 4), pixels.astype(np.uint16), other)
    ]
    assert len(set(hashes)) == 4
    assert {len(text) for text in hashes} == {32}
    assert pixel_hash(np.asfortranarray(other)) == hashes[3]


# Files that are what they should be


def test_row_and_picture(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP, PatientAge="045Y", PatientSex="F")
    with started() as it:
        assert it.pid is None
        kind, row = it.render(file, tmp_path / "x.png")
        first = it.pid
        again = it.render(file, tmp_path / "y.png")
        assert it.pid == first
    assert it.pid is None
    assert it.lost == 0
    assert kind == "image"
    assert again == (kind, row)
    pixels = np.asarray(Image.open(tmp_path / "x.png"))
    assert row["pixel_hash"] == pixel_hash(pixels)
    assert (row["age"], row["sex"], row["patient_id"]) == (45.0, "F", "PLANTED-0815")
    assert row["text"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.dcm", "x.png", "y.png"]


def test_sixteen_bits(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP.astype(np.uint16) * 16, bits=12)
    with started(Rendering(bits=16, window="percentiles", percentiles=(0, 100))) as it:
        assert it.render(file, tmp_path / "x.png")[0] == "image"
    pixels = cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_UNCHANGED)
    assert pixels.dtype == np.uint16
    assert (pixels.min(), pixels.max()) == (0, 65535)


def test_suspected_text_is_listed_where_asked_for(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP)
    with started(find_text=True) as it:
        assert it.render(file, tmp_path / "x.png")[1]["text"] == []


def test_reasons_for_which_a_file_is_rejected(tmp_path):
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"nothing")
    other = write_dicom(tmp_path / "other.dcm", RAMP, Modality="CT")
    with started(accept={**ACCEPT_ALL, "modality": ["CR", "DX"]}) as it:
        assert it.render(bad, tmp_path / "bad.png") == ("rejected", "not a DICOM file")
        kind, reason = it.render(other, tmp_path / "other.png")
        assert kind == "rejected"
        assert "ingest.accept.modality" in reason
        assert it.render(tmp_path / "none.dcm", tmp_path / "none.png")[0] == "rejected"
    assert not list(tmp_path.glob("*.png"))


def test_folder_that_cannot_be_written_stops_the_run(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP)
    with started() as it, pytest.raises(InputError, match=r"x\.png: cannot be written \(No such"):
        it.render(file, tmp_path / "missing" / "x.png")


def test_picture_that_is_there_is_left_alone_and_a_damaged_one_replaced(tmp_path):
    file, png = write_dicom(tmp_path / "x.dcm", RAMP), tmp_path / "x.png"
    with started() as it:
        it.render(file, png)
        content, before = png.read_bytes(), png.stat().st_ino
        it.render(file, png)
        assert png.stat().st_ino == before
        png.write_bytes(content[:-9])
        it.render(file, png)
    assert png.read_bytes() == content


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
from sscdl import renderer
from sscdl.radiograph import Rendering
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


def test_worker_ends_at_the_end_of_its_input():
    settings = {
        "rendering": {"window": "first", "percentiles": [0.5, 99.5], "bits": 8, "max_pixels": 9},
        "accept": ACCEPT_ALL, "find_text": False, "memory": 2**32,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "sscdl.render_worker"], cwd=ROOT, input=json.dumps(settings) + "\n",
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"ready": True}


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
