"""Further processes that train for a node: its other candidates, or shares of its batches.

Each is a ``python -m sscdl.stages.worker`` that is told what to do through its standard input and
answers on its standard output, in pickles: both ends are this program. It ends when its input ends,
that is, with the process that started it, however that ends.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from sscdl.errors import InputError
from sscdl.files import HOME
from sscdl.progress import log_file
from sscdl.stages.node import Stage
from sscdl.study.launch import share_package

LOGGER = logging.getLogger("sscdl.stage")
PATIENCE = 30.0  # seconds until a failure elsewhere ends a process that does not notice it


class Worker:
    """One further process."""

    def __init__(self, stage: Stage, start: str, before: dict[str, Any] | None) -> None:
        share_package(HOME)
        self._process: Any = subprocess.Popen(  # with both pipes
            [sys.executable, "-m", "sscdl.stages.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._send((stage, start, before, log_file()))

    def ask(self, task: str, *arguments: Any) -> Any:
        """Have the process do ``task`` and return its result, or raise what it raised."""
        self._send((task, arguments))
        try:
            failed, found = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):  # none, or only a part of one
            status = self._process.wait()
            raise InputError(
                f"a training process ended without an answer (exit status {status}); its last "
                "lines are in the log. Out of memory? Then set training.side_by_side lower"
            ) from None
        if failed:
            raise found
        return found

    def kill(self) -> None:
        """End the process without waiting for its end."""
        self._process.kill()

    def close(self) -> None:
        """End the process, whatever it does."""
        self.kill()
        self._process.wait()
        with suppress(BrokenPipeError):  # of what was still to be sent
            self._process.stdin.close()
        self._process.stdout.close()

    def _send(self, value: Any) -> None:
        try:
            pickle.dump(value, self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # `ask` finds that there is no answer and says so


class Crew:
    """The further processes of one node, started when they are first needed."""

    def __init__(
        self, stage: Stage, start: str, before: dict[str, Any] | None, devices: list[str]
    ) -> None:
        self._stage, self._start, self._before, self._devices = stage, start, before, devices
        self._workers: list[Worker] = []
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._mates: list[Worker] = []

    def candidates(self, rates: Sequence[float], epochs: int) -> list[dict[str, Any]]:
        """Return the metrics of the search runs at ``rates``, all trained up to ``epochs``."""
        wanted = min(len(rates), self._stage.side_by_side * len(self._devices))
        while len(self._workers) < wanted:
            device = self._devices[len(self._workers) % len(self._devices)]
            self._workers.append(self._worker(device))
            self._idle.put(self._workers[-1])
        # By a name of its own: after `close`, the attribute is for other processes than these.
        idle = self._idle

        def train(rate: float) -> dict[str, Any]:
            worker = idle.get()
            try:
                return worker.ask("candidate", rate, epochs)
            finally:
                idle.put(worker)

        with ThreadPoolExecutor(wanted) as pool:
            futures = [pool.submit(train, rate) for rate in rates]
            try:
                return [future.result() for future in futures]
            except BaseException:
                # Whoever asked has been told to stop: the others' finished epochs are kept.
                pool.shutdown(wait=False, cancel_futures=True)
                self.close()
                raise

    @contextmanager
    def beside(self, run: dict[str, Any]) -> Iterator[None]:
        """Have a process on every further device take its share of ``run``, which the block trains.

        The block is process 0 of as many as there are devices.
        """
        import torch

        from sscdl.training import ranks

        world = len(self._devices)
        if not self._mates:
            self._mates = [self._worker(device) for device in self._devices[1:]]
        watch = Watch(self._mates, f"the shared run {run['key']}")
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(world - 1) as pool:
            # Whoever cannot even begin says so before anybody waits for it.
            list(pool.map(lambda worker: worker.ask("open"), self._mates))
            address = f"file://{folder}/meeting"
            futures = [
                pool.submit(worker.ask, "share", run, number, world, address)
                for number, worker in enumerate(self._mates, start=1)
            ]
            for future in futures:
                future.add_done_callback(watch.look)
            try:
                ranks.join(0, world, address, torch.device(self._devices[0]))
                yield
                # The others leave before they answer, and over NCCL nobody can leave alone.
                ranks.leave()
                for future in futures:
                    future.result()
            except BaseException as error:
                try:
                    cause = _cause(error, futures)
                finally:  # also where a signal interrupts that
                    watch.end()
                    self.close()  # or they would wait for this process for ever
                    ranks.abandon()
                if cause is not error:
                    raise cause from error
                raise
            watch.end()

    def close(self) -> None:
        """End all processes."""
        for worker in [*self._workers, *self._mates]:
            worker.close()
        self._workers, self._mates, self._idle = [], [], queue.SimpleQueue()

    def _worker(self, device: str) -> Worker:
        one = replace(self._stage, device=device, devices=1)
        return Worker(one, self._start, self._before)


class Watch:
    """Sees to it that all processes of ``run`` (in words) learn of a failure in one of ``mates``.

    Where a connection tells of its end, as gloo's do, this process has an error at once. NCCL's do
    not: then it ends after a while, at any moment as good as another, as states are replaced whole.

    Failures are told by other threads, and the alarm is one, so that any of them may come when the
    run is over. All that they do is done under one lock, and only before ``end`` has taken it.
    """

    def __init__(self, mates: list[Worker], run: str) -> None:
        self._mates, self._run = mates, run
        self._lock = threading.Lock()
        self._alarm: threading.Timer | None = None
        self._over = False

    def look(self, future: Future[None]) -> None:
        """Tell of a failure of the process that ``future`` belongs to, unless the run is over."""
        failure = future.exception()
        if failure is None:
            return
        with self._lock:
            if self._over:
                return
            LOGGER.error("a further process: %s", failure)
            for worker in self._mates:
                worker.kill()
            if self._alarm is None:
                self._alarm = threading.Timer(PATIENCE, self._ring, [failure])
                self._alarm.daemon = True
                self._alarm.start()

    def end(self) -> None:
        """Expect further failures: the run is over, and what it still has is about to be ended."""
        with self._lock:
            self._over = True
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm.join()

    def _ring(self, failure: BaseException) -> None:
        with self._lock:
            if self._over:
                return
            LOGGER.error(
                "%s ends on all devices, as it was not over %g s after a failure (%s); what was "
                "finished is kept: run it again", self._run, PATIENCE, failure,
            )  # fmt: skip
            os._exit(1)


def _cause(error: BaseException, futures: list[Future[None]]) -> BaseException:
    """Return what ended one of ``futures`` if that is why this process had ``error``."""
    if not isinstance(error, RuntimeError):
        return error
    # It may be torch's word for a connection that ended; the other end is about to say why.
    done, _ = wait(futures, timeout=10, return_when=FIRST_EXCEPTION)
    return next((failure for one in done if (failure := one.exception())), error)
