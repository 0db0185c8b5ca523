"""Rendering image files in a worker process that may hang, crash or run out of memory."""

from __future__ import annotations

import json
import logging
import math
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from sscdl.dicom.radiograph import Rendering
from sscdl.errors import InputError
from sscdl.files import HOME

GIB = 2**30
# -P: modules come from the search path, not from the folder that happens to be the current one.
_COMMAND = [sys.executable, "-P", "-m", "sscdl.images.render_worker"]
# Libraries and small pictures take less than this, large ones up to 30 bytes a pixel more.
_GIB_AT_LEAST, _BYTES_A_PIXEL = 1, 30
_SECONDS_TO_START = 600  # importing from a busy network drive can take minutes
_LONGEST_LINE = 2**20  # of an answer; whatever is longer is not one

logger = logging.getLogger(__name__)


class Renderer:
    """Renders image files to PNG in a process of its own, which is replaced if a file breaks it.

    A context manager; its process starts with the first file and ends with the block (on Linux,
    also with the thread that started it). ``accept`` is what ``sscdl.images.screen.set_aside``
    takes, ``find_text`` whether suspected text is looked for, ``time_limit`` the seconds that a
    file may take. The process may use ``memory`` GiB of addresses. ``lost`` counts processes that
    crashed or had to be killed.
    """

    def __init__(
        self, rendering: Rendering, accept: Mapping[str, Any], *, find_text: bool, time_limit: float
    ) -> None:
        self.memory = math.ceil(_GIB_AT_LEAST + _BYTES_A_PIXEL * rendering.max_pixels / GIB)
        self.time_limit = time_limit
        self.lost = 0
        self._settings = {
            "rendering": asdict(rendering),
            "accept": dict(accept),
            "find_text": find_text,
            "memory": self.memory * GIB,
        }
        self._worker: _Worker | None = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker process, if there is one."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    @property
    def pid(self) -> int | None:
        """Return the id of the worker process, None if there is none."""
        return None if self._worker is None else self._worker.process.pid

    def render(self, file: Path, png: Path, view: str = "") -> tuple[str, Any]:
        """Render ``file`` to ``png`` and return ('image', row), ('rejected' or 'failed', reason).

        ``view`` is what is known of the view position without the header ('' for nothing).
        ``row`` has the columns of the manifest that come from the file, and patient_id as it stands
        in the header. A file is rejected for what it is; it has failed where the decoder broke.
        Raises InputError if ``png`` cannot be written, RuntimeError if no worker can be started.
        """
        answer = self._ask(file, png, view)
        if "again" in answer:
            # Earlier files may have filled or damaged the memory: no file pays for another.
            answer = self._ask(file, png, view)
        if "failed" in answer:
            return "failed", answer["failed"]
        if "unwritable" in answer:
            raise InputError(
                f"{png}: cannot be written ({answer['unwritable']}); check space and permissions"
            )
        if "rejected" in answer:
            return "rejected", answer["rejected"]
        return "image", answer["row"]

    def _ask(self, file: Path, png: Path, view: str) -> dict[str, Any]:
        """Return the worker's answer, or what became of the worker; ``again`` says try another."""
        fresh = self._worker is None
        if self._worker is None:
            self._worker = _Worker(self._settings)
        try:
            answer = self._worker.ask(file, png, view, self.time_limit)
        except TimeoutError:
            self._lose()
            return {"failed": f"decoder did not finish within {self.time_limit:g} s"}
        except EOFError:
            status = self._lose()
            if fresh:
                return {"failed": _crash(status)}
            logger.warning("%s; the file is tried again in a new process", _crash(status))
            return {"again": True}
        if "memory" in answer:
            self.close()
            reason = f"needs more than {self.memory} GiB of memory"
            return {"rejected": reason} if fresh else {"again": True}
        if "fault" in answer:
            return {"failed": f"unexpected error ({answer['fault']})"}
        return answer

    def _lose(self) -> int:
        """Give the worker up; return its exit status (negative: the signal that ended it)."""
        self.lost += 1
        worker, self._worker = self._worker, None
        return worker.kill()  # type: ignore[union-attr]  # one has been asked


class _Worker:
    """One worker process."""

    def __init__(self, settings: dict[str, Any]) -> None:
        paths = [str(HOME), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process: Any = subprocess.Popen(  # with both pipes
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **single, "PYTHONPATH": os.pathsep.join(paths)},
            bufsize=0,
        )
        self._number = 0
        self._partial: Path | None = None
        self._rest = b""
        self._readable = selectors.DefaultSelector()
        # It is a pipe.
        self._readable.register(self.process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        try:
            self._send(settings)
            self._receive("ready", True, _SECONDS_TO_START)
        except (EOFError, TimeoutError):
            status = self.kill()
            raise RuntimeError(
                f"the render worker did not start (exit status {status}); what it wrote to "
                "standard error says why"
            ) from None
        except BaseException:
            self.kill()
            raise

    def ask(self, file: Path, png: Path, view: str, time_limit: float) -> dict[str, Any]:
        """Return the answer to a request; TimeoutError or EOFError if there is none."""
        self._number += 1
        self._partial = png.with_name(f".{png.stem}.{self.process.pid}.part")
        names = {"file": str(file), "png": str(png), "partial": str(self._partial)}
        self._send({"number": self._number, "view": view, **names})
        return self._receive("number", self._number, time_limit)

    def stop(self) -> None:
        """Let the process end, by force if it does not at once."""
        self.process.stdin.close()
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            logger.debug("the render worker does not end by itself")
        self.kill()

    def kill(self) -> int:
        """End the process by force, remove a half-written file, return the exit status."""
        self.process.kill()
        status = self.process.wait()
        self._readable.close()
        self.process.stdin.close()
        self.process.stdout.close()
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)
        return status

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            raise EOFError from None

    def _receive(self, key: str, value: Any, seconds: float) -> dict[str, Any]:
        """Return the first JSON object whose ``key`` is ``value``; what else comes is dropped."""
        end = time.monotonic() + seconds
        while True:
            *lines, self._rest = self._rest.split(b"\n")
            for line in lines:
                message = _parsed(line)
                if message.get(key) == value:
                    return message
            if len(self._rest) > _LONGEST_LINE:
                self._rest = b""
            left = end - time.monotonic()
            if left <= 0 or not self._readable.select(left):
                raise TimeoutError
            received = os.read(self.process.stdout.fileno(), 2**16)
            if not received:
                raise EOFError
            self._rest += received


def _parsed(line: bytes) -> dict[str, Any]:
    """Return the JSON object in ``line``, an empty one if there is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _crash(status: int) -> str:
    if status < 0:
        return f"decoder crashed (signal {-status})"
    return f"decoder ended its process (status {status})"
