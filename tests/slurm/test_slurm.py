"""The workflow on a real Slurm of one node, which ``setup.sh`` beside this file sets up.

Its GPUs are pretended: with ``training.device: auto`` the workflow asks Slurm for one, and trains
on the CPU for want of it.
"""

from __future__ import annotations

import copy
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner

GPU_RULES = ("pretext_stage", "finetune", "predict", "predict_untrained")
TABLES = ("4.14_accuracy_overview", "4.15_ail_overview", "accuracy_details", "learning_rates")
LONG = 1_000_000  # epochs, more than any time limit here


def _ready() -> bool:
    """Return whether the Slurm of ``setup.sh`` runs here; on no other are these tests to run."""
    try:
        shown = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True,
                               timeout=20, check=False)  # fmt: skip
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return re.search(r"ClusterName\s*= sscdl\n", shown.stdout) is not None


pytestmark = pytest.mark.skipif(
    not _ready(), reason="no Slurm for tests: tests/slurm/setup.sh start sets one up, as root"
)


class OnSlurm(Runner):
    """A working directory from which Snakemake submits a study through the profile."""

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that the documentation names, asking for news more often."""
        local = super().command()
        names = local[local.index("--configfile") :]
        return [
            local[0], *arguments, "--snakefile", str(ROOT / "Snakefile"), "--directory",
            str(self.folder), "--workflow-profile", str(ROOT / "profiles/slurm"),
            "--slurm-init-seconds-before-status-checks", "1", *names,
        ]  # fmt: skip

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen]:
        """Run Snakemake beside the block, and interrupt it afterwards, which cancels its jobs."""
        with open(self.folder.with_suffix(".txt"), "w") as output:
            running = subprocess.Popen(
                self.command(*arguments), cwd=self.folder, env=self.environment,
                stdout=output, stderr=subprocess.STDOUT,
                # Whoever runs the tests in the background has it ignored, children included.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
        try:
            yield running
        finally:
            running.send_signal(signal.SIGINT)
            # It may be a minute until it notices, and another until it ends with no job left: more
            # where others use the machine.
            try:
                wait_until(lambda: not self.queued(), 400)
            finally:
                running.kill()
                running.wait()

    @property
    def log(self) -> str:
        """Return the log of the study's only pretext stage, empty before it has started."""
        logs = list(self.results.glob("logs/pretrain/*.log"))
        return logs[0].read_text() if logs else ""

    def jobs(self, rule: str = "") -> list[dict[str, str]]:
        """Return what Slurm knows about the jobs of this folder, of one rule if it is named."""
        shown = subprocess.run(["scontrol", "show", "jobs", "--oneliner"], capture_output=True,
                               text=True, check=True).stdout  # fmt: skip
        found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.splitlines()]
        return [
            job for job in found
            if job.get("WorkDir") == str(self.folder)
            and job["Comment"].removeprefix("rule_").startswith(rule)
        ]  # fmt: skip

    def queued(self) -> list[dict[str, str]]:
        """Return the jobs of this folder that wait, run or are about to end."""
        states = ("PENDING", "RUNNING", "COMPLETING")
        return [job for job in self.jobs() if job["JobState"] in states]


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    """Wait until ``condition`` holds; AssertionError if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def one_stage(name: str, rate: float, epochs: int) -> dict:
    """Return a study of one pretext stage that trains for ``epochs`` epochs."""
    config = copy.deepcopy(TINY) | {"study": name, "curricula": ["moco"], "variants": ["full"]}
    config["training"]["device"] = "auto"
    config["stages"]["moco"] |= {"learning_rates": [rate], "search_epochs": epochs}
    return config


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return the folder of the store that the studies on Slurm share."""
    return tmp_path_factory.mktemp("slurm")


@pytest.fixture(scope="module")
def both(place) -> tuple[OnSlurm, Runner]:
    """Return the tiny study, finished on Slurm and, with a store of its own, without it."""
    config = copy.deepcopy(TINY) | {"variants": ["full"]}
    config["training"]["device"] = "auto"
    runners = OnSlurm(place / "cluster", config), Runner(place / "elsewhere" / "local", config)
    with ThreadPoolExecutor() as side_by_side:
        list(side_by_side.map(lambda runner: runner(*map(table, TABLES)), runners))
    return runners


@pytest.fixture(scope="module")
def study(both) -> OnSlurm:
    """Return the tiny study that Slurm has finished."""
    return both[0]


def table(name: str) -> str:
    """Return the file of a table of the tiny study."""
    return f"results/tiny/tables/{name}.csv"


def contents(folder: Path) -> dict[str, bytes]:
    """Return what the files below a folder hold, by their paths from there."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_tables_are_those_of_a_local_run_to_the_digit(both):
    study, local = both
    assert len(list(local.results.glob("predictions/full.*.csv"))) == 2
    for folder in ("predictions", "tables"):
        ours, theirs = contents(study.results / folder), contents(local.results / folder)
        assert ours.keys() == theirs.keys()
        assert not [name for name in ours if ours[name] != theirs[name]]


def test_only_jobs_that_train_or_predict_ask_for_a_gpu(study):
    asked = {job["Comment"].split("_wildcards_")[0]: job.get("TresPerJob") for job in study.jobs()}
    assert {rule for rule, gpus in asked.items() if gpus} == {f"rule_{rule}" for rule in GPU_RULES}
    assert {asked[f"rule_{rule}"] for rule in GPU_RULES} == {"gres:gpu:1"}
    assert {"rule_ingest", "rule_list_images", "rule_pack_full"} <= asked.keys()


def test_the_limit_on_a_workstations_gpus_does_not_hold_back_a_cluster(study):
    stages = [*study.jobs("pretext_stage"), *study.jobs("finetune")]
    first, second = sorted(stages, key=lambda job: job["SubmitTime"])[:2]
    assert second["SubmitTime"] < first["EndTime"]


def test_a_time_limit_interrupts_a_stage_and_the_retry_goes_on(study, place):
    """Both with the profile's warning and without it, when Slurm kills the job at its limit."""
    warned = OnSlurm(place / "warned", one_stage("warned", 0.011, LONG))
    killed = OnSlurm(place / "killed", one_stage("killed", 0.012, LONG))
    for runner in (warned, killed):
        runner.folder.mkdir()
    with (
        warned.started("pretrain"),
        # Instead of the profile's settings of single rules, its signal included.
        killed.started("pretrain", "--set-resources", "pretext_stage:runtime=1"),
    ):
        wait_until(lambda: warned.log, 300)
        (job,) = warned.jobs("pretext_stage")
        limit = [f"JobId={job['JobId']}", "TimeLimit=2"]
        subprocess.run(["scontrol", "update", *limit], check=True)
        wait_until(lambda: "stopped by SIGTERM" in warned.log, 400)
        for runner in (warned, killed):
            wait_until(lambda: "going on after epoch" in runner.log, 400)  # noqa: B023
    # Leaving the block has cancelled what ran: nothing is left in the queue.
    for runner, ended in ((warned, "FAILED"), (killed, "TIMEOUT")):
        states = [job["JobState"] for job in runner.jobs("pretext_stage")]
        assert sorted(states) == ["CANCELLED", ended]


def test_a_cancelled_stage_is_finished_by_the_next_run(study, place):
    runner = OnSlurm(place / "cancelled", one_stage("cancelled", 0.013, 300))
    runner.folder.mkdir()
    with runner.started("pretrain", "--retries", "0") as running:
        wait_until(lambda: re.search(r"epoch \d+/", runner.log), 300)
        (job,) = runner.jobs("pretext_stage")
        subprocess.run(["scancel", job["JobId"]], check=True)
        assert running.wait(400) != 0
    assert "stopped by SIGTERM" in runner.log
    runner("pretrain")
    assert "going on after epoch" in runner.log
    assert "Nothing to be done" in runner("pretrain")
