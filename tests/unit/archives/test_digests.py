"""Digests are those of the files as they are now, whatever is remembered of them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sscdl.archives import digests as module
from sscdl.archives.digests import Digests, folder_content
from sscdl.errors import InputError
from tests.unit.operations import count_operations


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of twenty files of one size."""
    for number in range(20):
        path = tmp_path / f"files/{number % 3}/{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"contents {number:3d}".encode())
    return tmp_path / "files"


@pytest.fixture
def settled(monkeypatch) -> None:
    """Files count as old enough to be remembered as soon as they are written."""
    monkeypatch.setattr(module, "RACY", -1.0)


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Return the files that are read from now on."""
    found: list[str] = []
    read = module._Reading._read

    def noted(self, name):
        found.append(name)
        read(self, name)

    monkeypatch.setattr(module._Reading, "_read", noted)
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm"))


def ask(folder: Path, store: Path, said: list[str] | None = None) -> dict[str, str | None]:
    lines = [] if said is None else said
    return Digests(store, lines.append).of_folder(folder, names(folder), "test")


def truth(folder: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names(folder)
    }


def change(path: Path, content: bytes) -> None:
    """Write other bytes of the same number in place, and put back what `touch` can put back."""
    before = path.stat()
    assert before.st_size == len(content)
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino


def test_what_is_remembered_is_not_read_again(folder, tmp_path, settled, opened):
    store = tmp_path / "store/digests"
    assert ask(folder, store) == truth(folder)
    assert sorted(opened) == names(folder)
    opened.clear()
    assert ask(folder, store) == truth(folder)
    assert opened == []


def test_files_on_a_slow_drive_are_looked_at_in_threads(folder, tmp_path, settled, monkeypatch):
    monkeypatch.setattr(module, "LOOKS", 3)
    monkeypatch.setattr(module, "SLOW_LOOK", 0.0)
    threads, real = set(), module._Reading._look

    def noted(self, name):
        threads.add(threading.current_thread().name)
        return real(self, name)

    monkeypatch.setattr(module._Reading, "_look", noted)
    assert ask(folder, tmp_path / "store") == truth(folder)
    assert len(threads) > 1
    (folder / "2/5.dcm").unlink()
    assert ask(folder, tmp_path / "store") == truth(folder)


def test_a_file_repaired_in_place_is_read_again(folder, tmp_path, settled, opened):
    store = tmp_path / "store"
    ask(folder, store)
    opened.clear()
    change(folder / "1/4.dcm", b"contents ABC")
    assert ask(folder, store) == truth(folder)
    assert opened == ["1/4.dcm"]


def test_two_files_that_changed_places_are_read_again(folder, tmp_path, settled):
    store = tmp_path / "store"
    before = ask(folder, store)
    (folder / "0/0.dcm").rename(folder / "x")
    (folder / "0/3.dcm").rename(folder / "0/0.dcm")
    (folder / "x").rename(folder / "0/3.dcm")
    after = ask(folder, store)
    assert (after["0/0.dcm"], after["0/3.dcm"]) == (before["0/3.dcm"], before["0/0.dcm"])
    assert after == truth(folder)
    files = names(folder)
    assert folder_content(folder, files, "test", Digests(store)) != folder_content(
        folder, ["0/0.dcm"], "test", Digests(store)
    )


def test_contents_are_those_of_a_copy_and_of_a_moved_folder(folder, tmp_path, settled):
    digests = Digests(tmp_path / "store")

    def content(root):
        return folder_content(root, names(root), "test", digests)

    before = content(folder)
    shutil.copytree(folder, tmp_path / "copy")
    assert content(tmp_path / "copy") == before
    folder.rename(tmp_path / "moved")
    assert content(tmp_path / "moved") == before
    change(tmp_path / "moved/0/0.dcm", b"contents XYZ")
    assert content(tmp_path / "moved") != before
    (tmp_path / "copy/0/0.dcm").rename(tmp_path / "copy/0/00.dcm")
    assert content(tmp_path / "copy") != before


def test_a_file_that_has_just_changed_is_not_remembered(folder, tmp_path, opened):
    """Another change within the same tick of the clock would have the same times."""
    store = tmp_path / "store"
    ask(folder, store)
    opened.clear()
    ask(folder, store)
    assert sorted(opened) == names(folder)


@pytest.mark.parametrize(
    ("changed", "modified", "expected"),
    [
        (-60, -60, True),
        (-60, 3600, True),  # a time of modification that somebody has set
        (-60, -1, False),
        (-1, -60, False),
        (3600, -60, False),  # the clock of the file's server is ahead
    ],
)
def test_when_a_file_is_old_enough(changed, modified, expected):
    now = 1_000_000.0
    times = [0] * 7 + [now, now + modified, now + changed]
    assert module._settled(os.stat_result(times), now) is expected


def test_a_file_that_does_not_stop_changing(folder, tmp_path, monkeypatch):
    seen = {"number": 0}
    real = os.fstat

    def moving(handle):
        seen["number"] += 1
        state = list(real(handle))
        state[6] += seen["number"]
        return os.stat_result(state)

    monkeypatch.setattr(module.os, "fstat", moving)
    with pytest.raises(InputError, match="a file there changes while it is read; run"):
        ask(folder, tmp_path / "store")


def test_a_file_that_changes_while_it_is_read_is_read_again(folder, tmp_path, monkeypatch):
    target = folder / "0/0.dcm"
    real, done = os.fstat, []

    def once(handle):
        state = real(handle)
        if os.path.samestat(state, target.stat()) and not done:
            done.append(True)
            with open(target, "ab") as file:
                file.write(b" and more")
        return state

    monkeypatch.setattr(module.os, "fstat", once)
    found = ask(folder, tmp_path / "store")
    assert done
    assert found == truth(folder)


def test_files_that_cannot_be_read_count_as_such(folder, tmp_path, monkeypatch, settled, opened):
    real = module._Reading._read

    def refused(self, name):
        if name == "0/0.dcm":
            raise PermissionError(13, "Permission denied", name)
        real(self, name)

    monkeypatch.setattr(module._Reading, "_read", refused)
    said: list[str] = []
    whole = truth(folder)
    assert ask(folder, tmp_path / "store", said) == whole | {"0/0.dcm": None}
    assert said == [f"{folder}: 1 files cannot be read (Permission denied); they count as such"]
    assert "0.dcm" not in said[0], "names of files may name patients"
    unreadable = folder_content(folder, names(folder), "test", Digests(tmp_path / "store"))
    monkeypatch.setattr(module._Reading, "_read", real)
    opened.clear()
    assert ask(folder, tmp_path / "store") == whole
    readable = folder_content(folder, names(folder), "test", Digests(tmp_path / "store"))
    without = folder_content(folder, names(folder)[1:], "test", Digests(tmp_path / "store"))
    assert len({unreadable, readable, without}) == 3


def test_files_that_vanish_are_left_out(folder, tmp_path, monkeypatch):
    listed = [*names(folder), "0/never.dcm", "0"]
    real = os.stat

    def stat_then_lost(path, *args, **kwargs):
        state = real(path, *args, **kwargs)
        if str(path).endswith("0/0.dcm"):
            os.unlink(path)
        return state

    monkeypatch.setattr(module.os, "stat", stat_then_lost)
    found = Digests(tmp_path / "store").of_folder(folder, listed, "test")
    assert found == truth(folder)
    assert "0/0.dcm" not in found


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:-48],
        lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
        lambda content: b"another format\n" + content,
    ],
    ids=["empty", "cut", "one short", "one bit", "other"],
)
def test_a_damaged_memory_is_made_again(folder, tmp_path, settled, opened, damage):
    store = tmp_path / "store"
    ask(folder, store)
    (memory,) = store.glob("*.bin")
    whole = memory.read_bytes()
    memory.write_bytes(damage(whole))
    opened.clear()
    assert ask(folder, store) == truth(folder)
    assert len(opened) == 20
    assert sorted(memory.read_bytes()) == sorted(whole)
    assert module._load(memory)


def test_a_memory_that_cannot_be_written_is_done_without(folder, tmp_path, settled, monkeypatch):
    (tmp_path / "file").write_text("where the store should be")
    assert ask(folder, tmp_path / "file/digests") == truth(folder)
    ask(folder, tmp_path / "folder")
    for memory in (tmp_path / "folder").glob("*.bin"):
        memory.unlink()
        memory.mkdir()
    in_the_way: list[str] = []
    assert ask(folder, tmp_path / "folder", in_the_way) == truth(folder)
    assert "is a folder where a file is to be written" in in_the_way[-1]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "atomic_path", full)
    said: list[str] = []
    assert ask(folder, tmp_path / "store", said) == truth(folder)
    assert "cannot be written (No space left on device); files will be read again" in said[0]


def test_no_name_of_a_file_is_remembered(folder, tmp_path, settled):
    (folder / "0/0.dcm").rename(folder / "0/patient-doe.dcm")
    ask(folder, tmp_path / "store")
    written = b"".join(path.read_bytes() for path in (tmp_path / "store").iterdir())
    assert b"doe" not in written
    assert "doe" not in "".join(path.name for path in (tmp_path / "store").iterdir())


def test_who_comes_second_waits_and_reads_nothing(folder, tmp_path, settled, opened):
    store = tmp_path / "store"
    ask(folder, store)
    (memory,) = store.glob("*.bin")
    whole = memory.read_bytes()
    memory.unlink()
    opened.clear()
    said: list[str] = []
    found: list[dict] = []
    with open(memory.with_suffix(".lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=lambda: found.append(ask(folder, store, said)))
        second.start()
        deadline = time.monotonic() + 30
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
        memory.write_bytes(whole)
    second.join(30)
    assert said == [f"{folder}: another process reads its files; waiting for it"]
    assert opened == []
    assert found == [truth(folder)]


def test_many_at_once_read_each_file_once(folder, tmp_path, settled, opened):
    store = tmp_path / "store"
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: ask(folder, store), range(6)))
    assert found == [truth(folder)] * 6
    assert sorted(opened) == names(folder)


def test_what_was_read_before_an_interruption_is_kept(folder, tmp_path, settled, monkeypatch):
    store = tmp_path / "store"
    monkeypatch.setattr(module, "BATCH_FILES", 1)
    monkeypatch.setattr(module, "THREADS", 1)
    real, read = module._Reading._read, []

    def stopped(self, name):
        if len(read) == 7:
            raise KeyboardInterrupt
        read.append(name)
        real(self, name)

    monkeypatch.setattr(module._Reading, "_read", stopped)
    with pytest.raises(KeyboardInterrupt):
        ask(folder, store)
    assert len(read) == 7
    again: list[str] = []
    monkeypatch.setattr(
        module._Reading, "_read", lambda self, name: (again.append(name), real(self, name))
    )
    assert ask(folder, store) == truth(folder)
    assert sorted(read + again) == names(folder)


def test_what_files_were_is_forgotten_in_the_end(folder, tmp_path, settled):
    store = tmp_path / "store"
    ask(folder, store)
    (memory,) = store.glob("*.bin")
    old = {os.urandom(16): os.urandom(32) for _ in range(2000)}
    Digests(store)._save(memory, module._load(memory) | old)
    (folder / "0/new.dcm").write_bytes(b"new")
    ask(folder, store)
    assert len(module._load(memory)) == 21


def test_one_file(tmp_path):
    digests = Digests(tmp_path / "store")
    (tmp_path / "weights.pt").write_bytes(b"weights")
    assert digests.of_file(tmp_path / "weights.pt") == hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(InputError, match="nothing.pt: is not there; check the path"):
        digests.of_file(tmp_path / "nothing.pt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: is no file that can be read; check the path"):
        digests.of_file(tmp_path / "folder")


def test_progress_is_told_where_it_takes_a_while(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAY_AFTER", 0.0)
    monkeypatch.setattr(module, "SAY_EVERY", 0.0)
    monkeypatch.setattr(module, "BATCH_FILES", 5)
    said: list[str] = []
    ask(folder, tmp_path / "store", said)
    assert said[0].startswith(f"{folder}: reading its files, 5 of 20 (")
    assert said[0].endswith(" s left)")
    assert said[-1] == f"{folder}: 20 files read"


def test_work_grows_as_the_number_of_files(tmp_path):
    def made(number):
        root = tmp_path / str(number)
        root.mkdir()
        for one in range(number):
            (root / f"{one}.dcm").touch()
        return lambda: folder_content(root, names(root), "test", Digests(tmp_path / "store"))

    few, many = count_operations(made(100)), count_operations(made(400))
    assert many < 4.5 * few


def test_what_is_no_file_is_left_out_and_not_waited_for(folder, tmp_path):
    """Whoever opens a pipe waits until somebody writes to it."""
    before = ask(folder, tmp_path / "store")
    os.mkfifo(folder / "0/pipe.dcm")
    os.symlink(folder / "0/pipe.dcm", folder / "0/link.dcm")
    (folder / "0/folder.dcm").mkdir()
    assert ask(folder, tmp_path / "store") == before
