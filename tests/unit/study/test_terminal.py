"""What a run shows on the terminal, from the records that Snakemake makes."""

from __future__ import annotations

import io
import logging
import re

import pytest

from sscdl.errors import InputError
from sscdl.progress import SILENCE, Seldom, job_log
from sscdl.study import terminal as module
from sscdl.study.terminal import HANDLER, Pace, Step, Terminal, take_terminal


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(message, event: str = "", level: int = logging.INFO, **words) -> logging.LogRecord:
    made = logging.LogRecord("snakemake.logging", level, "", 0, message, (), None)
    made.__dict__.update(event=event or None, **words)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shown(clock) -> Terminal:
    """A terminal whose words are in ``shown.text()``."""
    stream = io.StringIO()
    made = Terminal(logging.StreamHandler(stream), clock)
    made.text = stream.getvalue
    return made


def run(shown: Terminal, clock: Clock, number: int, seconds: float, done: int) -> None:
    """Let a step begin, and end after so many seconds."""
    shown.handle(record(" Rule: r", "job_info", jobid=number, rule_name="r"))
    clock.now += seconds
    shown.handle(record(f"Finished jobid: {number}", "job_finished", job_id=number))
    shown.handle(record(None, "progress", done=done, total=9))


def test_each_step_has_one_line_with_its_number_and_the_time_left(shown, clock):
    shown.begin({
        1: Step("ingest 0", "ingest"),
        2: Step("pretext_stage moco full s0", "moco", 10),
        3: Step("pretext_stage moco full s1", "moco", 20),
        4: Step("table_roc", "table"),
    })  # fmt: skip
    run(shown, clock, 1, 10, 1)
    run(shown, clock, 2, 40, 2)
    run(shown, clock, 3, 80, 3)
    run(shown, clock, 4, 2, 4)
    run(shown, clock, 5, 0, 5)  # a target of the workflow: nothing was made
    lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in shown.text().splitlines()]
    assert lines == [
        "1 of 4  ingest 0: 10 s",  # nobody knows yet how long a stage takes
        # The other stage twice as long, and a table like what does not train.
        "2 of 4  pretext_stage moco full s0: 40 s; about 1:30 min left",
        "3 of 4  pretext_stage moco full s1: 1:20 min; about 10 s left",
        "4 of 4  table_roc: 2 s",
    ]


def test_what_runs_side_by_side_is_counted_as_that(clock):
    pace = Pace({number: Step("t", "t", 1) for number in range(4)}, clock)
    pace.begin(0)
    pace.begin(1)
    clock.now += 10
    assert pace.finish(0) == pace.finish(1) == 10
    assert pace.left() == pytest.approx(10)  # two at a time
    pace.begin(2)
    pace.begin(3)
    clock.now += 4
    assert pace.left() == pytest.approx(6)
    clock.now += 60
    assert pace.left() == 0  # longer than the others did, but not less than nothing


def test_a_kind_that_is_not_known_takes_as_long_as_others_that_train(clock):
    steps = {1: Step("a", "rotation", 4), 2: Step("b", "moco", 8), 3: Step("c", "table")}
    pace = Pace(steps, clock)
    pace.begin(1)
    clock.now += 4
    pace.finish(1)
    assert pace.left() == pytest.approx(8)  # nothing is known of tables yet


def test_a_step_that_is_tried_again_begins_anew(shown, clock):
    shown.begin({1: Step("stage", "moco", 1)})
    shown.handle(record("", "job_info", jobid=1, rule_name="r"))
    clock.now += 50
    run(shown, clock, 1, 5, 1)
    assert "1 of 1  stage: 5 s\n" in shown.text()


def test_without_a_word_of_what_comes_rules_are_told(shown, clock):
    """As under --no-hooks."""
    run(shown, clock, 1, 5, 1)
    assert shown.text().endswith("  1 of 9  r: 5 s\n")


@pytest.mark.parametrize(
    ("message", "event"),
    [("Select jobs to execute...", ""), ("Building DAG of jobs...", ""), ("Execute 2 jobs...", ""),
     ("Job stats:\njob count\n", "run_info"), ("SNAKEMAKE", "workflow_started"),
     ("Provided cores: 2", "resources_info"), ("Shell command: x", "shellcmd"),
     ("Complete log(s): /a/b.log", ""), ("Elapsed time: 0:00:03", ""),
     ("Adding tables/roc.html (1.2 MB).", "")],
)  # fmt: skip
def test_chatter_is_not_shown(shown, message, event):
    shown.handle(record(message, event))
    assert shown.text() == ""


def test_warnings_errors_and_what_is_not_known_are_shown_whole(shown):
    shown.handle(record("a\nb", level=logging.WARNING))
    shown.handle(record("Error in rule x:\n    jobid: 3", "job_error", logging.ERROR))
    shown.handle(record("Job 3 has been submitted with SLURM jobid 12"))
    shown.handle(record("Nothing to be done"))
    shown.handle(record("Complete log(s): /a/b.log"))  # of use to whoever had an error
    assert shown.text() == (
        "a\nb\nError in rule x:\n    jobid: 3\nJob 3 has been submitted with SLURM jobid 12\n"
        "Nothing to be done\nComplete log(s): /a/b.log\n"
    )


@pytest.fixture
def logger(monkeypatch) -> logging.Logger:
    """Snakemake's logger with its handlers: that of the terminal, and that of the file."""
    made = logging.Logger("snakemake.logging")
    monkeypatch.setattr(module, "LOGGER", made)
    monkeypatch.delenv("SSCDL_TERMINAL", raising=False)
    for name in (HANDLER, "DefaultLogFileHandler"):
        made.addHandler(logging.StreamHandler(io.StringIO()))
        made.handlers[-1].name = name
    return made


def test_the_terminal_alone_is_taken_over(logger):
    whole, file = logger.handlers
    shown = take_terminal()
    assert logger.handlers == [file, shown]
    logger.handle(record("Select jobs to execute..."))
    assert (whole.stream.getvalue(), file.stream.getvalue()) == ("", "Select jobs to execute...\n")


def test_all_is_shown_to_who_asks_or_has_a_plugin(logger, monkeypatch):
    monkeypatch.setenv("SSCDL_TERMINAL", "all")
    before = list(logger.handlers)
    assert take_terminal() is None
    monkeypatch.setenv("SSCDL_TERMINAL", "")
    del logger.handlers[0]
    assert take_terminal() is None
    assert logger.handlers == before[1:]
    monkeypatch.setenv("SSCDL_TERMINAL", "verbose")
    with pytest.raises(InputError, match="SSCDL_TERMINAL: 'verbose'.*'all'"):
        take_terminal()


def test_a_job_shows_warnings_and_one_line_in_a_while(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("sscdl.progress.time.monotonic", lambda: now[0])
    seldom = Seldom()
    seen = []
    for second in range(0, 200, 5):
        now[0] = second
        if seldom.filter(record("epoch")):
            seen.append(second)
        assert seldom.filter(record("no lung", level=logging.WARNING))
    assert seen == [n * SILENCE for n in range(1, len(seen) + 1)]
    assert len(seen) > 2


@pytest.mark.parametrize("asked", ["all", "brief", ""])
def test_the_log_file_of_a_job_has_all(asked, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SSCDL_TERMINAL", asked)
    with job_log(tmp_path / "a.log", "moco full") as log:
        log.info("epoch 1/9")
        log.warning("no lung")
    assert [line[24:] for line in (tmp_path / "a.log").read_text().splitlines()] == [
        "INFO epoch 1/9", "WARNING no lung",
    ]  # fmt: skip
    told = capsys.readouterr().err
    assert ("[moco full] epoch 1/9\n" in told) == (asked != "brief")
    assert told.endswith("[moco full] no lung\n")
