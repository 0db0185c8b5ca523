"""How long a plan takes: the thesis's grid, and one about eight times as large.

The large one has all orders of up to four tasks (64 curricula), three seeds and two variants. Times
are medians of several runs in this process, without starting Python; --snakemake adds those of
`snakemake plan` and of `snakemake --dry-run all` as whole commands.

    python benchmarks/planning.py --root /data/nih-siim --snakemake
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl import canonical
from sscdl.files import write_json
from sscdl.planning.plan import plan
from sscdl.study.reading import read_config
from sscdl.study.study import Study
from sscdl.study.trie import SCRATCH, THESIS_TASKS, Node

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = 10  # bytes: what is in them is never read here


def change(folder: Path, root: Path, large: bool) -> Path:
    """Write what a study changes of the thesis's configuration and return that file."""
    given: dict[str, Any] = {
        "study": "planning",
        "store": str(folder / "store"),
        "dataset": {"layout": "siim", "siim": {"root": str(root.resolve())}},
    }
    if large:
        orders = [itertools.permutations(THESIS_TASKS, depth) for depth in (1, 2, 3, 4)]
        names = ["+".join(order) for order in itertools.chain(*orders)]
        given |= {"curricula": [SCRATCH, "imagenet", *names], "seeds": [0, 1, 2]}
    path = folder / ("large.yaml" if large else "thesis.yaml")
    path.write_text(yaml.safe_dump(given))
    return path


def study(config: dict[str, Any]) -> dict[str, Any]:
    """Compute all that a study implies, as it is done whenever the workflow is read."""
    canonical.canonical.cache_clear()
    made = Study(config)
    made.check()
    return made.outline()


def write_plan(outline: dict[str, Any], folder: Path) -> str:
    """Return the plan of a study."""
    given = dict(outline)
    nodes = [Node(**node) for node in given.pop("nodes")]
    paths = {"store": Path(given.pop("store")), "images_csv": Path(given.pop("images_csv"))}
    given["table"] = folder / "plan.csv"
    return plan(nodes, **paths, **given)


def fill(outline: dict[str, Any]) -> None:
    """Write a store in which all nodes of a study are trained, with records of real length."""
    store = Path(outline["store"])
    for given in outline["nodes"]:
        node, settings = Node(**given), given["recipe"]["settings"]
        record = {
            "epoch": 1, "seconds": 12.345, "loss": 1.23456789, "chance": 1.3862943611198906,
            "finite": True, "images_per_second": 1234.5, "input_share": 0.012,
            "device_memory_mb": 12345, "accuracy": 0.123456789, "feature_std": 0.0123456789,
        }  # fmt: skip
        epochs = settings["search_epochs"]
        runs = [
            {
                "key": node.fingerprint, "learning_rate": rate, "metric": "loss", "value": 1.0,
                "history": [record] * epochs, "epochs": epochs, "higher_is_better": False,
            }
            for rate in node.learning_rates
        ]  # fmt: skip
        final = {**runs[0], "history": [record] * (epochs + settings["final_epochs"])}
        pointer = {
            "node": node.name, "variant": node.variant, "seed": node.seed, "task": node.task,
            "fingerprint": node.fingerprint, "object": node.fingerprint, "metric": "loss",
            "learning_rate": 0.1, "candidates": runs, "parent": node.parent,
            "final": {**final, "weights": {"bytes": WEIGHTS, "sha256": ""}},
        }  # fmt: skip
        folder = store / "objects" / node.fingerprint
        machine = {"device": "cuda:0", "threads": 4}
        about = {"recipe": node.recipe, "machine": machine, "before": None}
        write_json(folder / "lineage.json", about)
        (folder / "weights.safetensors").write_bytes(bytes(WEIGHTS))
        write_json(store / "recipes" / node.pointer, pointer)


def timed(runs: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the median time of several runs, in seconds, and the last result."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    return median(times), result


def snakemake(folder: Path, path: Path, *arguments: str) -> None:
    """Run Snakemake on a study from ``folder``, quietly."""
    command = [
        sys.executable, "-m", "snakemake", *arguments, "--cores", "1", "--resources", "gpu=1",
        "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--quiet", "all",
        "--workflow-profile", str(ROOT / "profiles/default"),
        "--configfile", str(ROOT / "config/thesis.yaml"), str(path),
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def main() -> None:
    """Print a row for each study, how the times grow, and what the plan says of shared stages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of an archive, layout siim"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--snakemake", action="store_true", help="time whole commands, too")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    arguments = parser.parse_args()
    columns = ["study", "plan, empty store", "plan, all trained", "plan, all changed"]
    columns += ["snakemake plan", "dry run of all"] * arguments.snakemake
    print(f"| grid | nodes | {' | '.join(f'{name} (s)' for name in columns)} |")
    print(f"|---|---:|{'---:|' * len(columns)}")
    rows, said = [], []
    for large in (False, True):
        with tempfile.TemporaryDirectory() as name:
            row, text = one_grid(Path(name), large, arguments)
        rows.append(row)
        said += [line for line in text.splitlines() if line.startswith("Shared")]
        title = "all orders, three seeds" if large else "thesis"
        print(f"| {title} | {row[0]} | {' | '.join(f'{one:.2f}' for one in row[1:])} |")
    growth = [large / small for small, large in zip(*rows, strict=True)]
    print(f"| growth | {growth[0]:.1f} | {' | '.join(f'{one:.1f}' for one in growth[1:])} |")
    print("\n".join(["", *said]))


def one_grid(folder: Path, large: bool, arguments: argparse.Namespace) -> tuple[list[float], str]:
    """Return the number of nodes and the times of one study, and its plan."""
    path = change(folder, arguments.root, large)
    config = read_config([ROOT / "config/thesis.yaml", path])
    profile, runs = cProfile.Profile(), arguments.runs
    if arguments.profile:
        profile.enable()
    seconds, outline = timed(runs, lambda: study(config))
    planned, text = timed(runs, lambda: write_plan(outline, folder))
    whole = []
    if arguments.snakemake:
        for target in (["plan"], ["all", "--dry-run"]):
            whole.append(timed(1, lambda target=target: snakemake(folder, path, *target))[0])
    fill(outline)
    trained, _ = timed(runs, lambda: write_plan(outline, folder))
    for settings in config["stages"].values():
        settings["weight_decay"] *= 2
    changed = Study(config).outline()
    compared, _ = timed(runs, lambda: write_plan(changed, folder))
    profile.disable()
    if arguments.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(30)
    return [len(outline["nodes"]), seconds, planned, trained, compared, *whole], text


if __name__ == "__main__":
    main()
