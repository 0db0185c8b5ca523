"""Fixtures that find test material outside the repository, and skip with a reason without it."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_END = 10.0  # for what a test has told to end
# Processes that Python keeps for all that come later.
KEPT = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the workflow's tests, which take minutes: none is to be waited for at the end."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.fixture(autouse=True)
def _nothing_left_behind():
    """Fail a test that leaves a timer, a thread or a process: it would act in later tests."""
    before = _running()
    yield
    deadline = time.monotonic() + SECONDS_TO_END
    while (left := _running().keys() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    found = _running()
    assert not left, f"left behind by this test: {'; '.join(map(found.get, left & found.keys()))}"


def _running() -> dict[object, str]:
    """Return the threads of this process and, where the system tells, its children, in words."""
    found: dict[object, str] = {one: str(one) for one in threading.enumerate()}
    # Those of a fork server are nobody's children here, but Python waits for them when it ends.
    found |= {one.name: str(one) for one in multiprocessing.active_children()}
    for children in Path("/proc/self/task").glob("*/children"):
        try:
            numbers = children.read_text().split()
        except FileNotFoundError:  # the thread has ended
            continue
        found |= {number: text for number in numbers if (text := _process(number))}
    return found


def _process(number: str) -> str | None:
    """Return a child process in words, None if it has ended or belongs to Python itself."""
    try:
        ended = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        command = Path(f"/proc/{number}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if ended or any(kept in command for kept in KEPT):
        return None
    return f"process {number} ({command.replace(bytes(1), b' ').decode(errors='replace')[:200]})"


def _outside(variable: str, beside: str, what: str) -> Path:
    """Return the folder that ``variable`` names, or ``beside`` the checkout; skip if neither is."""
    found = Path(os.environ.get(variable) or ROOT.parent / beside)
    if not found.is_dir():
        pytest.skip(f"{what} not found: set {variable} to its folder")
    return found


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with ``nih-siim/`` and ``lung-masks/`` (real radiographs, not part of the project)."""
    return _outside("SSCDL_TEST_DATA", "shared/data", "real radiographs")


@pytest.fixture(scope="session")
def lungvae_golden() -> Path:
    """Folder with recorded inputs and outputs of the original lungVAE code."""
    return _outside("SSCDL_LUNGVAE_GOLDEN", "shared/lungvae/golden", "lungVAE golden data")
