"""Masks for a folder of images, for people who want nothing else of this project."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sscdl.archives.listing import scan_pictures, stem
from sscdl.dicom.radiograph import ImageError
from sscdl.errors import InputError
from sscdl.files import atomic_path
from sscdl.progress import Timer
from sscdl.segment.maskfiles import write_mask
from sscdl.segment.predict import Segmenter
from sscdl.segment.processing.reading import read_values
from sscdl.segment.processing.sampling import SampledMasks
from sscdl.segment.quality import measure
from sscdl.words import many

logger = logging.getLogger(__name__)

NO_IMAGES = ("mask", "label")
UNCERTAINTY_SCALE = 510.0  # a standard deviation of 0.5, the largest possible, is white
TABLE = "masks.csv"


def find_images(source: Path, out: Path | None = None) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the images of a folder, at any depth, or of the one file that ``source`` is.

    The first are paths relative to the folder, sorted: those of files that are PNG, JPEG, TIFF or
    DICOM by name or contents, but for what lies in ``out``, and none with "mask" or "label" in the
    file's name (in any case), as the original lungVAE code has it. The second are (path, reason) of
    files that are set aside.

    Raises InputError if there is no image.
    """
    if source.is_file():
        return [source.name], []
    if not source.is_dir():
        raise InputError(f"images {source}: no such file or folder; give one that exists")
    listing = scan_pictures(source)
    files = [path for path, _ in listing.files]
    here = source.resolve()
    if out is not None and here in out.resolve().parents:
        start = f"{out.resolve().relative_to(here).as_posix()}/"
        files = [path for path in files if not path.startswith(start)]
    found = [path for path in files if not _is_no_image(path)]
    if not found:
        raise InputError(
            f"images {source}: no image (PNG, JPEG, TIFF or DICOM) lies in this folder, apart from "
            "those with mask or label in the name; give the folder that holds the images"
        )
    if len(found) < len(files):
        lost = many(len(files) - len(found), "file")
        logger.info("%s with mask or label in the name passed over", lost)
    if listing.texts:
        texts = many(len(listing.texts), "file that holds", "files that hold")
        logger.info("%s text passed over, such as %s", texts, listing.texts[0])
    return found, [one for one in listing.problems if not _is_no_image(one[0])]


def _is_no_image(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return any(word in name for word in NO_IMAGES)


def segment_folder(
    source: Path,
    out: Path,
    segmenter: Segmenter,
    *,
    samples: int = 0,
    seed: int = 0,
    equalise: bool = True,
    batch_size: int = 1,
) -> int:
    """Segment the images of ``source`` into the folder ``out``; return how many failed.

    For each image ``<name>_mask.png`` (raw) and ``<name>_post.png`` (post-processed), 0 or 255, of
    the size of the image; a name has _ for / where the image lies in a subfolder. ``masks.csv``,
    written last, has a line for each file in the order of their paths: its size, the measures and
    faults of the post-processed mask (see :mod:`sscdl.segment.quality`), and the reason where there
    is no mask.

    Args:
        source, out: see :func:`find_images`; ``out`` is made, and must be another folder.
        segmenter: what predicts.
        samples: 0 for masks from the mean of the latent variables; otherwise how many samples are
            averaged, with ``<name>_uncertainty.png``: gray is 510 times the standard deviation of
            the pixel's probability, and the table has its mean over the image.
        seed, equalise, batch_size: see :meth:`sscdl.segment.predict.Segmenter.predict_samples`.

    Raises InputError if there is no image, or the segmenter cannot do what is asked.
    """
    files, problems = find_images(source, out)
    if out.resolve() == (source if source.is_dir() else source.parent).resolve():
        raise InputError(
            f"output {out}: is the folder of the images, whose masks would be taken for images "
            "next time; give another folder"
        )
    if out.exists() and not out.is_dir():
        raise InputError(f"output {out}: is a file; give a folder")
    folder = source if source.is_dir() else source.parent
    names = Counter(map(_name, files))
    rows: list[dict[str, Any]] = [{"file": path, "error": reason} for path, reason in problems]
    timer = Timer()
    for batch in _batches(files, batch_size):
        images: dict[str, NDArray[Any]] = {}
        for path in batch:
            try:
                if names[_name(path)] > 1:
                    raise ImageError("several files have this name with other suffixes; rename")
                images[path] = read_values(folder / path)
            except ImageError as error:
                rows.append({"file": path, "error": str(error)})
        pixels = list(images.values())
        predicted: list[Any]
        if samples:
            predicted = segmenter.predict_samples(
                pixels, samples, seed=seed, batch_size=batch_size, equalise=equalise
            )
        else:
            predicted = segmenter.predict_with_doubt(pixels, batch_size, equalise=equalise)
        for path, masks in zip(images, predicted, strict=True):
            rows.append({"file": path, "error": "", **_write(out, _name(path), masks)})
        done = len(rows) - len(problems)
        left = timer.left(done, len(files))
        logger.info("%d of %s, %s left", done, many(len(files), "image"), left)
    rows.sort(key=lambda row: row["file"])
    failed = [row for row in rows if row["error"]]
    for row in failed:
        logger.warning("%s: no mask: %s", row["file"], row["error"])
    implausible = sum(bool(row.get("faults")) for row in rows)
    logger.info(
        "%s in %s, %d of them implausible; %s failed",
        many(len(rows) - len(failed), "mask"),
        out,
        implausible,
        many(len(failed), "file"),
    )
    _write_table(out / TABLE, rows, sampled=bool(samples))
    return len(failed)


def _name(path: str) -> str:
    """Return what the outputs of an image are called."""
    return stem(path.replace("/", "_"))


def _write(out: Path, name: str, masks: Any) -> dict[str, Any]:
    """Write the pictures of one image and return its part of the table."""
    raw, post = masks[:2]
    write_mask(out / f"{name}_mask.png", raw)
    write_mask(out / f"{name}_post.png", post)
    sampled = isinstance(masks, SampledMasks)
    record = measure(post, None if sampled else masks[2]).record()
    row = {"height": post.shape[0], "width": post.shape[1], **record}
    row["faults"] = "; ".join(record["faults"])
    if sampled:
        gray = np.rint(masks.uncertainty * UNCERTAINTY_SCALE).clip(0, 255).astype(np.uint8)
        with atomic_path(out / f"{name}_uncertainty.png") as temporary:
            Image.fromarray(gray).save(temporary)
        row["uncertainty"] = float(masks.uncertainty.mean())
    return row


def _write_table(path: Path, rows: list[dict[str, Any]], *, sampled: bool) -> None:
    """Write the table; numbers with four decimals, nothing where there is no mask."""
    measures = [name for name in measure(np.zeros((1, 1), bool)).record() if name != "faults"]
    columns = ["file", "height", "width", *measures, "faults"]
    columns += ["uncertainty", "error"] if sampled else ["error"]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _shown(value) for name, value in row.items()})


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else value


def _batches(files: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
