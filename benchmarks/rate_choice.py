"""Does the search choose the learning rate that ends best, and by what should it look?

A classifier is trained from random weights at several learning rates, on real radiographs, to the
end, whichever rate a search would choose. After every epoch the validation images are classified in
four ways: with the running statistics of batch normalisation; with statistics of the present
weights over a sample of training images, whole or augmented; and by an average of them, with
statistics of its own. So for one training it is known what each way would have said where the
search ends, and what the network was worth in the end. A further candidate for the search is a
cosine of its own, which ends with it: another, shorter training.

    python benchmarks/rate_choice.py run nih-siim --data /data --out /tmp/rates.jsonl
    python benchmarks/rate_choice.py report --out /tmp/rates.jsonl

Runs that are in the file are not trained again; stop and go on at any time. Training of one process
on one thread: two data sets can go side by side.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import numpy as np
import torch
from scipy.stats import spearmanr

from sscdl.dicom.radiograph import Rendering
from sscdl.images.ingest import collect, ingest_shard
from sscdl.images.split import assign_split
from sscdl.images.variants import mean_std, pack, read_pack
from sscdl.phantom.archive import write_archive
from sscdl.study.config import check_config, load_schema
from sscdl.study.study import Study
from sscdl.tasks import build_task
from sscdl.training.averages import Averages
from sscdl.training.backbones import build_backbone
from sscdl.training.batch_statistics import Sample, Statistics, sample
from sscdl.training.loop import Images, _train_epoch, validate
from sscdl.training.optim import build_optimizer
from sscdl.training.order import mixed_seed
from sscdl.training.schedule import Schedule

ROOT = Path(__file__).resolve().parent.parent
SIZE, PACKED, STAGE = 64, 72, 3
SETS: dict[str, dict[str, Any]] = {
    "nih-siim": {"layout": "siim", "siim": {"root": "nih-siim"}},
    "pediatric-cxr": {
        "layout": "table",
        "table": {
            "root": "pediatric-cxr", "table": "images.csv", "id_key": "pediatric",
            "columns": {"file": {"column": "file"}, "patient": {"column": "patient"}},
            "labels": {
                "bacterial": {"column": "label", "values": ["bacterial"]},
                "viral": {"column": "label", "values": ["viral"]},
            },
        },
    },
    "demo": {
        "layout": "phantom",
        "phantom": {"patients": 260, "size": 192, "shortcut": 0.95, "marked_test": 0},
    },
}  # fmt: skip
WAYS = ("running", "whole", "views", "averaged")


class Data(NamedTuple):
    """A packed data set, split by patients."""

    pixels: torch.Tensor
    labels: torch.Tensor
    rows: dict[str, torch.Tensor]  # by split, those with a label
    mean: float
    std: float


def prepare(name: str, data: Path, work: Path) -> Data:
    """Return a data set at 72 px, from ``work`` if it has been there before."""
    folder = work / name
    block = json.loads(json.dumps(SETS[name]))
    layout = block["layout"]
    if layout != "phantom":
        block[layout]["root"] = str(data / block[layout]["root"])
    schema = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
    config = {"study": name, "dataset": block, "store": str(folder), "protocol": "strict"}
    config["curricula"] = ["scratch"]
    if layout == "table":
        config["classes"] = list(block["table"]["labels"])
    study = Study(check_config(config, schema))
    described, manifest = folder / "pack.json", folder / "shard.json"
    if not described.exists():
        if layout == "phantom" and not study.archive.exists():
            write_archive(study.archive, **study.config["dataset"]["phantom"])
        settings = study.config["ingest"]
        rendering = settings["rendering"]
        ingest_shard(
            study.cohorts, 0, 1, folder / "png", manifest,
            rendering=Rendering(**rendering | {"percentiles": tuple(rendering["percentiles"])}),
            accept=settings["accept"], find_text=False, time_limit=60,
        )  # fmt: skip
        pack("full", [manifest], [], None, described, size=PACKED, edge=0.0)
    array, about = read_pack(described)
    images, _ = collect([manifest])
    classes = study.config["classes"]
    split = study.split
    images["split"] = assign_split(images, **split, seed=0)
    images = images.set_index("image_id").loc[about["ids"]]
    labels = [classes.index(one) if one in classes else -1 for one in images["label"]]
    known = np.array(labels) >= 0
    rows = {
        one: torch.tensor(np.flatnonzero(known & (images["split"] == one).to_numpy()))
        for one in ("train", "val", "test")
    }
    mean, std = mean_std(about, {about["ids"][row] for row in rows["train"].tolist()})
    return Data(torch.from_numpy(np.array(array)), torch.tensor(labels), rows, mean, std)


def classifier(
    data: Data, rate: float, seed: int, epochs: int, decay: str, batch: int
) -> tuple[Any, Schedule, torch.optim.Optimizer]:
    """Return a classifier with random weights and what trains it."""
    torch.manual_seed(mixed_seed(seed, "weights", "classify"))
    task = build_task(
        "classify", build_backbone("resnet18", STAGE), options={}, image_size=SIZE,
        images=len(data.rows["train"]), mean=data.mean, std=data.std, batch_size=batch,
        labels=data.labels, classes=int(data.labels.max()) + 1, training_rows=data.rows["train"],
    ).to(memory_format=torch.channels_last)  # fmt: skip
    schedule = Schedule("sgd", rate, 0.9, 1e-4, batch, epochs, decay)
    return task, schedule, build_optimizer(task, "sgd", rate, 0.9, 1e-4)


def trajectory(
    data: Data, *, rate: float, seed: int, epochs: int, decay: str, batch: int, tested: set[int]
) -> list[dict[str, float]]:
    """Train a classifier and return its balanced accuracies after every epoch, by way and split.

    The test images are looked at after the epochs ``tested``.
    """
    task, schedule, optimizer = classifier(data, rate, seed, epochs, decay, batch)
    averages = Averages(task)
    train = data.rows["train"]
    images = Images(data.pixels, train, None)
    taken = sample(
        data.pixels, train, task.draws, batch_size=batch, seed=mixed_seed(seed), precision="float32"
    )
    found = []
    for epoch in range(epochs):
        record = _train_epoch(
            task, task, optimizer, images, schedule, epoch=epoch, seed=mixed_seed(seed, "classify"),
            precision="float32", averages=averages,
        )  # fmt: skip
        scores: dict[str, float] = {"epoch": epoch + 1, "loss": record["loss"] or float("nan")}
        splits = ("val", "test") if epoch + 1 in tested else ("val",)
        for way in WAYS:
            with _looked_at(way, task, averages, taken):
                for split in splits:
                    seen = validate(
                        task, Images(data.pixels, train, data.rows[split]), schedule,
                        seed=0, precision="float32",
                    )  # fmt: skip
                    scores[f"{split} {way}"] = seen["val_balanced_accuracy"]
        found.append(scores)
        if not record["finite"]:
            break
    return found


@contextmanager
def _looked_at(way: str, task: Any, averages: Averages, taken: Sample) -> Iterator[None]:
    statistics = Statistics(task, None if way == "running" else taken)
    block = statistics.of_features if way == "whole" else statistics.of_validation
    with averages.applied() if way == "averaged" else nullcontext(), block():
        yield


def run(options: argparse.Namespace) -> None:
    """Train what the file does not have yet."""
    torch.set_num_threads(1)
    data = prepare(options.set, options.data, options.work)
    counts = {name: len(rows) for name, rows in data.rows.items()}
    steps = counts["train"] // options.batch
    print(options.set, counts, f"{steps} steps an epoch", flush=True)
    done = set()
    if options.out.exists():
        done = {json.dumps(one["run"]) for one in map(json.loads, options.out.open())}
    half = options.epochs // 2
    for seed in options.seeds:
        for decay, epochs in [(d, options.epochs) for d in options.decays] + [("cosine", half)]:
            if epochs == half and "cosine" not in options.decays:
                continue
            for rate in options.rates:
                about = [options.set, seed, decay, epochs, rate, options.batch]
                if json.dumps(about) in done:
                    continue
                began = time.time()
                tested = set(range(1, epochs + 1)) if options.test_all else {half, epochs}
                scores = trajectory(
                    data, rate=rate, seed=seed, epochs=epochs, decay=decay, batch=options.batch,
                    tested=tested,
                )  # fmt: skip
                with options.out.open("a") as file:
                    file.write(json.dumps({"run": about, "scores": scores}) + "\n")
                print(about, scores[-1], f"{time.time() - began:.0f} s", flush=True)


def report(options: argparse.Namespace) -> None:
    """Print, for each data set, how well each way of choosing a rate foresees the end."""
    runs = [json.loads(line) for line in options.out.open()]
    grouped: dict[Any, dict[Any, list]] = defaultdict(dict)
    for one in runs:
        name, seed, decay, epochs, rate, _ = one["run"]
        grouped[name, seed][decay, epochs, rate] = one["scores"]
    full = max(one["run"][3] for one in runs)
    rows: dict[Any, list] = defaultdict(list)
    for (name, _), found in grouped.items():
        for decay in ("cosine", "constant"):
            rates = sorted({r for d, e, r in found if d == decay and e == full})
            whole = {r: found[decay, full, r] for r in rates}
            for final in WAYS:
                last = [whole[r][-1].get(f"test {final}", 0.0) for r in rates]
                rows["final", name, decay, final].append(last)
            for final in ("running", "views"):
                last = [whole[r][-1].get(f"test {final}", 0.0) for r in rates]
                looked = {
                    way: [_at(whole[r], full // 2, f"val {way}") for r in rates] for way in WAYS
                }
                for way in ("running", "views"):
                    short = [found.get(("cosine", full // 2, r)) for r in rates]
                    if decay == "cosine" and all(short):
                        looked[f"own cosine, {way}"] = [
                            _at(s, full // 2, f"val {way}") for s in short
                        ]
                for way, values in looked.items():
                    if len(rates) < 3:
                        continue
                    chosen = last[int(np.argmax(values))]
                    rho = spearmanr(values, last).statistic
                    rows["choice", name, decay, final, way].append((rho, chosen, max(last)))
    for key, values in rows.items():
        table = np.array(values, float)
        if key[0] == "final":
            print(*key, "test by rate (mean of seeds):", np.round(100 * table.mean(axis=0), 1))
        else:
            rho, chosen, best = np.nanmean(table, axis=0)
            print(
                *key, f"rank correlation {rho:.2f}, chosen ends at {100 * chosen:.1f}, "
                f"best {100 * best:.1f}, {len(values)} seeds",
            )  # fmt: skip
    for (name, seed), found in grouped.items():
        for (decay, _, rate), scores in found.items():
            if decay == "constant":
                late = {w: 100 * np.std([s[f"val {w}"] for s in scores[14:]]) for w in WAYS}
                print(name, seed, rate, "sd of validation, epochs 15 on:", late)


def _at(scores: list[dict[str, float]], epoch: int, key: str) -> float:
    return scores[epoch - 1][key] if len(scores) >= epoch else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("set", nargs="?", choices=list(SETS))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--work", type=Path, default=Path("/tmp/rate_choice"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.003, 0.01, 0.03, 0.1, 0.3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--decays", nargs="+", default=["cosine"])
    parser.add_argument("--test-all", action="store_true")
    options = parser.parse_args()
    {"run": run, "report": report}[options.command](options)


if __name__ == "__main__":
    main()
