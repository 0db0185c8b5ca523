"""What a run shows on the terminal, from the records that Snakemake makes."""

from __future__ import annotations

import io
import logging
import re

import pytest

from sscdl.errors import InputError
from sscdl.progress import SILENCE, Seldom, job_log
from sscdl.study import terminal as module
from sscdl.study.terminal import HANDLER, Pace, Step, Terminal, all_is_asked_for, take_terminal


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
    assert said(shown) == [
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
     ("Provided cores: 2", "resources_info"), ("Shell command: None", "shellcmd"),
     (" Rule: r, Jobid: 1", "group_info"),
     ("Config file a.yaml is extended by additional config specified via the command line.", ""),
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


def begin(shown: Terminal, *numbers: int) -> None:
    for number in numbers:
        shown.handle(record("", "job_info", jobid=number, rule_name="r"))


def fail(shown: Terminal, number: int, **words) -> None:
    shown.handle(record("Error", "job_error", logging.ERROR, jobid=number, **words))


def said(shown: Terminal) -> list[str]:
    """Return the lines on the terminal without their time."""
    return [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in shown.text().splitlines()]


CHAIN = {
    1: Step("one", "moco", 10),
    2: Step("two", "moco", 10),
    3: Step("three", "moco", 10, needs=frozenset({2})),
    4: Step("four", "table", needs=frozenset({1, 3})),
    5: Step("five", "moco", 10),
}


def test_what_needs_a_failed_step_is_not_waited_for(shown, clock):
    shown.begin(CHAIN, keep_going=True)
    begin(shown, 2)
    clock.now += 10
    fail(shown, 2)
    run(shown, clock, 1, 10, 1)
    run(shown, clock, 5, 10, 2)
    assert said(shown) == [
        "Error",
        "two failed; 2 steps that need it will be left out",
        "1 of 2  one: 10 s; about 10 s left",
        "2 of 2  five: 10 s",
    ]


def test_a_failure_that_ends_the_run_leaves_no_time_to_tell(shown, clock):
    shown.begin(CHAIN)
    begin(shown, 1, 2, 5)
    clock.now += 10
    fail(shown, 2)
    run(shown, clock, 1, 10, 1)
    fail(shown, 5)
    assert said(shown) == [
        "Error", "two failed; waiting for 2 steps at work, then the run ends", "1 of 5  one: 10 s",
        "Error",
    ]  # fmt: skip


def test_a_step_that_may_be_tried_again_has_not_failed(shown, clock):
    shown.begin({1: Step("one", "moco", 10, tries=2), 2: Step("two", "moco", 10)})
    begin(shown, 1)
    clock.now += 10
    fail(shown, 1)
    run(shown, clock, 2, 10, 1)
    assert said(shown) == ["Error", "1 of 2  two: 10 s; about 10 s left"]
    begin(shown, 1)
    run(shown, clock, 1, 5, 2)
    assert said(shown)[-1] == "2 of 2  one: 5 s"


def test_a_step_has_failed_after_its_last_try(shown, clock):
    shown.begin({1: Step("one", "moco", 10, tries=2), 2: Step("two", "moco", 10)})
    begin(shown, 1, 2)
    fail(shown, 1)
    begin(shown, 1)
    fail(shown, 1)
    assert said(shown) == [
        "Error", "Error", "one failed; waiting for 1 step at work, then the run ends",
    ]  # fmt: skip


def test_a_group_fails_as_one(shown):
    shown.begin(CHAIN, keep_going=True)
    begin(shown, 2, 3)
    jobs = [{"jobid": 2}, {"jobid": 3}]
    shown.handle(record("Group", "group_error", logging.ERROR, job_error_info=jobs, aux_logs=[]))
    fail(shown, 2, indent=True)
    fail(shown, 3, indent=True)
    left_out = "two and its group failed; 1 step that needs it will be left out"
    assert said(shown) == ["Group", left_out, "Error", "Error"]


def test_what_quiet_hides_from_snakemake_is_hidden(shown, clock):
    """But steps are counted, and what has no event is not hidden."""
    hidden = {"progress", "job_error"}
    shown._whole.addFilter(lambda one: one.event not in hidden)
    shown.begin(CHAIN, keep_going=True)
    run(shown, clock, 1, 10, 1)
    begin(shown, 2)
    fail(shown, 2)
    assert shown.text() == ""
    hidden.clear()
    run(shown, clock, 5, 10, 2)
    assert said(shown) == ["2 of 2  five: 10 s"]


def test_commands_and_messages_of_rules_are_shown_to_who_asked(shown):
    shown.handle(record("", "job_info", jobid=1, rule_name="r", rule_msg=None))
    shown.handle(record("Shell command: a", "shellcmd", shellcmd="a"))
    shown.handle(record("Job 2", "job_info", jobid=2, rule_name="r", rule_msg="Sorting"))
    assert shown.text() == "Shell command: a\nJob 2\n"


def test_of_what_a_cluster_takes_the_first_is_shown(shown):
    for number in (3, 4):
        shown.handle(record(f"Job {number} has been submitted with SLURM jobid 1{number}"))
    shown.handle(record("Submitted job 5 with external jobid '99.pbs'."))
    shown.handle(record("Submitted group job g with external jobid '99.pbs'."))
    shown.handle(record("Submitted array job with Snakemake IDs 1,2 and SLURM job ID 7. The"))
    shown.handle(record("Job 5 has been submitted with trouble", level=logging.WARNING))
    assert shown.text() == (
        "Job 3 has been submitted with SLURM jobid 13\nJob 5 has been submitted with trouble\n"
    )


def test_where_results_lie_is_said_where_nothing_is_to_be_done(shown):
    shown.results = "results/tiny"
    shown.handle(record("Nothing to be done (all requested files are present)."))
    assert shown.text().endswith("present).\nResults: results/tiny\n")


def test_steps_that_are_only_touched_are_not_told(shown, clock):
    shown.begin(CHAIN, made=False)
    run(shown, clock, 1, 0, 1)
    assert shown.text() == ""


def test_a_terminal_that_fails_once_counts_no_step_twice(shown, clock, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)  # or pytest shows what is expected
    shown.begin(CHAIN)
    stream, shown._whole.stream = shown._whole.stream, None
    run(shown, clock, 1, 10, 1)
    shown._whole.stream = stream
    run(shown, clock, 2, 10, 2)
    assert said(shown) == ["2 of 5  two: 10 s; about 20 s left"]


def test_a_record_without_sense_is_shown_and_ends_nothing(shown, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    shown._whole.setFormatter(type("Raw", (), {"format": lambda self, one: one.msg})())
    made = record("a %s %s")
    made.args = (1,)
    shown.handle(made)
    assert shown.text() == "a %s %s\n"


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


def test_a_plugin_has_the_terminal_to_itself(logger):
    del logger.handlers[0]
    before = list(logger.handlers)
    assert take_terminal() is None
    assert logger.handlers == before


def test_all_is_shown_to_who_asks(monkeypatch):
    monkeypatch.delenv("SSCDL_TERMINAL", raising=False)
    assert not all_is_asked_for()
    for value, asked in (("", False), ("all", True)):
        monkeypatch.setenv("SSCDL_TERMINAL", value)
        assert all_is_asked_for() == asked
    for wrong in ("verbose", "brief"):
        monkeypatch.setenv("SSCDL_TERMINAL", wrong)
        with pytest.raises(InputError, match=f"SSCDL_TERMINAL: '{wrong}'.*'all'"):
            all_is_asked_for()


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


@pytest.mark.parametrize("asked", ["brief", "quiet", ""])
def test_the_log_file_of_a_job_has_all(asked, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SSCDL_JOBS_SAY", asked)
    with job_log(tmp_path / "a.log", "moco full") as log:
        log.info("epoch 1/9")
        log.warning("no lung")
    assert [line[24:] for line in (tmp_path / "a.log").read_text().splitlines()] == [
        "INFO epoch 1/9", "WARNING no lung",
    ]  # fmt: skip
    told = capsys.readouterr().err
    assert ("[moco full] epoch 1/9\n" in told) == (not asked)
    assert told.endswith("[moco full] no lung\n")
