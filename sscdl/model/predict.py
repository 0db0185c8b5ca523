"""Using an exported model on image files, which become its input just as in a study.

Nothing here makes pictures: files go through the renderer, the segmenter and the packing that
studies use, a few at a time, in a folder that is deleted afterwards.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sscdl.archives.cohorts import MAIN
from sscdl.dicom.radiograph import Rendering
from sscdl.figures import charts
from sscdl.figures.attention import attention_panel
from sscdl.files import write_json
from sscdl.images import variants
from sscdl.images.imagelist import write_csv
from sscdl.images.renderer import Renderer
from sscdl.images.variant_kinds import masks_of
from sscdl.model.answers import answers, columns_of
from sscdl.model.folder import Model, preprocessing_source
from sscdl.model.image_files import ImageFile, find_images
from sscdl.progress import Timer
from sscdl.recipe import file_hash
from sscdl.segment.maskfiles import read_gray, record_mask
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.model")
TABLE = "predictions.csv"
BATCH = 16  # images at a time, and between two lines that tell how long it takes
_VIEW_IS_MISSING = "view is missing, "  # not where the orientation tells of another view


def predict_folder(
    model: Model, source: Path, out: Path, *, attention: bool = False, view: str = ""
) -> int:
    """Predict the image files of ``source`` and return how many have no prediction.

    ``out`` gets ``predictions.csv``, written last, with a line for each file, sorted: ``file`` (its
    name, with folders before it only where several have that name), what
    :func:`sscdl.model.answers.columns_of` names, ``mask_faults``, and ``error``, why there is no
    prediction. ``masks/<name>.png`` are the lungs in the rendered image, 0 or 255.

    Args:
        model: what predicts.
        source: a folder of DICOM, PNG, JPEG or TIFF files at any depth, or one file.
        out: a folder, made if it is missing, that does not lie in ``source``.
        attention: draw ``attention/<name>.png``: what the network sees, the class activation map
            of the predicted class, or of each called finding, laid over, the lungs outlined.
        view: view position (AP, PA) of files that do not tell theirs.

    Raises InputError if there is no file to predict, or ``out`` cannot be used.
    """
    images, problems = find_images(source, out)
    described = model.described
    if described["preprocessing"] != preprocessing_source():
        LOGGER.warning(
            "the program has changed since the model was exported, in parts that prepare images: "
            "predictions may differ from those of its study"
        )
    ingest = described["ingest"]
    rendering = ingest["rendering"]
    rendering = Rendering(**rendering | {"percentiles": tuple(rendering["percentiles"])})
    timer, done = Timer(), 0
    with Renderer(
        rendering, ingest["accept"], find_text=False, time_limit=ingest["time_limit"]
    ) as renderer:
        for batch in _batches(images):
            # Rendered patients: a folder that only its owner may read, and not for long.
            with tempfile.TemporaryDirectory(prefix="sscdl-") as scratch:
                _predict(model, renderer, batch, Path(scratch), out, attention=attention, view=view)
            done += len(batch)
            failed = sum("error" in image.line for image in images)
            LOGGER.info(
                "%d of %s, %d without prediction, %.1f images/s, %s left",
                done, many(len(images), "image"), failed, done / timer.elapsed(),
                timer.left(done, len(images)),
            )  # fmt: skip
    lines = [{"file": image.shown, **image.line} for image in images]
    lines += [{"file": shown, "error": reason} for shown, reason in problems]
    lines.sort(key=lambda line: line["file"])
    columns = ["file", *columns_of(model), "mask_faults", "error"]
    table = pd.DataFrame(lines, columns=columns)
    write_csv(table, out / TABLE)
    without = sum("error" in line for line in lines)
    predicted, lost = many(len(lines) - without, "prediction"), many(without, "file")
    LOGGER.info("%s in %s; %s without", predicted, out, lost)
    return without


def _predict(
    model: Model,
    renderer: Renderer,
    batch: list[ImageFile],
    scratch: Path,
    out: Path,
    *,
    attention: bool,
    view: str,
) -> None:
    """Fill in the lines of a batch of files and write their pictures."""
    images, masks = scratch / "images" / "png", scratch / "masks" / "png"
    images.mkdir(parents=True)
    usable: dict[str, bool] = {}
    records: list[dict[str, Any]] = []
    kept: dict[str, ImageFile] = {}
    for number, image in enumerate(batch):
        image_id = f"{number:04d}"
        png = images / f"{image_id}.png"
        kind, told = renderer.render(image.path, png)
        if kind != "image" and view and str(told).startswith(_VIEW_IS_MISSING):
            kind, told = renderer.render(image.path, png, view)
        if kind != "image":
            image.fail(told)
            continue
        for remark in told.get("remarks", ()):
            LOGGER.warning("%s: %s", image.shown, remark)
        if model.segmenter is not None:
            record = _segment(model, png, image_id, masks)
            records.append(record)
            _copy(masks / record["png"], out / "masks" / f"{image.name}.png")
            image.line["mask_faults"] = "; ".join(record["faults"])
            reason = _useless(model, record)
            usable[image_id] = not reason
            if reason and model.described["lungs"]["needed"]:
                image.fail(reason)
                continue
        kept[image_id] = image
    if not kept:
        return
    array, lungs, ids = _pack(model, scratch, list(kept), records)
    found = answers(model, array, lungs > 127, [usable.get(image_id, False) for image_id in ids])
    for image_id, answer in zip(ids, found, strict=True):
        image = kept[image_id]
        image.line |= answer.cells
        if attention:
            figure = attention_panel(answer.maps)
            charts.write_figure(figure, out / "attention" / f"{image.name}.png")


def _segment(model: Model, png: Path, image_id: str, folder: Path) -> dict[str, Any]:
    """Write the lung mask of a rendered image as studies do, and return its record."""
    assert model.segmenter is not None  # a model that needs masks has one
    [(_, mask, doubt)] = model.segmenter.predict_with_doubt([read_gray(png)], 1)
    hull = model.described["lungs"]["implausible"] == "hull"
    return record_mask(image_id, mask, folder, f"{image_id}.png", hull=hull, doubt=doubt)


def _useless(model: Model, record: dict[str, Any]) -> str:
    """Return why a mask is not to be used, '' if it is; ``list_images`` decides alike."""
    if record["empty"]:
        return "no lungs were found in it, and this model needs them"
    if record["faults"] and model.described["lungs"]["implausible"] == "drop":
        return (
            f"lung mask is implausible ({'; '.join(record['faults'])}), and this model drops such"
        )
    return ""


def _pack(
    model: Model, scratch: Path, ids: list[str], records: list[dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return pictures of the model's variant and their lungs, uint8 (N, S, S), and their ids."""
    described = model.described
    variant, size = described["variant"], described["image"]["packed"]
    images = scratch / "images" / "images.json"
    known = {"cohort": MAIN, "patient_id": "", "label": ""}
    rows = [
        {**known, "image_id": one, "png": png.name, "sha256": file_hash(png)}
        for one, png in ((one, scratch / "images" / "png" / f"{one}.png") for one in ids)
    ]
    write_json(images, {"images": rows, "rejected": [], "failed": [], "problems": []})
    masks = []
    if records:
        masks = [scratch / "masks" / "masks.json"]
        write_json(masks[0], {"masks": records})
    full = None
    if variant["gray"] is not None:
        # The study's mean, as the description of one pixel: it comes out as it went in.
        full, gray = scratch / "full.json", variant["gray"]
        sums = {"sums": [gray], "squares": [gray], "crops": None, "sha256": ""}
        write_json(full, {"ids": ids[:1], "size": 1, **sums})
    packs = []
    for name, edge in ((variant["name"], variant["edge"]), (masks_of(variant["name"]), 0.0)):
        packs.append(scratch / f"{name}.json")
        gray_from = full if name == variant["name"] else None
        variants.pack(name, [images], masks, gray_from, packs[-1], size=size, edge=edge)
    array, lungs, about = variants.read_with_masks(*packs)
    return array, lungs, about["ids"]


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _batches(images: list[ImageFile]) -> Iterator[list[ImageFile]]:
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]
