"""What a run says on the terminal: a line for each step that is finished, with the time left.

Snakemake says some ten lines for each. They go to its log file as before, but on the terminal only
what a user acts on is shown: steps, warnings, errors, and whatever is not known to be chatter. A
logger plugin would be found as an installed package alone, which a checkout is not; so this takes
the place of Snakemake's own handler once the workflow is read.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

from sscdl.progress import ALL, duration, terminal

LOGGER = logging.getLogger("snakemake.logging")
HANDLER = "DefaultStreamHandler"  # Snakemake's name for what writes to the terminal
# What is said of a run or a job before it has done anything: in the log file alone.
_QUIET = {
    "workflow_started", "run_info", "resources_info", "job_info", "group_info", "job_started",
    "shellcmd", "job_finished", "progress", "rulegraph",
}  # fmt: skip
_CHATTER = re.compile(
    r"Building DAG of jobs|Using shell: |Group jobs: |Conda environments: ignored|"
    r"Singularity containers: ignored|Select jobs to execute|Execute \d+ jobs|Elapsed time: |"
    r"Assuming unrestricted shared filesystem|Touching output file|Shutting down, this might|"
    r"Adding .* \(.*\)\.$|Loading script code for rule |Could not detect mimetype for "  # reports
)
_HINT = "Complete log(s): "


class Step(NamedTuple):
    """A job as users know it.

    ``title`` is its rule and what it is for; ``kind`` is shared by steps that take alike long;
    ``epochs`` is how many it trains, 0 if none.
    """

    title: str
    kind: str
    epochs: int = 0


class Pace:
    """How long the steps of a run take, from those that have finished so far."""

    def __init__(self, steps: Mapping[int, Step], clock: Callable[[], float]) -> None:
        self._left, self._clock = dict(steps), clock
        self._start = clock()
        self._began: dict[int, float] = {}
        self._busy = 0.0  # seconds of finished steps
        # Seconds and size, of each kind and of all that train, or do not, together.
        self._known: dict[str | bool, tuple[float, float]] = {}

    def begin(self, number: int) -> None:
        """Note that a step begins, perhaps once more."""
        self._began[number] = self._clock()

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
        now, total = self._clock(), 0.0
        for number, step in self._left.items():
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
    """Shows a run on the terminal in the place of ``whole``, which still shows all else."""

    def __init__(
        self, whole: logging.StreamHandler[TextIO], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.name = whole.name
        self._whole, self._clock = whole, clock
        self._steps: Mapping[int, Step] = {}
        self._pace = Pace({}, clock)
        self._names: dict[int, str] = {}  # where nobody has said what to expect
        self._finished: list[int] = []
        self._done = 0
        self._failed = False

    def begin(self, steps: Mapping[int, Step]) -> None:
        """Expect ``steps``, by the numbers of their jobs; others are not told of."""
        self._steps, self._pace = steps, Pace(steps, self._clock)

    def emit(self, record: logging.LogRecord) -> None:
        """Show what is worth it; count what is finished."""
        event = str(getattr(record, "event", "") or "")
        said: Any = record  # with what Snakemake adds for each event
        self._failed |= record.levelno >= logging.ERROR
        try:
            if event == "job_info":
                self._pace.begin(said.jobid)
                self._names[said.jobid] = said.rule_name
            elif event == "job_finished":
                self._finished.append(said.job_id)
            elif event == "progress":
                self._tell(len(self._steps) or said.total)
        except Exception:
            self.handleError(record)
        if record.levelno >= logging.WARNING or not (event in _QUIET or self._idle(record)):
            self._whole.handle(record)

    def _idle(self, record: logging.LogRecord) -> bool:
        words = record.getMessage()
        return bool(_CHATTER.match(words)) or (words.startswith(_HINT) and not self._failed)

    def _tell(self, total: int) -> None:
        """Say which steps have finished, of so many."""
        for number in self._finished:
            seconds = self._pace.finish(number)
            if self._steps and number not in self._steps:
                continue
            self._done += 1
            title = self._steps[number].title if self._steps else self._names.get(number)
            left = self._pace.left() if self._done < len(self._steps) else None
            self._whole.stream.write(
                f"{time.strftime('%H:%M:%S')}  {self._done} of {total}  "
                f"{title}: {duration(seconds)}"
                f"{'' if left is None else f'; about {duration(left)} left'}\n"
            )
        self._finished.clear()
        self._whole.flush()


def take_terminal() -> Terminal | None:
    """Put a ``Terminal`` in the place of Snakemake's handler and return it.

    None if the environment asks for all that is said, or a plugin writes to the terminal. Raises
    InputError for an environment that asks for something else.
    """
    whole = next((one for one in LOGGER.handlers if one.name == HANDLER), None)
    if terminal() == ALL or not isinstance(whole, logging.StreamHandler):
        return None
    shown = Terminal(whole)
    LOGGER.removeHandler(whole)
    LOGGER.addHandler(shown)
    return shown
