"""How well an exported model does on another data set whose labels are known.

`predict_folder` writes what the model says; here it meets the labels.
"""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath

import pandas as pd

from sscdl import metrics
from sscdl.errors import InputError
from sscdl.table_files import write_table
from sscdl.tables import score_model

LOGGER = logging.getLogger("sscdl.model")
NEEDED = ("file", "label")


def score(predictions: Path, labels: Path, out: Path, *, draws: int = 1000) -> pd.DataFrame:
    """Score a model's predictions on images that it was not made for, and write the table.

    Args:
        predictions: ``predictions.csv`` of `model predict`.
        labels: CSV with the columns ``file`` (the name of the image, with more or fewer folders
            before it than in the predictions, as long as it fits one image alone), ``label`` (a
            class of the model; others are left out) and, if known, ``patient``: whose images are
            drawn together.
        out: stem of the table's files (.csv, .md, .tex).
        draws: resamplings of the patients.

    Returns:
        one row each for balanced accuracy, accuracy by class (percent), AUC, macro F1 ([0, 1]) and
        AIL with its floor (percent): ``measure, value, low, high`` (95 % interval, bootstrap over
        patients, over images where patients are not known) and ``n_images, n_patients``.

    Raises:
        InputError: a file is missing, lacks a column, names a file twice, or has no label of any
            image that has a prediction.
    """
    rows = _read(predictions, ("file", "predicted"))
    known = _read(labels, NEEDED)
    rows = rows[rows["predicted"] != ""].copy()
    classes = [name.removeprefix("prob_") for name in rows if name.startswith("prob_")]
    joined = _join(rows, known, labels)
    other = joined.loc[~joined["label"].isin(classes), "label"]
    joined = joined[joined["label"].isin(classes)]
    if joined.empty:
        found = ", ".join(sorted(set(other))[:5]) or "none"
        raise InputError(
            f"{labels}: no image with a prediction has a label that the model knows "
            f"({', '.join(classes)}; found: {found}); use the model's names in the column label"
        )
    LOGGER.info(
        "%d images scored; %d with a prediction but no label, %d with a label of no class of the "
        "model, %d labels without a prediction",
        len(joined), len(rows) - len(joined) - len(other), len(other),
        len(known) - len(joined) - len(other),
    )  # fmt: skip
    table = _measures(joined, classes, draws)
    patients = "patients" if "patient" in known else "images, as patients are not known"
    write_table(
        table,
        out,
        caption="The model on this data set.",
        notes=[
            f"Intervals are 95 %, from a bootstrap over {patients}; resamplings: {draws}.",
            "Accuracies and attention inside the lungs (ail) in percent, AUC and F1 in [0, 1]. "
            "ail_floor: the lungs' share of the picture, what a uniform map would score.",
            f"Chance: {100 * metrics.chance(joined['label']):.1f} % balanced accuracy, AUC 0.5.",
        ],
        digits={"value": 3, "low": 3, "high": 3},
    )
    return table


def _read(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Return a CSV file as text, its columns checked."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a CSV file with the columns {needed}")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: cannot be read as CSV in UTF-8 ({error})") from None
    absent = [column for column in needed if column not in table]
    if absent:
        raise InputError(
            f"{path}: has no column {absent[0]} (found: {', '.join(table)}); rename or add it"
        )
    return table


def _join(rows: pd.DataFrame, known: pd.DataFrame, labels: Path) -> pd.DataFrame:
    """Return the predictions of files that a label is known of, with ``label`` and patient."""
    repeated = known.loc[known["file"].duplicated(), "file"]
    if len(repeated):
        raise InputError(f"{labels}: names {repeated.iloc[0]} twice; leave one row for each file")
    named: dict[str, list[tuple[str, int]]] = {}
    for row, file in enumerate(known["file"]):
        named.setdefault(PurePosixPath(file).name, []).append((f"/{file}", row))

    def find(file: str) -> int:
        fitting = [
            row
            for path, row in named.get(PurePosixPath(file).name, [])
            if path.endswith(f"/{file}") or f"/{file}".endswith(path)
        ]
        return fitting[0] if len(fitting) == 1 else -1

    found = rows["file"].map(find)
    taken = found[found >= 0]
    if taken.duplicated().any():
        file = rows.loc[taken.index[taken.duplicated()][0], "file"]
        raise InputError(
            f"{labels}: the row of {PurePosixPath(file).name} fits several images; write their "
            "folders too, as in predictions.csv"
        )
    joined = rows.loc[taken.index].copy()
    lines = known.iloc[taken.to_numpy()]
    joined["label"] = lines["label"].to_numpy()
    whose = lines["patient"] if "patient" in lines else lines["file"]
    # An empty cell says nothing: such an image counts as a patient of its own.
    joined["patient_id"] = whose.where(whose != "", lines["file"]).to_numpy()
    return joined


def _measures(rows: pd.DataFrame, classes: list[str], draws: int) -> pd.DataFrame:
    """Return the table of measures of labelled predictions."""
    numbers = [f"prob_{name}" for name in classes] + ["ail", "lung_share"]
    rows = rows.assign(seed=0, **{name: pd.to_numeric(rows[name]) for name in numbers})
    statistics = {"balanced_accuracy": (metrics.balanced_accuracy_statistic, 100.0)}
    for name in classes:
        if (rows["label"] == name).any():
            own = (rows["predicted"] == name).astype(float).where(rows["label"] == name)
            rows[f"right_{name}"] = own
            statistics[f"accuracy_{name}"] = (metrics.column_mean(f"right_{name}"), 100.0)
    statistics["auc"] = (metrics.auc_statistic, 1.0)
    statistics["f1"] = (metrics.macro_f1_statistic, 1.0)
    if rows["ail"].notna().any():
        statistics["ail"] = (metrics.column_mean("ail"), 100.0)
        statistics["ail_floor"] = (metrics.column_mean("lung_share"), 100.0)
    table = []
    for name, (statistic, scale) in statistics.items():
        found = score_model(rows, statistic, draws=draws, seed=0, scale=scale)
        table.append(
            {
                "measure": name,
                **{part: found[part] for part in ("value", "low", "high")},
                "n_images": len(rows),
                "n_patients": rows["patient_id"].nunique(),
            }
        )
    return pd.DataFrame(table)
