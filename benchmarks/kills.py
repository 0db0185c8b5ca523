"""Is a run that is killed again and again the run that it would have been? Twenty kills a task.

Trains a small node of every task once undisturbed, then once more while it is killed (SIGKILL) at
random moments and started again, and compares the final weights bit for bit: they depend on the
network, the heads, queues, prototypes and the optimiser's buffers that came before.

    python benchmarks/kills.py --kills 20
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.progress import job_log
from sscdl.stages.node import Stage
from sscdl.stages.stage import read_pointer, run_stage
from sscdl.tasks.options import DEFAULTS
from tests.unit.real_stage import real_stage

TASKS = tuple(DEFAULTS)
# Children are forked from a server that has imported torch: a start takes no time.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["sscdl.stages.session", "tests.unit.real_stage"])


def work(stage: Stage, log: Path) -> None:
    """Train ``stage``: what a killed process does."""
    with job_log(log, stage.name):
        run_stage(stage)


def digest(stage: Stage) -> str:
    """Return a hash of the final weights of a node."""
    folder = stage.store / "objects" / read_pointer(stage.pointer)["object"]
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


def undisturbed(stage: Stage) -> float:
    """Train ``stage`` in a process of its own and return the seconds that it took."""
    first = SERVER.Process(target=int)  # the server imports torch when it is first asked
    first.start()
    first.join()
    process = SERVER.Process(target=work, args=(stage, stage.store / "log"))
    began = time.monotonic()
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{stage.name}: exit status {process.exitcode}, see {stage.store}/log")
    return time.monotonic() - began


def killed(stage: Stage, kills: int, seconds: float, rng: random.Random) -> int:
    """Train ``stage`` while killing it up to ``kills`` times; return how often it was.

    ``seconds``: how long it takes undisturbed. Attempts are so short that as many fit into that.
    """
    for number in range(kills):
        process = SERVER.Process(target=work, args=(stage, stage.store / "log"))
        process.start()
        process.join(rng.uniform(0.3, 1.0) / (kills + 1) * seconds)
        if not process.is_alive():
            return number
        process.kill()
        process.join()
    undisturbed(stage)
    return kills


def main() -> None:
    """Print one row per task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=60, help="of search and of continuation")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    settings = {"search_epochs": arguments.epochs, "final_epochs": arguments.epochs}
    print("| task | kills | attempts that went on from a state | final weights |")
    print("|---|---|---|---|")
    for task in TASKS:
        with tempfile.TemporaryDirectory() as folder:
            whole = real_stage(Path(folder), task, settings=settings, store=Path(folder) / "one")
            broken = real_stage(Path(folder), task, settings=settings, store=Path(folder) / "two")
            seconds = undisturbed(whole)
            kills = killed(broken, arguments.kills, seconds, rng)
            resumed = (broken.store / "log").read_text().count("going on after epoch")
            same = "the same" if digest(whole) == digest(broken) else "DIFFERENT"
            print(f"| {task} | {kills} | {resumed} | {same} |", flush=True)


if __name__ == "__main__":
    main()
