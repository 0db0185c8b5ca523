"""The last words of a run in which jobs have failed."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress

import pytest

from sscdl.errors import InputError
from sscdl.progress import job_log
from sscdl.study.failures import Failures, reason


def record(event: str, message: str = "", **words) -> logging.LogRecord:
    made = logging.LogRecord("snakemake.logging", logging.INFO, "", 0, message, (), None)
    made.__dict__.update(event=event, **words)
    return made


def failed(jobid: int, rule: str, *logs) -> logging.LogRecord:
    return record("job_error", jobid=jobid, rule_name=rule, log=list(logs))


def log_of(path, error: BaseException) -> str:
    with suppress(SystemExit, type(error)), job_log(path, "images") as log:
        log.info("3 of 9 files")
        raise error
    return str(path)


def test_the_message_stands_last_with_its_log(tmp_path):
    failures = Failures()
    assert failures.words() == ""
    path = log_of(tmp_path / "a.log", InputError("t.csv: column 'x' is missing; rename it"))
    failures.filter(failed(3, "list_images", path))
    assert failures.words().splitlines()[-2:] == [
        "  list_images: t.csv: column 'x' is missing; rename it",
        f"  log: {path}",
    ]
    assert "1 job;" in failures.words()


def test_a_job_that_is_tried_again_has_not_failed(tmp_path):
    failures = Failures()
    path = log_of(tmp_path / "a.log", InputError("no"))
    failures.filter(failed(3, "stage", path))
    failures.filter(record("job_info", jobid=3))
    assert failures.words() == ""
    failures.filter(failed(3, "stage", path))
    assert "stage: no" in failures.words()


def test_one_reason_of_many_jobs_is_told_once(tmp_path):
    failures = Failures()
    for job in range(30):
        text = "disk" if job < 15 else f"file {job}"
        failures.filter(failed(job, "ingest", log_of(tmp_path / f"{job}.log", InputError(text))))
    words = failures.words()
    assert "ingest and 14 more: disk" in words
    assert "(30 jobs;" in words
    assert words.endswith("and 6 other reasons, in the logs of their jobs")


def test_a_fault_of_the_program_is_its_exception(tmp_path):
    told = reason([log_of(tmp_path / "a.log", KeyError("image_id"))]).text
    assert told.endswith("KeyError: 'image_id'")
    assert "\n" not in told
    assert "report" in told


def test_lines_of_a_message_stay_together(tmp_path):
    assert reason([log_of(tmp_path / "a.log", InputError("two faults:\n  a\n  b"))]).text == (
        "two faults:\n  a\n  b"
    )


def test_a_killed_job_is_told_by_its_last_words_or_by_its_cluster(tmp_path):
    own, cluster = tmp_path / "own.log", tmp_path / "slurm.log"
    own.write_text("2026-01-01 10:00:00,123 INFO epoch 3/10\n")
    assert reason([str(own)]).text.endswith("2026-01-01 10:00:00,123 INFO epoch 3/10")
    # What Snakemake writes on the node when a job there has ended.
    end = "Shutting down, this might take some time.\nWorkflowError:\nAt least one job did not\n"
    cluster.write_text(f"Building DAG of jobs...\n{end}")
    assert reason([str(own), str(cluster)]).text.endswith("INFO epoch 3/10")
    for line in (
        "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.",
        "Command 'set -euo pipefail; python a.py' died with <Signals.SIGKILL: 9>.",
        "slurmstepd: error: *** JOB 7 ON a CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***",
    ):
        cluster.write_text(f"Building DAG of jobs...\n{line}\n{end}")
        assert reason([str(own), str(cluster)]) == (f"it was killed: {line}", str(cluster), False)
    told, log, _ = reason([str(tmp_path / "none.log")])
    assert told.startswith("it ended without a word")
    assert log == ""


COMMAND = "RuleException:\nCalledProcessError in file \"S\", line 9:\nCommand 'python a.py' "


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("died with <Signals.SIGTERM: 15>.", "it was stopped (SIGTERM): somebody, or a scheduler"),
        ("returned non-zero exit status 143.", "it was stopped (SIGTERM): somebody, or a"),
        ("returned non-zero exit status 137.", "it was killed (out of memory?)"),
        ("died with <Signals.SIGKILL: 9>.", "it was killed (out of memory?)"),
        ("died with <Signals.SIGSEGV: 11>.", "it crashed (SIGSEGV)"),
        ("returned non-zero exit status 1.", "it ended without"),
        ("returned non-zero exit status 199.", "it ended without"),
    ],
)
def test_the_signal_says_whether_a_job_was_stopped_or_killed(tmp_path, how, said):
    """Memory is no matter of one whom somebody has stopped."""
    failures = Failures()
    own, other = tmp_path / "own.log", record("error", COMMAND, exception="RuleException")
    own.write_text("2026-01-01 10:00:00,123 INFO epoch 3/10\n")
    other.thread = 7  # of a job that fails at the same time
    for job, log in enumerate((tmp_path / "none.log", own)):
        failures.filter(record("error", COMMAND + how, exception="RuleException"))
        failures.filter(other)
        failures.filter(failed(job, f"r{job}", log))
    words = failures.words()
    assert f"r0: {said}" in words
    assert f"r1: {said}" in words
    assert words.split("r1: ")[1].splitlines()[0].endswith("INFO epoch 3/10")
    assert ("memory" in words) == ("SIGTERM" not in said and "SIGSEGV" not in said)


def test_what_a_cluster_says_of_a_signal_is_taken_by_its_word(tmp_path):
    line = "Command 'python a.py' died with <Signals.SIGTERM: 15>."
    (tmp_path / "slurm.log").write_text(f"Building DAG of jobs...\n{line}\n")
    assert reason([str(tmp_path / "slurm.log")]).text == f"it was stopped: {line}"


def test_of_a_group_those_are_told_that_failed(tmp_path):
    bad = log_of(tmp_path / "bad.log", InputError("weights: x is damaged;\ndownload it again"))
    good, never = str(tmp_path / "good.log"), str(tmp_path / "never.log")
    (tmp_path / "good.log").write_text("2026-01-01 10:00:00,123 INFO weights stored\n")
    (tmp_path / "slurm.log").write_text("At least one job did not complete successfully.\n")

    def group(*logs: str) -> str:
        failures = Failures()
        jobs = [{"jobid": k, "rule_name": f"r{k}", "log": [log]} for k, log in enumerate(logs)]
        aux = [str(tmp_path / "slurm.log")]
        failures.filter(record("group_error", groupid="g", aux_logs=aux, job_error_info=jobs))
        for job in jobs:
            failures.filter(record("job_error", indent=True, **job))
        return failures.words()

    told = group(good, bad, never)
    assert "1 job;" in told
    assert "  r1: weights: x is damaged;\n    download it again\n" in told
    assert told.endswith(f"  log: {bad}")
    (tmp_path / "slurm.log").write_text("slurmstepd: error: Detected 1 oom_kill event\n")
    told = group(never, good)
    assert "1 job;" in told
    assert "oom_kill" in told
    assert told.endswith("slurm.log")


def test_of_a_killed_group_the_job_is_told_that_was_at_work(tmp_path):
    """Groups of several allocations are called alike."""
    failures = Failures()
    for number in range(2):
        jobs = []
        for age, name in enumerate(("at_work", "finished")):
            log = tmp_path / f"{name}{number}.log"
            log.write_text(f"2026-01-01 10:00:00,123 INFO {name} {number}\n")
            os.utime(log, (1e9 - age, 1e9 - age))
            jobs.insert(0, {"jobid": f"{name}{number}", "rule_name": name, "log": [str(log)]})
        failures.filter(record("group_error", groupid="train", aux_logs=[], job_error_info=jobs))
    told = failures.words()
    assert "2 jobs;" in told
    assert "last words: 2026-01-01 10:00:00,123 INFO at_work 0" in told
    assert "last words: 2026-01-01 10:00:00,123 INFO at_work 1" in told
    assert "INFO finished" not in told


def test_the_last_of_several_errors_is_told(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("2026-01-01 10:00:00,123 ERROR one\n2026-01-01 10:00:01,123 ERROR two\n")
    assert reason([str(path)]).text == "two"


def test_an_interrupted_job_is_told_to_go_on(tmp_path):
    path = tmp_path / "own.log"
    with pytest.raises(SystemExit), job_log(path, "stage"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert reason([str(path)]).text.startswith("stopped by SIGTERM; what was finished is kept")


def test_a_job_without_words_ended_with_the_run_that_was_interrupted(tmp_path):
    """And was not killed for its memory; what others say of themselves stays."""
    failures = Failures()
    told = log_of(tmp_path / "a.log", InputError("no rows"))
    failures.filter(failed(1, "ingest"))
    failures.filter(record("", "Terminating processes on user request, this might take some time."))
    failures.filter(failed(2, "stage", tmp_path / "none.log"))
    failures.filter(failed(3, "list_images", told))
    words = failures.words()
    assert "ingest and 1 more: ended on request; run the same command again to go on" in words
    assert "list_images: no rows" in words
    assert "killed" not in words


def test_only_words_that_sound_like_loss_are_hidden():
    failures = Failures()
    assert not failures.filter(record("", "Cannot restore store/a.json: no backup found."))
    assert failures.filter(record("", "Restoring a.json from its backup."))
    assert failures.filter(failed(1, "stage"))


def test_places_in_the_workflow_are_not_the_last_words():
    told = record(
        "error",
        'WorkflowError in file "/w/common.smk", line 45:\nstore: no\n'
        '  File "/w/common.smk", line 135, in <module>\n  File "/w/common.smk", line 5, in f\n',
        exception="WorkflowError",
    )
    assert Failures().filter(told)
    assert told.getMessage() == 'WorkflowError in file "/w/common.smk", line 45:\nstore: no'
    own = record("error", 'KeyError:\n  File "/w/a.smk", line 1, in x', exception="KeyError")
    Failures().filter(own)
    assert own.getMessage().endswith("in x"), "a fault of the program keeps its places"


def test_a_file_without_the_right_to_it_is_named_without_a_traceback(tmp_path):
    error = PermissionError(13, "Permission denied", "store/objects")
    told = reason([log_of(tmp_path / "a.log", error)]).text
    assert told.startswith("store/objects: you may not open or change it (Permission denied)")


def test_errors_that_nothing_else_shows_are_said_before_failures(tmp_path):
    hidden, shown = Failures(hidden=True), Failures()
    for failures in (hidden, shown):
        failures.filter(record("error", "WorkflowError:\nstore: no", exception="WorkflowError"))
    assert (hidden.words(), shown.words()) == ("WorkflowError:\nstore: no", "")
    rule = record("error", "RuleException:\nstatus 1", exception="RuleException")
    end = "WorkflowError:\nAt least one job did not complete successfully."
    hidden.filter(rule)
    hidden.filter(record("error", end, exception="WorkflowError"))
    assert hidden.words().endswith(f"status 1\n{end}")
    hidden.filter(failed(3, "stage", log_of(tmp_path / "a.log", InputError("full"))))
    assert hidden.words().startswith("WorkflowError:\nstore: no\n\nWhat failed (1 job; ")
