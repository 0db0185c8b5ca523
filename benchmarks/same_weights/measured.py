"""Which lines of the package run in which case: coverage.py in a case's process and its children.

Everything is set up from outside, by variables of the environment: a ``sitecustomize`` module on
the search path starts the measuring in every process of Python, before anything of the package is
imported. A child carries the name of the case for which it was started.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coverage import Coverage, CoverageData

CASE = "SAME_WEIGHTS_CASE"
IMPORT = "import"  # what ran before the first case
ASIDE = "aside"  # what made things that cases work on, but did not compare
PATIENCE = 60.0  # seconds for a process to write down what it has run

_SITE = """
import coverage
coverage.process_startup()
"""
# C tracer: what is measured must not depend on the version of Python, and contexts need it.
_SETTINGS = """
[run]
parallel = true
data_file = {folder}/data
include = {package}/*
core = ctrace
context = ${{{case}-}}
sigterm = true
patch = _exit
disable_warnings = no-data-collected, module-not-imported, module-not-measured, couldnt-parse
"""


def environment(folder: Path, package: Path) -> dict[str, str]:
    """Return the variables of processes whose runs of ``package`` are written to ``folder``."""
    folder.mkdir(parents=True)
    settings = folder / "settings"
    settings.write_text(
        _SETTINGS.format(folder=folder, package=package, case=CASE), encoding="utf-8"
    )
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_SITE, encoding="utf-8")
    paths = [str(site), str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "COVERAGE_PROCESS_START": str(settings),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


@contextmanager
def case(name: str) -> Iterator[None]:
    """Note what runs in the block, and in processes that it starts, under ``name``."""
    measuring = Coverage.current()
    before = os.environ.get(CASE, IMPORT)
    os.environ[CASE] = name
    if measuring is not None:
        measuring.switch_context(name)
    try:
        yield
    finally:
        os.environ[CASE] = before
        if measuring is not None:
            measuring.switch_context(before)


def aside() -> object:
    """Return a block whose runs count for no case."""
    return case(ASIDE)


def end_gently() -> None:
    """Have processes that this one kills write down first what they have run.

    Further processes of a training are killed when it has ended, which loses nothing but that.
    """
    kill = subprocess.Popen.kill

    def gently(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            with suppress(subprocess.TimeoutExpired, ProcessLookupError):
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)
        kill(process)

    subprocess.Popen.kill = gently  # type: ignore[method-assign]


def lines_run(folder: Path, root: Path) -> dict[str, dict[str, list[int]]]:
    """Return the lines that ran, by case and by path below ``root``; combines the files."""
    measuring = Coverage(config_file=str(folder / "settings"), data_file=str(folder / "data"))
    measuring.combine([str(folder)], keep=False)
    measuring.save()
    data: CoverageData = measuring.get_data()
    found: dict[str, dict[str, list[int]]] = {}
    for file in sorted(data.measured_files()):
        path = Path(file).relative_to(root).as_posix()
        for line, names in data.contexts_by_lineno(file).items():
            for name in names:
                found.setdefault(name or IMPORT, {}).setdefault(path, []).append(line)
    return found
