"""Does each pretext task learn something about the lungs? A linear probe before and after.

Renders synthetic radiographs, pretrains a ResNet-18 (two stages) with each task on some of them,
and compares a linear probe (logistic regression on frozen features) with the same probe on the
network at random initialisation, over several seeds: with all labels, and with 100, the mean of 20
draws.

    python benchmarks/probe.py --seeds 3
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.evaluation.probe import extract_features, linear_probe
from sscdl.phantom.radiograph import render
from sscdl.tasks import build_task
from sscdl.training.backbones import build_backbone
from sscdl.training.loop import Images, train
from sscdl.training.order import mixed_seed
from sscdl.training.schedule import Schedule

SIZE, PACKED = 64, 72
FEW, DRAWS = 100, 20
# Gray values say much about disease, and small crops leave it out: neither is made invisible.
VIEWS = {"crop": [0.7, 1.0], "brightness": 0.0, "contrast": 0.0, "gamma": 0.0}
TASKS = {  # optimiser, learning rate, batch size, epochs, options
    "moco": ("sgd", 0.03, 32, 20, {**VIEWS, "temperature": 0.1}),
    "swav": ("sgd", 0.03, 32, 8, {**VIEWS, "local_crops": 0, "prototypes": 120, "queue": 256}),
    "relloc": ("sgd", 0.03, 32, 8, {}),
    "rotation": ("sgd", 0.03, 16, 8, {}),
}


def images(number: int, start: int, bodies: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``number`` packed radiographs (uint8) and their labels, half of them abnormal.

    They show ``bodies`` bodies, in turn, each with either label and none that another ``start``
    shows; with 0, every image shows a body of its own.
    """
    pixels, labels = [], []
    for seed in range(start, start + number):
        label = ("negative", "typical")[seed % 2]
        body = 10**6 + start + seed // 2 % bodies if bodies else None
        drawn = render(seed, label, 192, anatomy_seed=body).pixels
        picture = np.round(255 * np.clip(drawn, 0, 1)).astype(np.uint8)
        pixels.append(cv2.resize(picture, (PACKED, PACKED), interpolation=cv2.INTER_AREA))
        labels.append(seed % 2)
    return np.stack(pixels), np.array(labels)


def main() -> None:
    """Print one row per task: loss beside chance, probe beside that of the random network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--test", type=int, default=1200)
    parser.add_argument("--bodies", type=int, default=0, help="different ones; 0: all differ")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sets = ((arguments.train, 0), (arguments.test, arguments.train))
    parts = [images(number, start, arguments.bodies) for number, start in sets]
    pixels, labels = (np.concatenate(both) for both in zip(*parts, strict=True))
    first, second = torch.arange(len(pixels)).split([arguments.train, arguments.test])
    array = torch.from_numpy(pixels)
    mean, std = pixels[first].mean() / 255, pixels[first].std() / 255

    def probe(backbone: torch.nn.Module, seed: int) -> tuple[float, float]:
        features = extract_features(backbone, array, mean, std, SIZE, 64)

        def score(rows: np.ndarray) -> float:
            return linear_probe(
                features[rows], labels[rows], features[second], labels[second], seed
            )

        draws = [np.random.default_rng([seed, n]).choice(first, FEW, False) for n in range(DRAWS)]
        return score(first.numpy()), float(np.mean([score(rows) for rows in draws]))

    print(
        "| task | loss | chance | labels | probe | probe, random network | difference | better in |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in arguments.tasks:
        optimizer, rate, batch, epochs, options = TASKS[name]
        losses, after, before = [], [], []
        for seed in range(arguments.seeds):
            torch.manual_seed(mixed_seed(seed, "weights"))
            backbone = build_backbone("resnet18", 2)
            before.append(probe(backbone, seed))
            task = build_task(
                name, backbone, options=options, image_size=SIZE, images=len(first), mean=mean,
                std=std, batch_size=batch, patients=torch.arange(len(array)),
            )  # fmt: skip
            schedule = Schedule(optimizer, rate, 0.9, 1e-4, batch, epochs, "cosine")
            with tempfile.TemporaryDirectory() as folder:
                history = train(
                    task, Images(array, first, None), schedule, start=0, stop=epochs,
                    seed=seed, state=Path(folder) / "state.pt", fingerprint="probe",
                )  # fmt: skip
            losses.append(history[-1]["loss"])
            after.append(probe(backbone, seed))
        for count, trained, random in zip(
            (len(first), FEW), np.transpose(after), np.transpose(before), strict=True
        ):
            gains = trained - random
            print(
                f"| {name} | {np.mean(losses):.3f} | {history[-1]['chance']:.3f} | {count} "
                f"| {spread(trained)} | {spread(random)} | {spread(gains, '+')} "
                f"| {(gains > 0).sum()} of {arguments.seeds} seeds |",
                flush=True,
            )


def spread(values: np.ndarray, sign: str = "") -> str:
    """Return mean and standard deviation of the seeds."""
    deviation = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():{sign}.3f}{deviation}"


if __name__ == "__main__":
    main()
