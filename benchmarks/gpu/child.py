"""One part's process: does case after case and says what it found, until it is done or ended."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.gpu.record import DONE, FAILED, NOT_HERE
from benchmarks.gpu.sizes import NotHere, Sizes


def work(
    module: str, sizes: Sizes, known: list[dict[str, Any]], skip: list[str], said: Connection,
    errors: Path,
) -> None:  # fmt: skip
    """Do the cases of ``module`` that are not in ``skip``.

    Sends ("cases", names) first, then for each ("begin", name) and (name, status, seconds, error,
    figures). What anybody prints goes to the file ``errors``.
    """
    os.setpgid(0, 0)  # whoever ends this process ends what it has started, too
    threading.Thread(target=_watch, daemon=True).start()
    handle = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)
    warnings.simplefilter("ignore")
    try:
        part = importlib.import_module(module)
        cases = part.cases(sizes)
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    said.send(("cases", cases))
    for case in cases:
        if case in skip:
            continue
        said.send(("begin", case))
        began = time.monotonic()
        status, error, figures = DONE, "", {}
        try:
            figures = part.run(case, sizes, known)
        except NotHere as reason:
            status, error = NOT_HERE, str(reason)
        except Exception:
            status, error = FAILED, traceback.format_exc()
        known.append({"part": module.rsplit(".", 1)[-1], "case": case, "status": status})
        known[-1]["figures"] = figures
        said.send((case, status, time.monotonic() - began, error, figures))
        if status == FAILED and _broken(error):
            os._exit(1)  # a process of its own for what is left
        _tidy()
    said.send(("end",))
    said.close()


def _watch() -> None:
    """End this process, and all that it started, when the one that waits for it has ended."""
    wait([parent_process().sentinel])
    os.killpg(0, signal.SIGKILL)


def _broken(error: str) -> bool:
    """Return whether a GPU's context is gone after ``error``: all else would fail, too."""
    return "CUDA error" in error or "AcceleratorError" in error


def _tidy() -> None:
    """Give memory of the device back."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
