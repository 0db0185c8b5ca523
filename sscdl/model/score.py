"""How well an exported model does on another data set whose labels are known.

`predict_folder` writes what the model says; here it meets the labels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sscdl.archives.lookup import find_files
from sscdl.csv_rows import columns_of, plain_number, read_rows
from sscdl.errors import InputError
from sscdl.evaluation import metrics
from sscdl.evaluation.prediction_files import CALLED
from sscdl.model.score_findings import (
    CAPTION,
    DIGITS,
    NOTES,
    finding_table,
    label_of,
    scored_findings,
)
from sscdl.tables.column_texts import INTERVALS
from sscdl.tables.details import accuracy_details
from sscdl.tables.files import write_table
from sscdl.tables.overview import NAN, mean_percent, score_share
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.model")
_ABOUT = ("file", "patient")  # columns of labels that say of what
_NUMBERS = ("ail", "lung_share")


def score(predictions: Path, labels: Path, out: Path) -> pd.DataFrame:
    """Score a model's predictions on images that it was not made for, and write the table.

    Args:
        predictions: ``predictions.csv`` of `model predict`.
        labels: CSV with the columns ``file`` (found as :func:`sscdl.archives.lookup.find_files`
            does), ``patient``, whose images are drawn together (empty: a patient of its own), and
            ``label`` (a class of the model; empty: the image is left out); for a model of findings,
            in place of the last, a column of the name of each finding (1: shown, 0: not shown,
            empty: not known).
        out: stem of the table's files (.csv, .md, .tex, .html).

    Returns:
        one row each for balanced accuracy, accuracy by class (percent), AUC, macro F1 ([0, 1]) and
        AIL with its floor (percent): ``measure, value, low, high`` (95 % interval over patients,
        where there is one) and ``n_images, n_patients``. Where all labels are one class, there is
        its accuracy alone: nothing has been told apart. Of findings, what
        :func:`sscdl.model.score_findings.finding_table` returns. ``attrs["unread"]`` is the number
        of labelled images that the model was given and has no prediction of.

    Raises:
        InputError: a file cannot be read, lacks a column, names a file twice, has a label that the
            model does not know or that is none, or has none of any image that has a prediction.
    """
    rows, several = _predictions(predictions)
    names = [name.removeprefix("prob_") for name in map(str, rows) if name.startswith("prob_")]
    if several:
        names = scored_findings(labels, _ABOUT, names)
    known = _labels(labels, names if several else ["label"])
    if several:
        label = {file: label_of(labels, *known[file], names) for file in known}
    else:
        label = {file: row["label"] for file, (_, row) in known.items()}
        _check_labels(labels, set(label.values()) - {""}, names)
    given, _ = find_files(known, list(rows.index))
    unread = [name for name, file in given.items() if not rows.loc[file, "read"]]
    for name in unread[:3]:
        LOGGER.warning("%s: is labelled, and has no prediction", name)
    rows = rows[rows["read"]]
    found, reasons = find_files(known, list(rows.index))
    for name, reason in list(reasons.items())[:3]:
        LOGGER.info("%s: %s: %s", labels.name, name, reason)
    joined = rows.loc[list(found.values())].copy()
    joined["label"] = [label[name] for name in found]
    joined["patient_id"] = [known[name][1]["patient"] or name for name in found]
    joined = joined[joined["label"] != ""]
    if joined.empty:
        columns = "the columns of findings" if several else "label"
        raise InputError(
            f"{labels}: no image with a prediction has a label (the model's are "
            f"{', '.join(names)}); check the columns file and {columns}"
        )
    LOGGER.info(
        "%s scored; %d with a prediction but no label, %s without a prediction",
        many(len(joined), "image"), len(rows) - len(joined),
        many(len(reasons), "row of labels", "rows of labels"),
    )  # fmt: skip
    joined = joined.reset_index(names="image_id")
    if several:
        table = finding_table(joined, names)
        write_table(table, out, caption=CAPTION, notes=NOTES, digits=DIGITS)
    else:
        table = _measures(joined)
        _write(table, joined, out)
    table.attrs["unread"] = len(unread)
    return table


def _write(table: pd.DataFrame, rows: pd.DataFrame, out: Path) -> None:
    """Write the table of measures of predictions (``rows``) of one of several classes."""
    several = rows["label"].nunique() > 1
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
            f"Chance: {100 * metrics.chance(rows):.1f} % balanced accuracy, AUC 0.5."
            if several
            else f"All labels are {rows['label'].iloc[0]}: a score of one class is no accuracy.",
        ],
        digits={"value": 3, "low": 3, "high": 3},
    )


def _predictions(path: Path) -> tuple[pd.DataFrame, bool]:
    """Return a table of predictions by file, and whether they are of findings.

    Numbers are NaN where there are none; ``read`` says whether the file has a prediction.
    """
    names = columns_of(path, ("file",))
    several = "predicted" not in names and any(name.startswith(CALLED) for name in names)
    findings = [name.removeprefix(CALLED) for name in names if several and name.startswith(CALLED)]
    needed = [f"prob_{name}" for name in findings] if several else ["predicted", *_NUMBERS]
    names = columns_of(path, ("file", *needed))
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
        elif several and name.startswith(CALLED):
            rows[name] = [plain_number(text) for text in rows[name]]
            if not rows[name].isin(["1", "0", ""]).all():
                raise InputError(
                    f"{path}: column {name!r} holds what is neither 1, 0 nor empty; give the file "
                    "as `model predict` wrote it"
                )
    rows["read"] = rows[needed].notna().all(axis=1) if several else rows["predicted"] != ""
    return rows.set_index("file"), several


def _check_labels(path: Path, found: set[str], classes: list[str]) -> None:
    """Raise InputError if a label is none that the model knows."""
    if found - set(classes):
        raise InputError(
            f"{path}: the labels {', '.join(sorted(found - set(classes))[:5])} are no classes of "
            f"the model, which knows {', '.join(classes)} (labels there: "
            f"{', '.join(sorted(found)[:10])}); use the model's names, and leave the label of "
            "images empty that are not to be scored"
        )


def _labels(path: Path, columns: Sequence[str]) -> dict[str, tuple[int, dict[str, str]]]:
    """Return by file line and row of a table of labels: patient, and what ``columns`` say."""
    known: dict[str, tuple[int, dict[str, str]]] = {}
    for line, row in read_rows(path, (*_ABOUT, *columns), key="file"):
        if row["file"] in known:
            raise InputError(
                f"{path}, line {line}: {row['file']} is there twice; delete one of its rows"
            )
        known[row["file"]] = line, row
    return known


def _measures(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table of measures of labelled predictions, as those of a study are measured."""
    rows = rows.assign(variant="", curriculum="model", split="scored", seed=0)
    found: dict[Any, Any] = accuracy_details(rows).iloc[0].to_dict()
    names = ["balanced_accuracy", *(n for n in found if n.startswith("accuracy_")), "auc", "f1"]
    if rows["label"].nunique() == 1:
        names = [f"accuracy_{rows['label'].iloc[0]}"]
    if rows["ail"].notna().any():
        score = score_share(rows, "ail")
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
