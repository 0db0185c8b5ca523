"""How much memory does training take for each image of the archive?

Trains on memory-mapped arrays of more and more images, each in a process of its own: a few steps of
the rotation task with the first half of a ResNet-18 at 64 px, after which the process ends in the
middle of its epoch. All images are in that epoch, so whatever the training keeps of each of them is
there. The arrays are sparse files, which take no disk.

    python benchmarks/training_memory.py
    python benchmarks/training_memory.py --counts 1000 20000 --side 512

Anonymous memory is what the process needs; pages of mapped files, which the system may drop when
others want memory, are named on their own, and VmHWM counts both. Memory in MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import numpy as np

SIZE, BATCH = 64, 32
LARGE = (200_000, 64)  # images, side: the row that shows an archive larger than others
HEADER = (
    "| images | side, px | array | anonymous, peak | of files, peak | VmHWM | on the GPU |\n"
    "|---:|---:|---:|---:|---:|---:|---:|"
)
Figures = dict[str, float]


class Reached(Exception):
    """As many steps as asked for have been taken."""


class Watch(threading.Thread):
    """Reads every few milliseconds how much memory this process has; ``peak`` in KiB."""

    def __init__(self, interval: float = 0.005) -> None:
        super().__init__(daemon=True)
        self.interval, self.ended = interval, threading.Event()
        self.peak = {"RssAnon": 0, "RssFile": 0, "VmHWM": 0}

    def run(self) -> None:
        while not self.ended.wait(self.interval):
            self.read()

    def read(self) -> None:
        """Take note of the present figures."""
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        found = dict(line.split(":", 1) for line in lines)
        for name, peak in self.peak.items():
            self.peak[name] = max(peak, int(found[name].split()[0]))


def train_a_little(file: Path, device_name: str, steps: int) -> Figures:
    """Take ``steps`` steps on the images in ``file``, uint8 (N, S, S); return peaks in MiB."""
    import torch

    from sscdl.tasks import build_task
    from sscdl.training.backbones import build_backbone
    from sscdl.training.device import choose_device
    from sscdl.training.loop import Images, train
    from sscdl.training.pixels import place
    from sscdl.training.schedule import Schedule

    torch.set_num_threads(1)
    device = choose_device(device_name)
    # Copy on write, because torch wants arrays that it could write to.
    pixels = torch.from_numpy(np.load(file, mmap_mode="c"))
    task = build_task(
        "rotation", build_backbone("resnet18", 2), options={}, image_size=SIZE, images=len(pixels),
        mean=0.5, std=0.25, batch_size=BATCH,
    ).to(device, memory_format=torch.channels_last)  # fmt: skip
    taken = 0

    def count(*_: object) -> None:
        nonlocal taken
        taken += 1
        if taken > steps:
            raise Reached

    task.backbone.register_forward_pre_hook(count)
    watch = Watch()
    watch.start()
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Reached):
        train(
            task,
            Images(place(pixels, device), torch.arange(len(pixels)), None),
            Schedule("sgd", 0.01, 0.9, 1e-4, BATCH, 1, "constant"),
            start=0, stop=1, seed=0, state=Path(folder) / "state.pt", fingerprint="memory",
        )  # fmt: skip
    watch.ended.set()
    watch.join()
    watch.read()
    figures = {name: kilobytes / 1024 for name, kilobytes in watch.peak.items()}
    cuda = device.type == "cuda"
    figures["GPU"] = torch.cuda.max_memory_allocated(device) / 2**20 if cuda else 0.0
    return figures


def sparse_array(file: Path, images: int, side: int) -> Path:
    """Make an array of zeros, uint8 (images, side, side), that takes no room on the disk."""
    np.lib.format.open_memmap(file, "w+", np.uint8, (images, side, side)).flush()
    return file


def in_own_process(images: int, side: int, device: str, steps: int) -> Figures:
    """Return the peaks of a process that trains on ``images`` pictures."""
    with tempfile.TemporaryDirectory() as folder:
        file = sparse_array(Path(folder) / "images.npy", images, side)
        command = [sys.executable, __file__, "--child", str(file)]
        command += ["--device", device, "--steps", str(steps)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(images: int, side: int, figures: Figures) -> str:
    """Return the line of one number of images."""
    cells = [f"{images:,}", str(side), f"{images * side**2 / 2**20:.0f}"]
    cells += [f"{figures[name]:.0f}" for name in ("RssAnon", "RssFile", "VmHWM")]
    cells.append(f"{figures['GPU']:.0f}" if figures["GPU"] else "")
    return f"| {' | '.join(cells)} |"


def bytes_per_image(measured: dict[int, Figures], name: str) -> float:
    """Return by how many bytes the figure ``name`` grows with each image, by least squares."""
    counts = np.array(list(measured))
    sizes = np.array([figures[name] for figures in measured.values()])
    return float(np.polyfit(counts, sizes * 2**20, 1)[0])


def main() -> None:
    """Print the table and the slopes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 6334, 20_000, 100_000])
    parser.add_argument("--side", type=int, default=256, help="of the packed images, px")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(train_a_little(arguments.child, arguments.device, arguments.steps)))
        return
    print(HEADER, flush=True)
    measured = {}
    for images, side in [*((count, arguments.side) for count in arguments.counts), LARGE]:
        figures = in_own_process(images, side, arguments.device, arguments.steps)
        print(row(images, side, figures), flush=True)
        if side == arguments.side:
            measured[images] = figures
    if len(measured) > 1:
        print(
            f"\nbytes an image: {bytes_per_image(measured, 'RssAnon'):.0f} of anonymous memory "
            f"(its pixels alone have {arguments.side**2}), "
            f"{bytes_per_image(measured, 'RssFile'):.0f} of mapped files"
        )


if __name__ == "__main__":
    main()
