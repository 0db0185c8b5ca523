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
    told = reason([log_of(tmp_path / "a.log", KeyError("image_id"))])
    assert told.endswith("KeyError: 'image_id'")
    assert "\n" not in told
    assert "report" in told


def test_lines_of_a_message_stay_together(tmp_path):
    assert reason([log_of(tmp_path / "a.log", InputError("two faults:\n  a\n  b"))]) == (
        "two faults:\n  a\n  b"
    )


def test_a_killed_job_is_told_by_its_last_words(tmp_path):
    own, cluster = tmp_path / "own.log", tmp_path / "slurm.log"
    own.write_text("2026-01-01 10:00:00,123 INFO epoch 3/10\n")
    assert "2026-01-01 10:00:00,123 INFO epoch 3/10" in reason([str(own)])
    cluster.write_text("slurmstepd: error: Detected 1 oom_kill event\n\n")
    assert reason([str(own), str(cluster)]).endswith("Detected 1 oom_kill event")
    assert reason([str(tmp_path / "none.log")]).startswith("it ended without a word")


def test_an_interrupted_job_is_told_to_go_on(tmp_path):
    path = tmp_path / "own.log"
    with pytest.raises(SystemExit), job_log(path, "stage"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert reason([str(path)]).startswith("stopped by SIGTERM; what was finished is kept")


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
    told = reason([log_of(tmp_path / "a.log", error)])
    assert told.startswith("store/objects: you may not open or change it (Permission denied)")
