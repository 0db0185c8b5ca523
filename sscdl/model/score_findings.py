"""How well a model of findings does on another data set: labels of each finding, and scores."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from sscdl.csv_rows import columns_of, plain_number
from sscdl.errors import InputError
from sscdl.evaluation.finding_measures import states
from sscdl.evaluation.measures import mean_of
from sscdl.evaluation.prediction_files import CALLED
from sscdl.finding_labels import NEGATIVE, POSITIVE, write_label
from sscdl.tables.findings.scores import finding_scores
from sscdl.tables.overview import score_model
from sscdl.tables.predictions import PREDICTION_TABLES

LOGGER = logging.getLogger("sscdl.model")
_SIDES = {"sensitivity": POSITIVE, "specificity": NEGATIVE}  # whose images tell it
_SHARES = tuple(
    f"{name}{part}" for name in ("auc", "average_precision") for part in ("", "_low", "_high")
)
_COLUMNS = (
    *("finding", "n_findings", "n_images", "n_patients", "n_positive", "n_positive_patients"),
    *(*_SHARES, "average_precision_chance"),
    *(f"{name}{part}" for name in _SIDES for part in ("", "_low", "_high")),
)
CAPTION = "The model on this data set: how well it tells each finding, and all of them on average."
NOTES = (
    *PREDICTION_TABLES["finding_scores"].notes,
    "AUC and average precision in [0, 1]. sensitivity, specificity: percent of the images that "
    "show the finding, and of those that do not, of which the model says so, at the thresholds "
    "that were chosen when it was exported.",
)
DIGITS = dict.fromkeys((*_SHARES, "average_precision_chance"), 3)


def scored_findings(labels: Path, known: Sequence[str], findings: Sequence[str]) -> list[str]:
    """Return the ``findings`` that a table of labels has a column for, and name all others.

    ``known`` are its columns that are about no finding. Raises InputError if there is none.
    """
    names = columns_of(labels, known)
    scored = [name for name in findings if name in names]
    others = [name for name in names if name not in (*known, *findings)]
    if not scored:
        raise InputError(
            f"{labels}: has a column for none of the model's findings, {', '.join(findings)} "
            f"(columns there: {', '.join(names[:10])}); name its columns as the model does"
        )
    for name in findings:
        if name not in scored:
            LOGGER.warning("%s: has no column in %s and is not scored", name, labels.name)
    if others:
        LOGGER.info("%s: no findings of the model: %s", labels.name, ", ".join(others))
    return scored


def label_of(path: Path, line: int, row: Mapping[str, str], findings: Sequence[str]) -> str:
    """Return the label of an image by its row of a table of labels, '' if nothing is known.

    Raises InputError for a cell that is neither 1, 0 nor empty.
    """
    told = {name: plain_number(row[name]) for name in findings}
    for name, text in told.items():
        if text not in ("1", "0", ""):
            raise InputError(
                f"{path}, line {line}, column {name}: {row[name]!r} is neither 1 (shown) nor 0 "
                "(not shown); leave the cell empty if it is not known"
            )
    if not any(told.values()):
        return ""
    return write_label(
        [name for name in findings if told[name] == "1"],
        [name for name in findings if not told[name]],
    )


def finding_table(rows: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
    """Return the scores of predictions whose ``label`` says something of ``findings``.

    One row for the mean and one each: what :func:`sscdl.tables.findings.scores.finding_scores` says
    of one model, and ``sensitivity`` and ``specificity`` of what was called, in percent, with
    ``_low, _high``. These are empty where a finding has no threshold or no image is of that side,
    and of the mean, as what different thresholds cost is no one quantity.
    """
    kept = ["image_id", "patient_id", "label", *(f"prob_{name}" for name in findings)]
    told = rows[kept].assign(variant="", curriculum="model", split="scored", seed=0)
    table = finding_scores(told, "scored").reindex(columns=list(_COLUMNS)).set_index("finding")
    untold = set(table.index[table["n_findings"] == 0])
    shown = states(rows["label"], findings)
    for name, state in zip(findings, shown.T, strict=True):
        if name in untold:
            LOGGER.warning(
                "%s: fewer than two patients show it, or do not: it has no AUC and no average "
                "precision",
                name,
            )
        called = rows[f"{CALLED}{name}"]
        for measure, side in _SIDES.items():
            right = (called == str(side)).where(called != "").astype(float)
            of_side = told.assign(right=right)[state == side]
            found = score_model(of_side, mean_of("right", bounded=True))
            columns = [measure, f"{measure}_low", f"{measure}_high"]
            table.loc[name, columns] = [found[part] for part in ("value", "low", "high")]
    return table.reset_index()
