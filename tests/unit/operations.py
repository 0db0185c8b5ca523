"""Work counted in instructions of the interpreter: how it grows with the input, without a clock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import sscdl

_FOLDER = str(Path(sscdl.__file__).parent)


def count_operations(function: Callable[..., Any], *given: Any) -> int:
    """Return how many instructions the package's own code runs in a call, each step of a loop too.

    The number depends on the input alone. What happens inside compiled functions counts as one.
    """
    count = 0

    def step(frame: FrameType, event: str, value: Any) -> Callable[..., Any]:
        nonlocal count
        count += event == "opcode"
        return step

    def enter(frame: FrameType, event: str, value: Any) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(_FOLDER):
            return None
        frame.f_trace_opcodes = True
        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        function(*given)
    finally:
        sys.settrace(before)
    return count
