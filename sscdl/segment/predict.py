"""Lung masks for images, predicted by a segmenter."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sscdl.files import read_json, write_json
from sscdl.segment.checkpoint import PUBLISHED_FIELD, Architecture, load_checkpoint
from sscdl.segment.maskfiles import read_gray, record_mask, warn_of_faults, write_mask
from sscdl.segment.network import UVAE
from sscdl.segment.postprocess import masks_of
from sscdl.segment.preprocess import is_blank, preprocess

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_REPORTS = 10.0
Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class Segmenter:
    """A trained lung segmenter. ``mask_convention`` names what its masks count as lung."""

    network: UVAE
    architecture: Architecture
    mask_convention: str

    def predict(self, images: Sequence[NDArray], batch_size: int = 1) -> list[Masks]:
        """Return the raw and the post-processed mask, bool (H, W), of every image.

        Args:
            images: gray (H, W), bright = dense, of any size and aspect; normally uint8.
            batch_size: images in one pass; one is fastest on a CPU, more can be on a GPU.

        Masks without a lung are all False: callers must report them. An image of one single value
        has an empty mask, whatever the network would make of it.
        """
        found: list[Masks] = []
        for start in range(0, len(images), batch_size):
            found += self._predict_batch(images[start : start + batch_size])
        return found

    def _predict_batch(self, images: Sequence[NDArray]) -> list[Masks]:
        shape = self.architecture
        prepared = [
            preprocess(image, height=shape.height, width=shape.width, border=shape.border)
            for image in images
        ]
        device = next(self.network.parameters()).device
        fields = torch.from_numpy(np.stack([field for field, _ in prepared])).unsqueeze(1)
        with torch.no_grad():
            logits, _ = self.network(fields.to(device))
        probabilities = torch.sigmoid(logits).squeeze(1).cpu().numpy()
        masks: list[Masks] = []
        for image, (_, where), probability in zip(images, prepared, probabilities, strict=True):
            if is_blank(image):
                masks.append((np.zeros(image.shape, bool), np.zeros(image.shape, bool)))
                continue
            # Outside the image there is no lung: zero logits there, as the original has them.
            inside = np.full(probability.shape, 0.5, dtype=probability.dtype)
            where.crop(inside)[:] = where.crop(probability)
            masks.append(masks_of(inside, where))
        return masks


def load_segmenter(
    path: Path, *, device: str = "cpu", field: tuple[int, int] = PUBLISHED_FIELD
) -> Segmenter:
    """Load a segmenter from our ``.safetensors`` or from a lungVAE state dict (``.pt``).

    Args:
        path: the file; see :func:`sscdl.segment.checkpoint.load_checkpoint`.
        device: where it computes.
        field: (height, width) of a lungVAE state dict; 640 x 512 for the published one.

    Raises InputError if the file is missing, damaged or of another network.
    """
    network, architecture, convention = load_checkpoint(Path(path), field)
    return Segmenter(network.to(device), architecture, convention)


def segment_shard(
    manifest: Path,
    png_dir: Path,
    segmenter_path: Path,
    mask_dir: Path,
    out: Path,
    *,
    hull: bool,
    batch_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Segment every image of a manifest and write its masks.

    Args:
        manifest: JSON with ``images``: a list of objects with ``image_id`` and ``png``.
        png_dir: folder that the ``png`` paths are relative to.
        segmenter_path: see :func:`load_segmenter`.
        mask_dir: gets ``<image_id>.raw.png`` and ``<image_id>.png`` (post-processed), 0 or 255, of
            the size of the image.
        out: JSON written last, with ``masks`` in the order of the manifest: ``image_id``, ``png``
            and ``raw_png`` (relative to ``mask_dir``), ``sha256`` of the file ``png``, measures and
            faults of :class:`sscdl.segment.quality.Quality` and ``empty``; and with
            ``mask_convention``.
        hull: replace an implausible mask by the convex hulls of its two largest components.
        batch_size, device, threads: how it computes, not what.

    Raises InputError for a bad segmenter or an image that cannot be read.
    """
    torch.set_num_threads(threads)
    segmenter = load_segmenter(segmenter_path, device=device)
    entries = read_json(manifest)["images"]
    masks: list[dict[str, Any]] = []
    started = reported = time.monotonic()
    for batch in _batches(entries, batch_size):
        images = [read_gray(Path(png_dir) / entry["png"]) for entry in batch]
        predicted = segmenter.predict(images, batch_size)
        for entry, (raw, post) in zip(batch, predicted, strict=True):
            raw_png = f"{entry['image_id']}.raw.png"
            write_mask(Path(mask_dir) / raw_png, raw)
            masks.append(record_mask(entry["image_id"], post, Path(mask_dir), raw_png, hull=hull))
        now = time.monotonic()
        if now - reported > SECONDS_BETWEEN_REPORTS or len(masks) == len(entries):
            rate = len(masks) / max(now - started, 1e-9)
            logger.info(
                "segmented %d of %d images, %.2f images/s, ETA %.0f s",
                len(masks),
                len(entries),
                rate,
                (len(entries) - len(masks)) / rate,
            )
            reported = now
    warn_of_faults(masks)
    write_json(out, {"mask_convention": segmenter.mask_convention, "masks": masks})


def _batches(entries: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
