"""How long do the tables of a large study take, and how much memory? On made-up predictions.

    python benchmarks/tables_scale.py --models 48 --seeds 5 --images 25000

Every table that predictions make is made in a process of its own, as the workflow does; the last
line is what all of them take one after the other, by the clock and of a processor, and the most
memory that one of them took.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import numpy as np
import pandas as pd

from sscdl.evaluation.prediction_files import OWN, UNTRAINED, folders_of
from sscdl.tables.predictions import PREDICTION_TABLES
from sscdl.tables.write import read_predictions

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = ("full", "segmented_black")
TASKS = ("moco", "swav", "relloc", "rotation")
# Made from other predictions than those of models on their own variant.
OTHERS = ("cross_variants", "linear_probe", "faithfulness")
NETWORKS = 10


def curricula(number: int) -> list[str]:
    """Return so many names of curricula, from scratch on."""
    found = ["scratch", *TASKS]
    for task in TASKS:
        found += [f"{task}+{other}" for other in TASKS if other != task]
    found += [f"{a}+{b}" for a in found[5:] for b in TASKS if b not in a.split("+")]
    return found[:number]


def write(folder: Path, models: int, seeds: int, images: int) -> None:
    """Write predictions of so many models with so many seeds on so many images each."""
    random = np.random.default_rng(0)
    patients = np.sort(random.integers(0, images * 2 // 5, images))
    label = np.where(random.random(images) < 0.5, "ill", "well")
    frame = pd.DataFrame(
        {
            "image_id": [f"image{k}" for k in range(images)],
            "patient_id": [f"patient{k}" for k in patients],
            "split": "test", "label": label,
            "view": random.choice(["AP", "PA"], images), "sex": random.choice(["F", "M"], images),
            "age": random.integers(20, 90, images), "lung_share": random.uniform(0.2, 0.4, images),
        }
    )  # fmt: skip
    for variant in VARIANTS:
        for curriculum in curricula(models // len(VARIANTS)):
            for seed in range(seeds):
                rows = _model(frame, random).assign(
                    variant=variant, curriculum=curriculum, seed=seed
                )
                rows.to_csv(folder / f"{variant}.{curriculum}.s{seed}.csv", index=False)
    metadata = [
        _model(frame, random).assign(variant="metadata", curriculum=name, seed=0)
        for name in ("metadata:view", "metadata:view+sex+age")
    ]
    pd.concat(metadata).to_csv(folder / "metadata.csv", index=False)
    (folder / UNTRAINED).mkdir()
    for variant in VARIANTS:
        parts = [_model(frame, random).assign(variant=variant, network=k) for k in range(NETWORKS)]
        pd.concat(parts).to_csv(folder / UNTRAINED / f"{variant}.csv", index=False)


def _model(frame: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    size = len(frame)
    ill = np.clip((frame["label"] == "ill") * 0.3 + random.normal(0.35, 0.2, size), 0, 1).round(6)
    attention = {
        name: random.uniform(0, 1, size).round(6)
        for name in (
            "ail", "ail_signed", "ail_stretched", "ail_centre", "ail_contrast", "ail_of_ill",
            "ail_of_well",
        )
    }  # fmt: skip
    empty = ("mark_attention", "mark_share", "box_attention", "box_share", "box_hit")
    return frame.assign(
        predicted=np.where(ill > 0.5, "ill", "well"), prob_ill=ill, prob_well=1 - ill,
        **attention, **dict.fromkeys(empty, np.nan),
    )  # fmt: skip


def make(name: str, folder: Path) -> None:
    """Make one table; print rows, seconds, those of a processor, and the most memory, in GiB."""
    began = time.monotonic()
    files = [
        path
        for part in folders_of(name)
        for path in sorted((folder / part if part != OWN else folder).glob("*.csv"))
    ]
    thesis = ROOT / "resources/thesis"
    table = PREDICTION_TABLES[name].make(read_predictions(files), "test", thesis, 5.0)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    taken = f"{time.monotonic() - began:.1f}\t{time.process_time():.1f}"
    print(f"{name}\t{len(table)}\t{taken}\t{most:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=25_000)
    parser.add_argument("--table", help="make this one, from --folder")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.table:
        make(options.table, options.folder)
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, options.models, options.seeds, options.images)
        print("table\trows\tseconds\tof a processor\tGiB")
        lines = []
        for name in PREDICTION_TABLES:
            if name in OTHERS:
                continue
            command = [sys.executable, __file__, "--table", name, "--folder", str(folder)]
            lines.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(lines[-1], end="", flush=True)
    seconds, own, memory = ([float(line.split("\t")[k]) for line in lines] for k in (2, 3, 4))
    print(f"all\t\t{sum(seconds):.0f}\t{sum(own):.0f}\t{max(memory):.2f}")


if __name__ == "__main__":
    main()
