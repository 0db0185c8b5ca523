"""The networks that find lungs: images a second, and whether masks are those of the CPU."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.work import seconds_a_call, without_tf32
from sscdl.phantom.radiograph import render
from sscdl.segment.networks import default
from sscdl.segment.networks.checkpoint import PUBLISHED_FIELD, Architecture
from sscdl.segment.predict import Segmenter, load_segmenter
from sscdl.segment.processing.preprocess import default_border
from sscdl.training.device import choose_device

DEFAULT, LUNGVAE = "default", "lungvae, random weights"


def cases(sizes: Sizes) -> list[str]:
    """Return the names of the networks."""
    return [DEFAULT, LUNGVAE]


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rates by the images of a pass, and differences from the CPU."""
    device = choose_device(sizes.device)
    torch.set_num_threads(1 if sizes.tiny else min(8, os.cpu_count() or 1))
    here, there = (_segmenter(case, sizes, name) for name in ("cpu", str(device)))
    images = _pictures(1 if sizes.tiny else 4)
    fields, _ = here._prepare(images, True)
    least = 0.01 if sizes.tiny else 0.4
    found: dict[str, Any] = {"network_images_per_second": {}, "predict_images_per_second": {}}
    with torch.no_grad():
        reference = here.network(fields)[0]
        without_tf32()
        exact = there.network(fields.to(device))[0].cpu()
        without_tf32(False)
        as_run = there.network(fields.to(device))[0].cpu()
        for batch in (1,) if sizes.tiny else (1, 8, 32):
            many = fields[:1].expand(batch, -1, -1, -1).contiguous().to(device)
            seconds = seconds_a_call(lambda many=many: there.network(many), device, least, warm=1)
            found["network_images_per_second"][str(batch)] = round(batch / seconds, 1)
            pictures = (images * batch)[:batch]
            seconds = seconds_a_call(
                lambda pictures=pictures, batch=batch: there.predict(pictures, batch),
                device, least, warm=0,
            )  # fmt: skip
            found["predict_images_per_second"][str(batch)] = round(batch / seconds, 1)
    spread = float(reference.std())
    one, two = (each.predict(images, len(images)) for each in (here, there))
    pixels = [np.mean(a[1] != b[1]) for a, b in zip(one, two, strict=True)]
    return found | {
        "logits_deviation": float(f"{(exact - reference).abs().max() / spread:.3g}"),
        "as_run": float(f"{(as_run - reference).abs().max() / spread:.3g}"),
        "pixels_of_masks": float(f"{max(pixels):.3g}"),
    }


def _segmenter(case: str, sizes: Sizes, device: str) -> Segmenter:
    if case == DEFAULT:
        return load_segmenter(default.PATH, device=device)
    torch.manual_seed(0)
    height, width = (128, 128) if sizes.tiny else PUBLISHED_FIELD
    shape = Architecture(
        latent=8, channels=4 if sizes.tiny else 16, height=height, width=width, unet=False,
        per_image=True, border=default_border(height),
    )  # fmt: skip
    return Segmenter(shape.build().eval().to(device), shape, "")


def _pictures(number: int) -> list[np.ndarray]:
    """Return phantoms, uint8."""
    drawn = [render(seed, "typical", 512).pixels for seed in range(number)]
    return [np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8) for pixels in drawn]
