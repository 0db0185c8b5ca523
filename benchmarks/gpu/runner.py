"""Hands out the parts, each to a process of its own with a time limit, and writes what they say.

Children are forked from a server that has imported torch but never asks for a GPU, so that a part
begins at once and finds a device that nobody in its process has touched.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.gpu.child import work
from benchmarks.gpu.record import DONE, FAILED, NO_TIME, NOT_HERE, Results
from benchmarks.gpu.sizes import Sizes

SERVER = multiprocessing.get_context("forkserver")
PRELOADED = ["torch", "benchmarks.training_speed", "sscdl.stages.session"]
LEAST = 3.0  # seconds without which nothing is begun
RESERVED = 12.0  # seconds that the last part may count on
FULL = 600.0  # seconds that the limits of the parts are made for
PATIENCE = 10.0  # seconds for a process to end that has closed its pipe
ALL = "all"  # the case of a record that is about a whole part


@dataclass(frozen=True)
class Part:
    """A part: its ``module``, its ``share`` of ten minutes and how long one ``case`` may take."""

    module: str
    share: float  # seconds
    case: float = 60.0  # seconds

    @property
    def name(self) -> str:
        """Return what records call it."""
        return self.module.rsplit(".", 1)[-1]


def part(name: str, share: float, case: float) -> Part:
    """Return a part of this package."""
    return Part(f"benchmarks.gpu.parts.{name}", share, case)


# Most valuable first; what a part does not use, later ones may, and what it had no time for is
# tried again before the last one, which is made of the others' figures.
PARTS = (
    part("device", 60, 60),
    part("weights", 60, 40),
    part("waits", 45, 30),
    part("speed", 190, 60),
    part("bare", 110, 100),
    part("side", 100, 60),
    part("memory", 30, 20),
    part("resume", 60, 40),
    part("together", 40, 30),
    part("segmenters", 40, 25),
    part("hours", 10, 10),
)


@dataclass
class Heard:
    """What a process has said so far."""

    cases: list[str] | None = None
    current: str = ""  # the case that it is at
    since: float = field(default_factory=time.monotonic)  # when that began
    ended: bool = False
    whole: bool = False  # it came to its end


class Runner:
    """Runs parts until the ``deadline`` (of ``time.monotonic``)."""

    def __init__(self, results: Results, sizes: Sizes, deadline: float, begun: float) -> None:
        self.results, self.sizes, self.deadline = results, sizes, deadline
        self.scale = max(0.1, (deadline - begun) / FULL)
        self.slow = 1 if sizes.device == "cuda" else 4
        self._cases: dict[str, list[str]] = {}  # of each part, once it has named them

    def run(self, parts: Iterable[Part]) -> None:
        """Run all of them, then again what they had no time for, and the last one last."""
        parts = list(parts)
        SERVER.set_forkserver_preload(PRELOADED)
        *early, last = parts
        for one in early:
            self.one(one, min(one.share * self.scale * self.slow, self._left() - RESERVED))
        for one in early:
            if self._todo(one):
                self.one(one, self._left() - RESERVED)
        self.one(last, self._left())
        for one in parts:
            for case in self._todo(one):
                self.results.add(one.name, case, NO_TIME)

    def _left(self) -> float:
        return self.deadline - time.monotonic()

    def _limit(self, one: Part) -> float:
        """Return how long a case may take."""
        return one.case * self.slow

    def one(self, one: Part, seconds: float) -> None:
        """Run ``one`` for up to so many seconds, in further processes where one breaks."""
        end = time.monotonic() + seconds
        before = -1
        while self._todo(one) and end - time.monotonic() >= LEAST:
            if before == (before := len(self.results.of(one.name))):
                break  # neither done nor failed: it would go on like that
            self._process(one, end)

    def _todo(self, one: Part) -> list[str]:
        """Return the cases without a record; ``ALL`` if the part has not named any yet."""
        known = {record["case"] for record in self.results.of(one.name)}
        if ALL in known:
            return []
        return [case for case in self._cases.get(one.name, [ALL]) if case not in known]

    def _process(self, one: Part, end: float) -> None:
        """Run one process until it ends, or until ``end``."""
        skip = [record["case"] for record in self.results.of(one.name)]
        listens, speaks = SERVER.Pipe(duplex=False)
        with tempfile.TemporaryDirectory() as folder, listens:
            errors = Path(folder) / "errors"
            order = (one.module, self.sizes, list(self.results.records), skip, speaks, errors)
            process = SERVER.Process(target=work, args=order)
            process.start()
            speaks.close()
            heard = Heard()
            try:
                self._listen(one, end, listens, heard)
                if heard.ended:
                    process.join(PATIENCE)
                code = process.exitcode
            finally:
                _end(process)
            took, case = time.monotonic() - heard.since, heard.current
            if heard.ended and not heard.whole and (case or heard.cases is None):
                words = f"ended with status {code}\n{_tail(errors)}"
                self.results.add(one.name, case or ALL, FAILED, seconds=took, error=words)
            # A case that had less than its time, because the part's was over, may have another try.
            elif not heard.ended and took >= self._limit(one):
                words = f"was ended after {took:.0f} s\n{_tail(errors)}"
                self.results.add(one.name, case or ALL, FAILED, seconds=took, error=words)

    def _listen(self, one: Part, end: float, listens: Connection, heard: Heard) -> None:
        """Write what a process says until it ends, or its case or its part takes too long."""
        while listens.poll(max(0.0, min(end, heard.since + self._limit(one)) - time.monotonic())):
            try:
                what, *rest = listens.recv()
            except (EOFError, OSError):
                heard.ended = True
                return
            if what == "cases":
                (heard.cases,) = rest
                self._cases[one.name] = heard.cases
            elif what == "begin":
                (heard.current,), heard.since = rest, time.monotonic()
            elif what == "end":
                heard.ended = heard.whole = True
                return
            else:
                status, took, error, figures = rest
                self.results.add(one.name, what, status, seconds=took, error=error, figures=figures)
                heard.current, heard.since = "", time.monotonic()
                self._learn(one, status, figures)

    def _learn(self, one: Part, status: str, figures: dict[str, Any]) -> None:
        """Keep what the first part says of the device."""
        if one.name == "device" and status == DONE and "name" in figures:
            self.sizes = Sizes(self.sizes.device, self.sizes.tiny, figures["gpus"])
            self.results.describe(device=figures)


def _end(process: Any) -> None:
    """End a process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.is_alive():
        process.kill()
    process.join()
    process.close()


def _tail(errors: Path) -> str:
    """Return the last lines that a process printed."""
    try:
        return errors.read_text(encoding="utf-8", errors="replace")[-3000:]
    except FileNotFoundError:
        return ""


def failed(results: Results) -> bool:
    """Return whether anything that could be measured here was not, for another reason than time."""
    return any(one["status"] not in (DONE, NOT_HERE, NO_TIME) for one in results.records)
