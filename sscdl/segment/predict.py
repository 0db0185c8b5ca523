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
from torch import Tensor

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.images.vouched import listed
from sscdl.records import IMAGE_MANIFEST, read_record
from sscdl.segment.maskfiles import read_gray, record_mask, warn_of_faults, write_mask
from sscdl.segment.networks.checkpoint import (
    PUBLISHED_FIELD,
    Architecture,
    CompactArchitecture,
    load_checkpoint,
)
from sscdl.segment.networks.compact import CompactUNet
from sscdl.segment.networks.uvae import UVAE
from sscdl.segment.processing.postprocess import doubt_of, inside_of, masks_of
from sscdl.segment.processing.preprocess import Placement, is_blank, preprocess
from sscdl.segment.processing.resample import resize
from sscdl.segment.processing.sampling import Average, SampledMasks, draws_of

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_REPORTS = 10.0
Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class Segmenter:
    """A trained lung segmenter. ``mask_convention`` names what its masks count as lung."""

    network: UVAE | CompactUNet
    architecture: Architecture | CompactArchitecture
    mask_convention: str

    def predict(
        self, images: Sequence[NDArray[Any]], batch_size: int = 1, *, equalise: bool = True
    ) -> list[Masks]:
        """Return the raw and the post-processed mask, bool (H, W), of every image.

        The latent variables take their mean, so that masks are a function of the image alone.

        Args:
            images: gray (H, W) or colour (H, W, 3), bright = dense, of any size and aspect;
                normally uint8.
            batch_size: images in one pass; one is fastest on a CPU, more can be on a GPU.
            equalise: equalise histograms, as what the network was trained on.

        Masks without a lung are all False: callers must report them. An image of one single value
        has an empty mask, whatever the network would make of it.
        """
        found = self.predict_with_doubt(images, batch_size, equalise=equalise)
        return [(raw, post) for raw, post, _ in found]

    def predict_with_doubt(
        self, images: Sequence[NDArray[Any]], batch_size: int = 1, *, equalise: bool = True
    ) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_], float]]:
        """Return masks as :meth:`predict` does, and how much in doubt the network is about them.

        The doubt is :func:`sscdl.segment.processing.postprocess.doubt_of` the probabilities.
        """
        found = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            fields, places = self._prepare(batch, equalise)
            with torch.no_grad():
                logits, _ = self.network(fields)
            for image, where, probability in zip(
                batch, places, _probabilities(logits), strict=True
            ):
                if is_blank(image):
                    empty = np.zeros(image.shape[:2], bool)
                    found.append((empty, empty.copy(), 0.0))
                    continue
                doubt = doubt_of(where.crop(probability))
                finer = self.architecture.refinement
                if finer > 1:
                    probability = resize(probability, *(finer * side for side in probability.shape))
                    where = where.scaled(finer)
                found.append((*masks_of(inside_of(probability, where), where), doubt))
        return found

    def predict_samples(
        self,
        images: Sequence[NDArray[Any]],
        samples: int,
        *,
        seed: int = 0,
        batch_size: int = 1,
        equalise: bool = True,
    ) -> list[SampledMasks]:
        """Return for every image what ``samples`` draws of the latent variables say on average.

        Args:
            images, batch_size, equalise: as for :meth:`predict`.
            samples: how many draws, at least 1.
            seed: of the draws. They belong to the seed and the image's pixels: neither its name,
                nor its place, nor the batch changes them.

        Raises InputError if the segmenter is a plain U-Net or ``samples`` is below 1.
        """
        if not isinstance(self.network, UVAE) or self.network.unet:
            raise InputError(
                "samples: this segmenter is a plain U-Net, which has nothing to sample; "
                "leave the number of samples out, or give a variational segmenter"
            )
        if samples < 1:
            raise InputError(f"samples: {samples} is too few; give 1 or more")
        found: list[SampledMasks] = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            fields, places = self._prepare(batch, equalise)
            draws = np.stack(
                [draws_of(image, samples, self.network.latent, seed) for image in batch]
            )
            averages = [Average(where) for where in places]
            with torch.no_grad():
                features = self.network.features(fields)
                mean, sigma = self.network.posterior(fields)
                for number in range(samples):
                    eps = torch.from_numpy(draws[:, number]).to(mean)
                    logits = self.network.decode(features, mean + sigma * eps)
                    for average, probability in zip(averages, _probabilities(logits), strict=True):
                        average.add(probability)
            found += [
                average.result(blank=is_blank(image))
                for average, image in zip(averages, batch, strict=True)
            ]
        return found

    def _prepare(
        self, images: Sequence[NDArray[Any]], equalise: bool
    ) -> tuple[Tensor, list[Placement]]:
        """Return the fields (B, 1, height, width) on the network's device, and the placements."""
        shape = self.architecture
        size = {"height": shape.height, "width": shape.width, "border": shape.border}
        prepared = [preprocess(image, **size, equalise=equalise) for image in images]
        device = next(self.network.parameters()).device
        fields = torch.from_numpy(np.stack([field for field, _ in prepared])).unsqueeze(1)
        return fields.to(device), [where for _, where in prepared]


def _probabilities(logits: Tensor) -> NDArray[np.float32]:
    """Return sigmoid of logits (B, 1, height, width) as (B, height, width)."""
    return torch.sigmoid(logits).squeeze(1).cpu().numpy()


def load_segmenter(
    path: Path, *, device: str = "cpu", field: tuple[int, int] = PUBLISHED_FIELD
) -> Segmenter:
    """Load a segmenter from our ``.safetensors`` or from a lungVAE state dict (``.pt``).

    Args:
        path: the file; see :func:`sscdl.segment.networks.checkpoint.load_checkpoint`.
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
        manifest: JSON with ``images``: a list of objects with ``image_id``, ``png`` and ``sha256``.
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
    entries = read_record(manifest, IMAGE_MANIFEST)["images"]
    masks: list[dict[str, Any]] = []
    started = reported = time.monotonic()
    for batch in _batches(entries, batch_size):
        paths = [listed(Path(png_dir) / one["png"], one["sha256"], manifest) for one in batch]
        images = list(map(read_gray, paths))
        predicted = segmenter.predict_with_doubt(images, batch_size)
        for entry, (raw, post, doubt) in zip(batch, predicted, strict=True):
            image_id, folder = entry["image_id"], Path(mask_dir)
            raw_png = f"{image_id}.raw.png"
            write_mask(folder / raw_png, raw)
            masks.append(record_mask(image_id, post, folder, raw_png, hull=hull, doubt=doubt))
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
