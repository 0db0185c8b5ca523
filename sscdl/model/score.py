"""How well an exported model does on another data set whose labels are known.

`predict_folder` writes what the model says; here it meets the labels.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from sscdl.archives.lookup import find_files
from sscdl.csv_rows import columns_of, read_rows
from sscdl.errors import InputError
from sscdl.evaluation import measures, metrics
from sscdl.tables.column_texts import INTERVALS
from sscdl.tables.details import accuracy_details
from sscdl.tables.files import write_table
from sscdl.tables.overview import NAN, mean_percent, score_model
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.model")
KNOWN = ("file", "label", "patient")
_NUMBERS = ("ail", "lung_share")


def score(predictions: Path, labels: Path, out: Path) -> pd.DataFrame:
    """Score a model's predictions on images that it was not made for, and write the table.

    Args:
        predictions: ``predictions.csv`` of `model predict`.
        labels: CSV with the columns ``file`` (found as :func:`sscdl.archives.lookup.find_files`
            does), ``label`` (a class of the model; empty: the image is left out) and ``patient``,
            whose images are drawn together (empty: a patient of its own).
        out: stem of the table's files (.csv, .md, .tex, .html).

    Returns:
        one row each for balanced accuracy, accuracy by class (percent), AUC, macro F1 ([0, 1]) and
        AIL with its floor (percent): ``measure, value, low, high`` (95 % interval over patients,
        where there is one) and ``n_images, n_patients``. Where all labels are one class, there is
        its accuracy alone: nothing has been told apart. ``attrs["unread"]`` is the number of
        labelled images that the model was given and has no prediction of.

    Raises:
        InputError: a file cannot be read, lacks a column, names a file twice, has a label that is
            no class of the model, or has no label of any image that has a prediction.
    """
    rows = _predictions(predictions)
    columns = [str(name) for name in rows]
    classes = [name.removeprefix("prob_") for name in columns if name.startswith("prob_")]
    known = _labels(labels)
    _check_labels(labels, {label for label, _ in known.values()} - {""}, classes)
    given, _ = find_files(known, list(rows.index))
    unread = [name for name, file in given.items() if rows.loc[file, "predicted"] == ""]
    for name in unread[:3]:
        LOGGER.warning("%s: is labelled, and has no prediction", name)
    rows = rows[rows["predicted"] != ""]
    found, reasons = find_files(known, list(rows.index))
    for name, reason in list(reasons.items())[:3]:
        LOGGER.info("%s: %s: %s", labels.name, name, reason)
    joined = rows.loc[list(found.values())].copy()
    joined["label"] = [known[name][0] for name in found]
    joined["patient_id"] = [known[name][1] or name for name in found]
    joined = joined[joined["label"] != ""]
    if joined.empty:
        raise InputError(
            f"{labels}: no image with a prediction has a label (the model's are "
            f"{', '.join(classes)}); check the columns file and label"
        )
    LOGGER.info(
        "%s scored; %d with a prediction but no label, %s without a prediction",
        many(len(joined), "image"), len(rows) - len(joined),
        many(len(reasons), "row of labels", "rows of labels"),
    )  # fmt: skip
    several = joined["label"].nunique() > 1
    table = _measures(joined.reset_index(names="image_id"))
    write_table(
        table,
        out,
        caption="The model on this data set.",
        notes=[
            INTERVALS,
            "Accuracies and attention inside the lungs (ail) in percent, AUC and F1 in [0, 1]. "
            "ail_floor: the lungs' share of the picture, what a uniform map would score. A blob in "
            "the middle or a network with random weights may score more: AIL above ail_floor alone "
            "shows no attention to the lungs.",
            f"Chance: {100 * metrics.chance(joined):.1f} % balanced accuracy, AUC 0.5."
            if several
            else f"All labels are {joined['label'].iloc[0]}: a score of one class is no accuracy.",
        ],
        digits={"value": 3, "low": 3, "high": 3},
    )
    table.attrs["unread"] = len(unread)
    return table


def _predictions(path: Path) -> pd.DataFrame:
    """Return a table of predictions by file; numbers are NaN where there are none."""
    names = columns_of(path, ("file", "predicted", *_NUMBERS))
    rows = pd.DataFrame((row for _, row in read_rows(path, names)), columns=names)
    for name in names:
        if name in _NUMBERS or name.startswith("prob_"):
            try:
                rows[name] = [float(text or "nan") for text in rows[name]]
            except ValueError:
                raise InputError(
                    f"{path}: column {name!r} holds texts that are no numbers with a decimal "
                    "point; give the file as `model predict` wrote it"
                ) from None
    return rows.set_index("file")


def _check_labels(path: Path, found: set[str], classes: list[str]) -> None:
    """Raise InputError if a label is none that the model knows."""
    if found - set(classes):
        raise InputError(
            f"{path}: the labels {', '.join(sorted(found - set(classes))[:5])} are no classes of "
            f"the model, which knows {', '.join(classes)} (labels there: "
            f"{', '.join(sorted(found)[:10])}); use the model's names, and leave the label of "
            "images empty that are not to be scored"
        )


def _labels(path: Path) -> dict[str, tuple[str, str]]:
    """Return label and patient of each file that a table of labels names."""
    known: dict[str, tuple[str, str]] = {}
    for line, row in read_rows(path, KNOWN, key="file"):
        if row["file"] in known:
            raise InputError(
                f"{path}, line {line}: {row['file']} is there twice; delete one of its rows"
            )
        known[row["file"]] = (row["label"], row["patient"])
    return known


def _measures(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table of measures of labelled predictions, as those of a study are measured."""
    rows = rows.assign(variant="", curriculum="model", split="scored", seed=0)
    found: dict[Any, Any] = accuracy_details(rows).iloc[0].to_dict()
    names = ["balanced_accuracy", *(n for n in found if n.startswith("accuracy_")), "auc", "f1"]
    if rows["label"].nunique() == 1:
        names = [f"accuracy_{rows['label'].iloc[0]}"]
    if rows["ail"].notna().any():
        score = score_model(rows, measures.mean_of("ail"))
        found |= {"ail": score["value"], "ail_low": score["low"], "ail_high": score["high"]}
        found["ail_floor"] = mean_percent(rows[rows["ail"].notna()], "lung_share")
        names += ["ail", "ail_floor"]
    table = [
        {
            "measure": name,
            "value": found[name],
            **{part: found.get(f"{name}_{part}", NAN) for part in ("low", "high")},
            "n_images": found["n_images"],
            "n_patients": found["n_patients"],
        }
        for name in names
    ]
    return pd.DataFrame(table)
