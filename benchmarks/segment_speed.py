"""What does segmenting cost beside the network's own forward pass?

Masks of images by the full-size lungVAE (16 channels, 640 x 512, random weights) through
Segmenter.predict, in turn with bare forward passes of the same network on one tensor made before;
in one process, on one thread, by CPU time, since others use the machine too. The ratio is the
median of those of the rounds. The steps of preparing and of making masks are timed on their own.

    python benchmarks/segment_speed.py --rounds 7
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import cv2
import numpy as np
import torch

from sscdl.phantom.radiograph import render
from sscdl.segment.networks.checkpoint import Architecture
from sscdl.segment.predict import Segmenter
from sscdl.segment.processing.postprocess import lung_field, masks_of
from sscdl.segment.processing.preprocess import default_border, equalised, place_mask, preprocess
from sscdl.segment.quality import measure

SIZES = ((1024, 1024), (2336, 2836), (3052, 2500))
ORIGINAL = 1.1  # CPU-seconds of the original for a forward pass, measured on the same machine


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    shape = Architecture(
        latent=8,
        channels=16,
        height=640,
        width=512,
        unet=False,
        per_image=True,
        border=default_border(640),
    )
    segmenter = Segmenter(shape.build().eval(), shape, "")
    tensor = torch.rand(1, 1, 640, 512)
    print("| image | forward pass, CPU s | predict, CPU s | ratio | prepare, ms | masks, ms |")
    print("|---|---:|---:|---:|---:|---:|")
    passes = []
    for height, width in SIZES:
        image, lungs = _radiograph(height, width)
        bare, whole = [], []
        for _ in range(rounds + 1):
            bare.append(_seconds(lambda: _forward(segmenter, tensor)))
            whole.append(_seconds(lambda image=image: segmenter.predict([image])))
        passes += bare[1:]
        ratio = statistics.median(b / w for b, w in zip(bare[1:], whole[1:], strict=True))
        field = place_mask(lungs).astype(np.float32)
        where = preprocess(image)[1]
        prepare = _median(lambda image=image: preprocess(image), rounds)
        masks = _median(lambda field=field, where=where: masks_of(field, where), rounds)
        print(
            f"| {width} x {height} | {statistics.median(bare[1:]):.3f} "
            f"| {statistics.median(whole[1:]):.3f} | {ratio:.3f} "
            f"| {1e3 * prepare:.1f} | {1e3 * masks:.1f} |"
        )
    image, lungs = _radiograph(*SIZES[0])
    field = place_mask(lungs).astype(np.float32)
    print(
        f"\nequalisation of {SIZES[0][1]} x {SIZES[0][0]}: "
        f"{1e3 * _median(lambda: equalised(image), rounds):.1f} ms; two largest components and "
        f"closing: {1e3 * _median(lambda: lung_field(field), rounds):.1f} ms; measures for the "
        f"report: {1e3 * _median(lambda: measure(lungs), rounds):.1f} ms"
    )
    found = statistics.median(passes)
    print(
        f"a forward pass takes {found:.2f} CPU-seconds, {found / ORIGINAL:.2f} of the original's "
        f"{ORIGINAL}"
    )


def _radiograph(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a phantom (height, width), uint8, and its lungs, bool."""
    phantom = render(1, "typical", 512)
    pixels = np.round(np.clip(phantom.pixels, 0, 1) * 255).astype(np.uint8)
    image = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).integers(0, 8, image.shape, dtype=np.uint8)
    lungs = cv2.resize(phantom.lungs.astype(np.uint8), (width, height))
    return cv2.add(image, grain), lungs.astype(bool)


def _forward(segmenter: Segmenter, tensor: torch.Tensor) -> None:
    with torch.no_grad():
        segmenter.network(tensor)


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _median(call: Callable[[], object], rounds: int) -> float:
    return statistics.median(_seconds(call) for _ in range(rounds))


if __name__ == "__main__":
    main()
