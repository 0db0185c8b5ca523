"""SHA-256 of files and of whole archives, remembered from one start of the workflow to the next.

What is remembered lies in a folder of the store, one file for each folder that was read. It is a
memory and nothing more: where it is missing, damaged or cannot be written, files are read again.
It holds hashes alone, as names of files may name patients.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sscdl.archives.layouts import Files
from sscdl.errors import InputError
from sscdl.files import atomic_path
from sscdl.progress import Timer
from sscdl.recipe import file_hash, fingerprint

HEAD = b"sscdl digests 1\n"
KEY, DIGEST = 16, 32  # bytes of what identifies a file and its state, and of a SHA-256
# A file that changed so shortly before it was read (seconds) may change again without another time
# of change: clocks of file systems tick, some every two seconds, and those of servers are off.
RACY = 10.0
THREADS = 8  # on network drives it is waiting that takes the time
BATCH_FILES, BATCH_BYTES = 64, 32 << 20
SAY_AFTER, SAY_EVERY, SAVE_EVERY = 2.0, 10.0, 30.0  # seconds
LOOKS, SLOW_LOOK = 500, 1e-4  # files, and seconds that each takes on a network drive at least
ATTEMPTS = 3
SMALL = 50_000  # bytes that take about as long to read as a file takes to be opened


class Digests:
    """The digests of files, and the folder that remembers them."""

    def __init__(self, folder: Path, say: Callable[[str], None] | None = None) -> None:
        """Remember in ``folder``; ``say`` is told of progress, on standard error if not given."""
        self.folder = folder
        self.say = say or (lambda text: print(text, file=sys.stderr, flush=True))

    def of_folder(self, root: str | Path, names: Iterable[str], use: str) -> dict[str, str | None]:
        """Return the SHA-256 of the files ``names`` below ``root`` as 64 hex digits.

        It is None for a file that cannot be read; one that is gone, or is no file, is left out.
        ``use`` says which files are meant, as folders may be listed in several ways: what is
        remembered is kept for each. Raises InputError for a file that does not stop changing.
        """
        reading = _Reading(Path(root), list(names), self.say)
        place = hashlib.sha256(f"{use}\0{os.path.realpath(root)}".encode(errors="surrogateescape"))
        memory = self.folder / f"{place.hexdigest()[:KEY]}.bin"
        reading.recall(_load(memory))
        if reading.missing:
            with self._lock(memory.with_suffix(".lock"), reading.root) as keep:
                reading.recall(_load(memory))  # what another process has read meanwhile
                reading.read(lambda known: self._save(memory, known) if keep else None)
        return reading.found()

    def of_file(self, path: str | Path) -> str:
        """Return the SHA-256 of one file as 64 hex digits; InputError if it cannot be read."""
        path = Path(path)
        digest = self.of_folder(path.parent, [path.name], f"file {path.name}").get(path.name)
        if digest is None:
            why = "is no file that can be read" if path.exists() else "is not there"
            raise InputError(f"{path}: {why}; check the path")
        return digest

    @contextmanager
    def _lock(self, path: Path, root: Path) -> Iterator[bool]:
        """Wait until no other process reads ``root``; yield whether digests can be remembered."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(path, "a", encoding="utf-8")  # noqa: SIM115  closed below
        except OSError:
            yield False
            return
        with file:
            if os.fstat(file.fileno()).st_uid == os.getuid():
                path.chmod(0o664)  # others of the group read archives, too
            said = False
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not said:
                        self.say(f"{root}: another process reads its files; waiting for it")
                    said = True
                    time.sleep(0.2)
                except OSError:
                    break  # a file system without locks: whoever writes last is remembered
            yield True

    def _save(self, path: Path, known: dict[bytes, bytes]) -> None:
        body = b"".join(key + digest for key, digest in known.items())
        try:
            with atomic_path(path) as temporary:
                temporary.write_bytes(HEAD + hashlib.sha256(body).digest() + body)
        except OSError as error:
            self.say(f"{path}: cannot be written ({error.strerror}); files will be read again")
        except InputError as error:
            self.say(f"{error}. Files will be read again")


def _load(path: Path) -> dict[bytes, bytes]:
    """Return what a file remembers: nothing if it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    start, size = len(HEAD) + DIGEST, KEY + DIGEST
    body = content[start:]
    checked = HEAD + hashlib.sha256(body).digest()
    if content[:start] != checked or len(body) % size:
        return {}
    return {body[n : n + KEY]: body[n + KEY : n + size] for n in range(0, len(body), size)}


def _key(name: str, state: os.stat_result) -> bytes:
    """Return what identifies a file in a state of its own."""
    text = f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ctime_ns}"
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=KEY).digest()


def _settled(state: os.stat_result, began: float) -> bool:
    """Return whether a change after ``began`` (seconds) must show in the times of the file.

    A time of modification in the future was set by somebody, and says nothing.
    """
    return state.st_ctime < began - RACY and abs(state.st_mtime - began) > RACY


class _Reading:
    """The files of one folder, as far as their digests are known."""

    def __init__(self, root: Path, names: list[str], say: Callable[[str], None]) -> None:
        self.root, self.names, self.say = root, names, say
        self.known: dict[bytes, bytes] = {}  # all that was remembered, or can be
        self._digests: dict[str, str | None] = {}
        self._faults: dict[str, str | None] = {}
        # An os.stat_result, or None of a file that is gone.
        self.states: dict[str, Any] = dict(zip(names, self._look_at(names), strict=True))

    @property
    def missing(self) -> list[str]:
        """Return the names of the files that are there and whose digest is not known."""
        there = (name for name in self.names if self.states[name] is not None)
        return [name for name in there if name not in self._digests]

    def recall(self, known: dict[bytes, bytes]) -> None:
        """Take over the digests of files that have not changed."""
        used = 0
        for name in self.missing:
            digest = known.get(_key(name, self.states[name]))
            if digest is not None:
                self._digests[name] = digest.hex()
                used += 1
        # What files were before is forgotten, but not at once: a folder may have the same path on
        # several machines, and be another one on each.
        if len(known) <= 3 * len(self.names) + 1000:
            self.known |= known
        else:
            seen = (_key(n, s) for n, s in self.states.items() if s is not None)
            self.known |= {key: known[key] for key in seen if key in known}

    def read(self, save: Callable[[dict[bytes, bytes]], None]) -> None:
        """Read what is missing; ``save`` what may be remembered, now and then and at the end."""
        missing = self.missing
        sizes = [self.states[name].st_size for name in missing]
        whole, done, files = sum(sizes) + SMALL * len(sizes), 0, 0
        timer, said, saved = Timer(), SAY_AFTER - SAY_EVERY, 0.0
        pool = ThreadPoolExecutor(min(THREADS, len(missing) or 1))
        try:
            jobs = {
                pool.submit(self._read_batch, batch): batch for batch in _batches(missing, sizes)
            }
            for job in as_completed(jobs):
                job.result()
                files += len(jobs[job])
                done += sum(self.states[n].st_size + SMALL for n in jobs[job] if self.states[n])
                now = timer.elapsed()
                if now - said >= SAY_EVERY and files < len(missing):
                    said = now
                    rate = (done - SMALL * files) / 1e6 / now
                    self.say(
                        f"{self.root}: reading its files, {files:,} of {len(missing):,} "
                        f"({rate:,.0f} MB/s, {timer.left(done, whole)} left)"
                    )
                if now - saved >= SAVE_EVERY:
                    saved = now
                    save(dict(self.known))
        finally:
            # What was read before an interruption need not be read again.
            pool.shutdown(cancel_futures=True)
            save(self.known)
        if timer.elapsed() > SAY_AFTER:
            self.say(f"{self.root}: {len(missing):,} files read")
        if self._faults:
            self.say(
                f"{self.root}: {len(self._faults):,} files cannot be read "
                f"({next(iter(self._faults.values()))}); they count as such"
            )

    def found(self) -> dict[str, str | None]:
        """Return the digest of each file that is there."""
        return {name: self._digests[name] for name in self.names if name in self._digests}

    def _look(self, name: str) -> os.stat_result | None:
        try:
            found = os.stat(f"{self.root}/{name}")
            # Gone since the folder was listed; or a pipe, which nobody may ever write to.
            return found if stat.S_ISREG(found.st_mode) else None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._digests[name], self._faults[name] = None, error.strerror
            return None

    def _look_at(self, names: list[str]) -> list[os.stat_result | None]:
        """Return the state of each file; in threads where the first ones keep us waiting."""
        start = time.perf_counter()
        states = [self._look(name) for name in names[:LOOKS]]
        rest = names[LOOKS:]
        if time.perf_counter() - start < SLOW_LOOK * LOOKS:
            return states + [self._look(name) for name in rest]
        parts = [rest[n : n + LOOKS] for n in range(0, len(rest), LOOKS)]
        with ThreadPoolExecutor(THREADS) as pool:
            for part in pool.map(lambda part: [self._look(name) for name in part], parts):
                states += part
        return states

    def _read_batch(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                self._read(name)
            except (FileNotFoundError, IsADirectoryError):
                self.states[name] = None
            except OSError as error:
                self._digests[name], self._faults[name] = None, error.strerror

    def _read(self, name: str) -> None:
        """Read a file until it is the same before and after."""
        for _ in range(ATTEMPTS):
            began = time.time()
            digest = hashlib.sha256()
            with open(f"{self.root}/{name}", "rb", buffering=0) as file:
                before = os.fstat(file.fileno())
                while block := file.read(1 << 20):
                    digest.update(block)
                after = os.fstat(file.fileno())
            key = _key(name, before)
            if key == _key(name, after):
                self._digests[name] = digest.hexdigest()
                if _settled(before, began):
                    self.known[key] = digest.digest()
                return
        raise InputError(
            f"{self.root}: a file there changes while it is read; run the same command again when "
            "nothing writes to that folder any more"
        )


def _batches(names: list[str], sizes: list[int]) -> Iterator[list[str]]:
    """Yield the names in groups that take a thread a short while."""
    batch: list[str] = []
    held = 0
    for name, size in zip(names, sizes, strict=True):
        batch.append(name)
        held += size
        if len(batch) >= BATCH_FILES or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def content(files: Files, digests: Digests) -> str:
    """Return the fingerprint of what an archive holds: paths and contents of all its files.

    Where the archive lies, and what its table is called, is not in it. A file that cannot be read
    counts as one that cannot be read. Raises InputError if that is a table, or if a file does not
    stop changing.
    """
    tables = [file_hash(table) for table in files.tables]
    return fingerprint([folder_content(files.root, files.images, files.layout, digests), tables])


def folder_content(root: Path, names: list[str], use: str, digests: Digests) -> str:
    """Return the SHA-256, as 64 hex digits, over paths and contents of the files ``names``.

    ``use`` is as :meth:`Digests.of_folder` takes it.
    """
    found = sorted(digests.of_folder(root, names, use).items())
    text = "".join(f"{name}\0{digest or 'cannot be read'}\0" for name, digest in found)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def earlier_content(files: Files) -> str:
    """Return the fingerprint that archives had up to version 0.1: of names, sizes and tables."""
    tables = [file_hash(table) for table in files.tables]
    return fingerprint([[list(file) for file in files.listed], tables])
