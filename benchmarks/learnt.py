"""Does table `trainings` tell trainings that learn from trainings that do not?

Every pretext task whose losses tell it is trained from random weights on a part of the pediatric
radiographs at two learning rates: the task's own, and a ten thousandth of it, at which next to
nothing can be learnt.

    python benchmarks/learnt.py --root /data/pediatric-cxr --folder /tmp/learnt --epochs 8
    python benchmarks/learnt.py --folder /tmp/learnt --print     # of what is finished

It goes on where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import pandas as pd
import yaml

from sscdl.store.nodes import read_nodes
from sscdl.study.config import check_config, load_schema
from sscdl.tables.rates import learnt
from sscdl.tasks.options import DECLARATIONS

ROOT = Path(__file__).resolve().parent.parent
PLANTED = 1e-4  # of the learning rate
TOLD = [task for task, declared in DECLARATIONS.items() if declared.learnt_by]


def study(root: Path, folder: Path, tasks: list[str], epochs: int) -> dict[str, Any]:
    """Return a study that trains each task alone at both rates."""
    base = yaml.safe_load((ROOT / "config/pediatric.yaml").read_text(encoding="utf-8"))
    base["dataset"]["table"]["root"] = str(root.resolve())
    wanted = {key: base[key] for key in ("protocol", "classes", "dataset", "image", "backbone")}
    schema = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
    checked = check_config({"study": "x", **wanted, "curricula": tasks}, schema)
    stages = {
        task: {
            "learning_rates": [rate, rate * PLANTED],
            **{"search_epochs": epochs, "final_epochs": 0, "decay": "constant"},
        }
        for task in tasks
        for rate in checked["stages"][task]["learning_rates"][:1]
    }
    return {
        "study": "learnt", "store": str(folder.resolve() / "store"), **wanted,
        # About 800 images to train on.
        "split": {"val": 0.05, "test": 0.7}, "seeds": [0], "variants": ["full"],
        "curricula": tasks, "stages": stages, "training": {"device": "cpu", "threads": 1},
    }  # fmt: skip


def told(store: Path) -> pd.DataFrame:
    """Return the last epoch of each candidate of each task in ``store``, and its verdict."""
    rows = []
    for node in read_nodes(store)[0]:
        for one in node.candidates:
            first, last = one["history"][0], one["history"][-1]
            rows.append(
                {
                    "task": node.task,
                    "rate": f"{one['learning_rate']:g}",
                    "epochs": last["epoch"],
                    "chance": _text(last, "chance"),
                    **{f"{name}, first": _text(first, name) for name in ("loss", "floor")},
                    **{f"{name}, last": _text(last, name) for name in ("loss", "floor")},
                    "learnt": learnt(node.task, one["history"]),
                }
            )
    return pd.DataFrame(rows)


def _text(record: dict[str, Any], name: str) -> str:
    found = record.get(name)
    return "" if found is None else f"{found:.3f}"


def main() -> None:
    """Train what is not trained yet, and print the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder of the images; needed but for --print")
    parser.add_argument("--folder", type=Path, required=True, help="where it is trained")
    parser.add_argument("--tasks", nargs="+", default=TOLD)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--cores", default="2")
    parser.add_argument("--print", action="store_true", help="what is finished alone")
    arguments = parser.parse_args()
    if not arguments.print:
        if not arguments.root:
            parser.error("--root: missing; the folder of the images")
        arguments.folder.mkdir(parents=True, exist_ok=True)
        file = arguments.folder / "learnt.yaml"
        told_to = study(arguments.root, arguments.folder, arguments.tasks, arguments.epochs)
        file.write_text(yaml.safe_dump(told_to), encoding="utf-8")
        command = [
            sys.executable, "-m", "snakemake", "pretrain", "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(arguments.folder), "--cores", arguments.cores,
            "--resources", f"gpu={arguments.cores}", "--keep-going", "--configfile", str(file),
        ]  # fmt: skip
        subprocess.run(command, check=True)
    print(told(arguments.folder / "store").to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
