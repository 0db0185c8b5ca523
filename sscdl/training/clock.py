"""How long marked parts of the work take on the device, without making the host wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Clock:
    """Adds up the time of the parts that it is put around."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds = 0.0

    @contextmanager
    def part(self) -> Iterator[None]:
        """Count the time that the block takes."""
        if self._cuda:
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            yield
            last.record()
            self._events.append((first, last))
        else:
            began = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - began

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` with its time counted."""

        def timed(*arguments: Any) -> Any:
            with self.part():
                return function(*arguments)

        return timed

    def seconds(self) -> float:
        """Return the time of all parts so far; waits for the device."""
        if self._cuda:
            torch.cuda.synchronize()
            self._seconds += sum(first.elapsed_time(last) for first, last in self._events) / 1000
            self._events.clear()
        return self._seconds
