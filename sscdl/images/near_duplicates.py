"""Pictures of an archive that are one radiograph exported twice.

A perceptual hash of each picture finds its nearest ones; a pair counts if the registered pictures
correlate at 256 px above a bound that no two pictures of different patients reached
(benchmarks/README.md).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sscdl.archives.cohorts import MAIN, PRETRAINING
from sscdl.files import write_json
from sscdl.images.duplicates import find_duplicates
from sscdl.images.likeness import (
    SMALL,
    aligned,
    large_structure,
    read_gray,
    reduced,
    registered_correlation,
    structure,
)
from sscdl.progress import Timer
from sscdl.records import IMAGE_MANIFEST, read_record

LOGGER = logging.getLogger("sscdl.images")
BOUND = 0.85  # correlation at 256 px; see the table in benchmarks/README.md
_SMALL_BOUND = 0.85  # at 64 px, where all pictures are more alike: what goes on to 256 px
_HASH = 16  # side of the hash: 256 numbers
_NEAREST = 3  # candidates of each picture, unless all of them turn out to be copies
_ALIKE = 0.3  # least likeness of two hashes, -1 to 1
_VIEWS = 2000  # changed views of pictures that say what a hash must bear
_SPREAD = 0.1  # weight of the spread between pictures beside that between views of one
_RIDGE = 1e-2  # of the mean spread, as some directions are seen in no view
_ROWS, _COLUMNS = 2048, 8192  # of the block of likenesses that is in memory at a time
_EVERY = 10_000


def find_near_duplicates(manifests: Sequence[Path], record: Path, *, threads: int) -> None:
    """Write to ``record`` which of the images in ``manifests`` are near-duplicates.

    Looked at are those of the main archive and of one for pretraining, without the copies that are
    set aside as exact duplicates. Those of several patients are pairs as they are: they say as
    much of who is who. Memory: about 12 kB an image, and 200 MB. ``record`` has
    ``pairs`` (image_ids, patient_ids, cohorts, each of both; correlation), sorted, the number of
    images ``compared``, and the ``bound``. Raises InputError for a picture that cannot be read.
    """
    folder = Path(manifests[0]).parent / "png"
    rows = [row for path in manifests for row in read_record(path, IMAGE_MANIFEST)["images"]]
    if not rows:  # all were set aside, which the list of images says
        write_json(record, {"pairs": [], "compared": 0, "bound": BOUND})
        return
    images = pd.DataFrame(rows).sort_values("image_id", ignore_index=True)
    exact = _exact(images[images["cohort"].isin([MAIN, PRETRAINING])])
    images = images[~images["image_id"].isin(find_duplicates(images)["image_id"])]
    images = images[images["cohort"].isin([MAIN, PRETRAINING])].reset_index(drop=True)
    paths = [str(folder / name) for name in images["png"]]
    cv2.setNumThreads(1)  # pictures are small: threads take one each
    with ThreadPoolExecutor(threads) as pool:
        timer = Timer()
        small = np.zeros((len(paths), SMALL, SMALL), np.uint8)
        hashes = np.zeros((len(paths), _HASH * _HASH), np.float32)
        for number, (square, numbers) in enumerate(pool.map(_looked_at, paths)):
            small[number], hashes[number] = square, numbers
            if (number + 1) % _EVERY == 0:
                LOGGER.info("%d of %d pictures hashed", number + 1, len(paths))
        LOGGER.info("%d pictures hashed in %.0f s", len(paths), timer.elapsed())

        def correlation(candidate: tuple[int, int, int]) -> float:
            one, other, sign = candidate
            way, value = aligned(structure(small[one]), sign * structure(small[other]))
            if way is None or value < _SMALL_BOUND:
                return 0.0
            first, second = large_structure(paths[one]), large_structure(paths[other])
            return registered_correlation(first, sign * second, way)

        alike: dict[tuple[int, int, int], float] = {}
        nearest, looking = _NEAREST, np.arange(len(small))
        while len(looking):
            found = candidates(small, hashes, nearest, looking)
            new = [candidate for candidate in found if candidate not in alike]
            LOGGER.info("%d candidates after %.0f s", len(new), timer.elapsed())
            for start in range(0, len(new), _EVERY):
                several = new[start : start + _EVERY]
                alike |= zip(several, pool.map(correlation, several), strict=True)
                LOGGER.info("%d of %d candidates compared", start + len(several), len(new))
            copies = Counter(k for pair, value in alike.items() if value >= BOUND for k in pair[:2])
            # Others of a large group may be hidden behind those that were looked at.
            looking = np.array([k for k in looking.tolist() if copies[k] >= nearest], int)
            nearest *= 4
    pairs = [
        _pair(images.iloc[[one, other]], value)
        for (one, other, _), value in alike.items()
        if value >= BOUND
    ]
    LOGGER.info("%d pairs after %.0f s", len(pairs), timer.elapsed())
    pairs = sorted([*pairs, *exact], key=lambda pair: pair["image_ids"])
    write_json(record, {"pairs": pairs, "compared": len(paths), "bound": BOUND})


def _exact(images: pd.DataFrame) -> list[dict[str, Any]]:
    """Return pairs of equal pictures, the first of a picture with that of each other patient."""
    pairs = []
    for _, copies in images[images.duplicated("pixel_hash", keep=False)].groupby("pixel_hash"):
        whose = copies.drop_duplicates("patient_id")
        pairs += [_pair(whose.iloc[[0, other]], 1.0) for other in range(1, len(whose))]
    return pairs


def _pair(two: pd.DataFrame, correlation: float) -> dict[str, Any]:
    return {
        "image_ids": two["image_id"].tolist(),
        "patient_ids": two["patient_id"].tolist(),
        "cohorts": two["cohort"].tolist(),
        "correlation": round(correlation, 3),
    }


def _looked_at(path: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    square = reduced(read_gray(path), SMALL)
    return square, hashed(square)


def hashed(square: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the hash of a reduced picture (64, 64): 256 numbers, negated for an inverted one."""
    reduced: Any = cv2.resize(structure(square), (_HASH, _HASH), interpolation=cv2.INTER_AREA)
    return reduced.ravel()


def candidates(
    small: NDArray[np.uint8],
    hashes: NDArray[np.float32],
    nearest: int = _NEAREST,
    looking: NDArray[np.int_] | None = None,
) -> list[tuple[int, int, int]]:
    """Return (first, second, sign) of the pairs that may be one picture, each pair once.

    They are the ``nearest`` by hash of each picture, or of those at the places ``looking``.
    ``small`` (N, 64, 64) are the reduced pictures, ``hashes`` (N, 256) theirs; sign is -1 where one
    seems to be inverted.

    All radiographs of a chest are alike. What tells them apart is weighed against what a crop, a
    shift or another gray scale does to a hash, as linear discriminant analysis does: changed views
    of some of the pictures say that.
    """
    if len(hashes) < 2:
        return []
    # The common picture says which ones are inverted.
    _, directions = np.linalg.eigh(hashes.T @ hashes)
    signs = np.where(hashes @ directions[:, -1] < 0, -1, 1)
    upright = hashes * signs[:, None].astype(np.float32)
    centred = upright - upright.mean(axis=0)
    chosen = np.linspace(0, len(small) - 1, _VIEWS).round().astype(int)
    draws = np.random.default_rng(0)
    moved = np.array([hashed(_view(small[k], draws)) - hashes[k] for k in chosen])
    within = moved.T @ moved / len(moved)
    between = centred.T @ centred / len(centred)
    ridge = _RIDGE * np.trace(within + between) / len(within) * np.eye(len(within))
    spread, axes = np.linalg.eigh(within + _SPREAD * between + ridge)
    points = (centred @ (axes / np.sqrt(spread))).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True) + 1e-9
    looking = np.arange(len(points)) if looking is None else looking
    return sorted(
        {
            (min(one, other), max(one, other), int(signs[one] * signs[other]))
            for start in range(0, len(looking), _ROWS)
            for one, other in _nearest(points, looking[start : start + _ROWS], nearest)
        }
    )


def _nearest(
    points: NDArray[np.float32], places: NDArray[np.int_], most: int
) -> list[tuple[int, int]]:
    """Return (place, other) of the ``most`` nearest ``points`` of each of those at ``places``."""
    own = points[places]
    best = np.full((len(own), most), _ALIKE, np.float32)
    which = np.full((len(own), most), -1)
    for left in range(0, len(points), _COLUMNS):
        alike = np.abs(own @ points[left : left + _COLUMNS].T)
        inside = (places >= left) & (places < left + alike.shape[1])
        alike[np.flatnonzero(inside), places[inside] - left] = 0  # itself
        for row in np.flatnonzero((alike > best[:, -1:]).any(axis=1)):
            new = np.flatnonzero(alike[row] > best[row, -1])
            values = np.concatenate([best[row], alike[row, new]])
            others = np.concatenate([which[row], new + left])
            order = np.argsort(-values, kind="stable")[:most]
            best[row], which[row] = values[order], others[order]
    return [(int(place), int(k)) for row, place in enumerate(places) for k in which[row] if k >= 0]


def _view(square: NDArray[np.uint8], draws: np.random.Generator) -> NDArray[np.uint8]:
    """Return a reduced picture as another export might show it: moved a little, other grays."""
    angle = np.deg2rad(draws.uniform(-3, 3))
    across, down = draws.uniform(0.93, 1.07, 2)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[across * cosine, -sine], [sine, down * cosine]])
    middle = np.full(2, len(square) / 2)
    shift = middle - turn @ middle + draws.uniform(-0.04, 0.04, 2) * len(square)
    way = np.column_stack([turn, shift]).astype(np.float32)
    seen = cv2.warpAffine(square, way, square.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    table = 255 * (np.arange(256) / 255) ** np.exp(draws.uniform(-0.6, 0.6))
    return cv2.LUT(  # type: ignore[return-value]  # of the type of the table
        seen, table.round().astype(np.uint8)
    )
