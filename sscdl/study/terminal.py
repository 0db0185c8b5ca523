"""What a run says on the terminal: a line for each step that is finished, with the time left.

Snakemake says some ten lines for each. They go to its log file as before, but on the terminal only
what a user acts on is shown: steps, warnings, errors, and whatever is not known to be chatter; of
that, --quiet takes away what it takes from Snakemake. A
logger plugin would be found as an installed package alone, which a checkout is not; so this takes
the place of Snakemake's own handler once the workflow is read.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

from sscdl.errors import InputError
from sscdl.progress import duration
from sscdl.study.failures import failing
from sscdl.words import many

LOGGER = logging.getLogger("snakemake.logging")
TERMINAL_IS, ALL = "SSCDL_TERMINAL", "all"  # for users, who want to see more
HANDLER = "DefaultStreamHandler"  # Snakemake's name for what writes to the terminal
# What is said of a run or a job before it has done anything: in the log file alone.
_QUIET = {
    "workflow_started", "run_info", "resources_info", "group_info", "job_started", "job_finished",
    "progress", "rulegraph",
}  # fmt: skip
_CHATTER = re.compile(
    r"Building DAG of jobs|Using shell: |Group jobs: |Conda environments: ignored|"
    r"Singularity containers: ignored|Select jobs to execute|Execute \d+ jobs|Elapsed time: |"
    r"Assuming unrestricted shared filesystem|Touching output file|Shutting down, this might|"
    r"Config file .* is (extended|replaced) by additional config|"
    r"Adding .* \(.*\)\.$|Loading script code for rule |Could not detect mimetype for "  # reports
)
# Each job that a cluster takes, as executors for Slurm and others say it.
_SUBMITTED = re.compile(
    r"Job \S+ has been submitted with |Submitted (array |group )?job .*(jobid|SLURM job ID)"
)
_HINT, _NOTHING = "Complete log(s): ", "Nothing to be done"


class Step(NamedTuple):
    """A job as users know it.

    ``title`` is its rule and what it is for; ``kind`` is shared by steps that take alike long;
    ``epochs`` is how many it trains, 0 if none; ``needs`` has the steps that it waits for, by the
    numbers of their jobs; ``tries`` is how often it may fail before it has failed.
    """

    title: str
    kind: str
    epochs: int = 0
    needs: frozenset[int] = frozenset()
    tries: int = 1


class Pace:
    """How long the steps of a run take, from those that have finished so far."""

    def __init__(self, steps: Mapping[int, Step], clock: Callable[[], float]) -> None:
        self._left, self._clock = dict(steps), clock
        self._start = clock()
        self._began: dict[int, float] = {}
        self._failed: set[int] = set()
        self._busy = 0.0  # seconds of steps that have ended
        # Seconds and size, of each kind and of all that train, or do not, together.
        self._known: dict[str | bool, tuple[float, float]] = {}

    def begin(self, number: int) -> None:
        """Note that a step begins, perhaps once more."""
        self._began[number] = self._clock()
        self._failed.discard(number)

    def fail(self, number: int, *, again: bool) -> None:
        """Note that a step has failed, to be tried ``again`` or not."""
        now = self._clock()
        self._busy += now - self._began.pop(number, now)
        if not again:
            self._failed.add(number)

    def at_work(self) -> set[int]:
        """Return the steps that have begun and not ended."""
        return set(self._began)

    def lost(self) -> set[int]:
        """Return the steps that will not be: those that have failed, and those that need them."""
        lost = set(self._failed)
        while more := {n for n, one in self._left.items() if n not in lost and one.needs & lost}:
            lost |= more
        return lost

    def finish(self, number: int) -> float:
        """Note that a step has finished; return the seconds that it took."""
        now = self._clock()
        seconds = now - self._began.pop(number, now)
        self._busy += seconds
        step = self._left.pop(number, None)
        if step is not None:
            for key in (step.kind, step.epochs > 0):
                before, size = self._known.get(key, (0.0, 0.0))
                self._known[key] = (before + seconds, size + (step.epochs or 1))
        return seconds

    def left(self) -> float | None:
        """Return about how many seconds the rest takes, None before a stage has been trained.

        Steps take as long as others of their kind, in the measure of their epochs, and as many
        are at work at a time as until now.
        """
        now, total, lost = self._clock(), 0.0, self.lost()
        for number, step in self._left.items():
            if number in lost:
                continue
            training = step.epochs > 0
            known = self._known.get(step.kind) or self._known.get(training)
            if known is None and training:
                return None
            seconds, size = known or (0.0, 1.0)
            since = now - self._began.get(number, now)
            total += max(seconds / size * (step.epochs or 1) - since, 0.0)
        busy = self._busy + sum(now - began for began in self._began.values())
        return total * (now - self._start) / busy if busy else None


class Terminal(logging.Handler):
    """Shows a run on the terminal in the place of ``whole``, which still shows all else.

    ``results`` is the folder to name where nothing is to be done, '' for none.
    """

    def __init__(
        self, whole: logging.StreamHandler[TextIO], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.name = whole.name
        self.results = ""
        self._whole, self._clock = whole, clock
        self._names: dict[int, str] = {}  # where nobody has said what to expect
        self._tries: Counter[int] = Counter()
        self._finished: list[int] = []
        self._done = 0
        self._failed = self._ending = self._submitted = False
        self.begin({})

    def begin(
        self, steps: Mapping[int, Step], *, keep_going: bool = False, made: bool = True
    ) -> None:
        """Expect ``steps``, by the numbers of their jobs; others are not told of.

        ``keep_going``: whether a run goes on after a failure; ``made``: whether steps are made, and
        not only passed through, and so told of.
        """
        self._steps, self._pace = steps, Pace(steps, self._clock)
        self._keep_going, self._made = keep_going, made

    def emit(self, record: logging.LogRecord) -> None:
        """Show what is worth it; count what is finished."""
        event = str(getattr(record, "event", "") or "")
        self._failed |= record.levelno >= logging.ERROR
        shown = True
        try:
            shown = self._worth(event, record)
        except Exception:
            self.handleError(record)
        if shown:
            self._whole.handle(record)
        try:
            self._count(event, record)
        except Exception:
            self.handleError(record)

    def _worth(self, event: str, record: logging.LogRecord) -> bool:
        """Return whether a record is for the terminal, if --quiet and its like let it by."""
        if record.levelno >= logging.WARNING:
            return True
        if event == "job_info":  # what a rule of another workflow says of itself
            return bool(getattr(record, "rule_msg", None))
        if event == "shellcmd":  # which only --printshellcmds lets by; scripts have none
            return bool(getattr(record, "shellcmd", None) or getattr(record, "cmd", None))
        if event in _QUIET:
            return False
        words = record.getMessage()
        if _SUBMITTED.match(words):
            first, self._submitted = not self._submitted, True
            return first
        return not (_CHATTER.match(words) or (words.startswith(_HINT) and not self._failed))

    def _count(self, event: str, record: logging.LogRecord) -> None:
        """Take note of what a record says of steps, and say what follows from it."""
        said: Any = record  # with what Snakemake adds for each event
        if event == "job_info":
            self._tries[said.jobid] += 1
            self._pace.begin(said.jobid)
            self._names[said.jobid] = said.rule_name
        elif event == "job_finished":
            self._finished.append(said.job_id)
        elif event == "progress":
            self._finish(record)
        elif ended := failing(record):
            self._fail([job["jobid"] for job in ended.jobs], record)
        elif not event and str(record.msg).startswith(_NOTHING) and self.results:
            self._say([f"Results: {self.results}"], record)

    def _finish(self, record: logging.LogRecord) -> None:
        """Say which steps have finished."""
        said: Any = record
        finished, self._finished = self._finished, []  # counted once, even if saying so fails
        total = len(self._steps) or said.total
        if self._keep_going:
            total -= len(self._pace.lost())
        lines = []
        for number in finished:
            seconds = self._pace.finish(number)
            if self._steps and number not in self._steps:
                continue
            self._done += 1
            left = None
            if self._steps and self._done < total and not self._ending:
                left = self._pace.left()
            lines.append(
                f"{time.strftime('%H:%M:%S')}  {self._done} of {total}  "
                f"{self._title(number)}: {duration(seconds)}"
                f"{'' if left is None else f'; about {duration(left)} left'}"
            )
        if self._made:
            self._say(lines, record)

    def _fail(self, numbers: list[int], record: logging.LogRecord) -> None:
        """Say what the failure of jobs, several if they are a group, means for the rest."""
        before = self._pace.lost()
        tries = max(self._steps[n].tries if n in self._steps else 1 for n in numbers)
        again = max(self._tries[n] for n in numbers) < tries
        for number in numbers:
            self._pace.fail(number, again=again)
        if again or self._ending:
            return
        what = f"{self._title(numbers[0])}{' and its group' if len(numbers) > 1 else ''} failed"
        running = len([n for n in self._pace.at_work() if n in self._steps or not self._steps])
        behind = len(self._pace.lost() - before - set(numbers))
        words = ""
        if not self._keep_going:
            self._ending = True
            words = f"waiting for {steps(running)} at work, then the run ends" if running else ""
        elif behind:
            words = f"{steps(behind)} that {'needs' if behind == 1 else 'need'} it will be left out"
        if words:
            self._say([f"{time.strftime('%H:%M:%S')}  {what}; {words}"], record)

    def _title(self, number: int) -> str:
        return self._steps[number].title if number in self._steps else self._names.get(number, "")

    def _say(self, lines: list[str], record: logging.LogRecord) -> None:
        """Write lines, unless what they follow from is hidden (by --quiet)."""
        if lines and self._whole.filter(record):
            self._whole.stream.write("".join(f"{line}\n" for line in lines))
            self._whole.flush()


def all_is_asked_for() -> bool:
    """Return whether the environment asks for all that is said.

    Raises InputError if it asks for something that there is not.
    """
    asked = os.environ.get(TERMINAL_IS, "")
    if asked not in ("", ALL):
        raise InputError(
            f"{TERMINAL_IS}: {asked!r} in the environment; {ALL!r} shows on the terminal all that "
            "jobs and Snakemake say, nothing what is needed to see them move"
        )
    return asked == ALL


def steps(count: int) -> str:
    """Return so many steps in words."""
    return many(count, "step")


def take_terminal() -> Terminal | None:
    """Put a ``Terminal`` in the place of Snakemake's handler and return it.

    None if a plugin writes to the terminal.
    """
    whole = next((one for one in LOGGER.handlers if one.name == HANDLER), None)
    if not isinstance(whole, logging.StreamHandler):
        return None
    shown = Terminal(whole)
    LOGGER.removeHandler(whole)
    LOGGER.addHandler(shown)
    return shown
