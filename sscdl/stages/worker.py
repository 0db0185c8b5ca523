"""The other end of ``sscdl.stages.crew``: trains what it is told to, until its input ends."""

from __future__ import annotations

import logging
import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from sscdl.progress import job_log
from sscdl.stages.runs import Runs
from sscdl.store.store import Store

LOGGER = logging.getLogger("sscdl.stage")


def main() -> None:
    """Read a stage, then tasks, from standard input; write results to standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not get between the answers
    stage, start, before, log = pickle.load(sys.stdin.buffer)
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, tasks), daemon=True).start()
    with (
        job_log(log, f"{stage.name} {stage.variant} s{stage.recipe['seed']}"),
        Runs(stage, Store(stage.store), start, before) as runs,
    ):
        while True:
            name, arguments = tasks.get()
            try:
                found = (False, TASKS[name](runs, *arguments))
            except Exception as error:
                found = (True, _sendable(error))
            pickle.dump(found, answers)
            answers.flush()


def _read(source: BinaryIO, tasks: queue.SimpleQueue[Any]) -> None:
    """Pass on what arrives; end the process at once when the one that sends it has ended."""
    try:
        while True:
            tasks.put(pickle.load(source))
    except (EOFError, pickle.UnpicklingError):  # the latter where it ended amid a message
        # States are replaced whole: nothing can be half written, and nobody waits for more.
        os._exit(0)
    except BaseException:
        # Whatever it is, no task would ever arrive again: better no process than one that waits.
        LOGGER.exception("a further process cannot read what it is asked to do, and ends")
        os._exit(1)


def _sendable(error: Exception) -> Exception:
    """Return ``error``, or its words where it cannot be pickled and read again."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _candidate(runs: Runs, rate: float, epochs: int) -> dict[str, Any]:
    return runs.candidates([rate], epochs)[0]


def _open(runs: Runs) -> None:
    runs.opened()


TASKS: dict[str, Callable[..., Any]] = {"candidate": _candidate, "open": _open, "share": Runs.share}


if __name__ == "__main__":
    main()
