"""What several samples of a segmenter's latent variables say about one image."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sscdl.segment.processing.postprocess import inside_of, masks_of
from sscdl.segment.processing.preprocess import Placement, restore


class SampledMasks(NamedTuple):
    """What several samples of the latent variables say about an image, all (H, W) of its size.

    ``raw`` and ``post`` are the masks of the mean probability, as :meth:`Segmenter.predict` makes
    them; ``mean`` and ``uncertainty``, float32, are mean and standard deviation of the samples'
    probabilities: in [0, 1], and in [0, 0.5].
    """

    raw: NDArray[np.bool_]
    post: NDArray[np.bool_]
    mean: NDArray[np.float32]
    uncertainty: NDArray[np.float32]


class Average:
    """Mean and spread of the probabilities of one image, over samples that come one by one."""

    def __init__(self, where: Placement) -> None:
        self.where = where
        self.count = 0
        self.field: NDArray[Any] = np.zeros(())
        self.mean: NDArray[Any] = np.zeros(())
        self.squares: NDArray[Any] = np.zeros(())

    def add(self, probability: NDArray[np.float32]) -> None:
        """Take in the probabilities (height, width) of one more sample, by Welford's recurrence."""
        field = inside_of(probability, self.where).astype(np.float64)
        image = restore(field, self.where)
        self.count += 1
        step = image - self.mean
        self.field = self.field + (field - self.field) / self.count
        self.mean = self.mean + step / self.count
        self.squares = self.squares + step * (image - self.mean)

    def result(self, *, blank: bool) -> SampledMasks:
        """Return masks and maps; of a ``blank`` image all of them are zero."""
        if blank:
            empty = np.zeros(self.mean.shape, bool)
            nothing = np.zeros(self.mean.shape, np.float32)
            return SampledMasks(empty, empty.copy(), nothing, nothing.copy())
        deviation = np.sqrt(self.squares / self.count)
        return SampledMasks(
            *masks_of(self.field, self.where),
            self.mean.astype(np.float32),
            deviation.astype(np.float32),
        )


def draws_of(image: NDArray[Any], samples: int, latent: int, seed: int) -> NDArray[np.float32]:
    """Return the standard normal numbers (samples, latent) of an image."""
    digest = hashlib.sha256(repr((image.shape, image.dtype.str)).encode())
    digest.update(np.ascontiguousarray(image).data)
    words = np.frombuffer(digest.digest(), dtype="<u4")
    generator = np.random.default_rng([seed, *words.tolist()])
    return generator.standard_normal((samples, latent), dtype=np.float32)
