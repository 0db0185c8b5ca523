"""One study beside others: the same models, tested on the same images, trained in another way.

The protocol of the thesis chooses learning rates on the images that it reports; a study that does
so beside one that does not shows what that adds. In the same way a study with few labels, with
another backbone, or with other augmentation stands beside the one it departs from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from sscdl.errors import InputError
from sscdl.evaluation import metrics
from sscdl.tables import comparisons
from sscdl.tables.column_texts import INTERVALS
from sscdl.tables.files import P_VALUES, write_table
from sscdl.tables.overview import models_in, of_images
from sscdl.tables.write import read_predictions
from sscdl.words import many

COLUMNS = tuple("study" if name == "against" else name for name in comparisons.COLUMNS)


def beside(
    predictions: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    split: str,
    *,
    margin: float = comparisons.MARGIN,
) -> pd.DataFrame:
    """Return the balanced accuracy of each model in this study and in others, in percent.

    Args:
        predictions: prediction table of this study.
        others: prediction tables of other studies, by name.
        split: the set of images to compare on; only images count that both studies tested.
        margin: the smallest difference that matters, in percent points.

    Returns:
        one row per model and other study that has it: the columns of
        :func:`sscdl.tables.comparisons.comparisons`, with ``study``, the other's name, in place of
        ``against``; ``difference`` is this study minus the other, and ``p_holm`` is corrected for
        all rows of the table.

    Raises:
        InputError: another study tested none of this study's images, or tells other classes
            apart, or gives images other labels.
    """
    here = dict(_models(predictions, split))
    lines = []
    for study, rows in others.items():
        there = dict(_models(rows, split))
        pairs = [
            (name, here[name], there[name])
            for name in here
            if name in there and here[name]["image_id"].isin(there[name]["image_id"]).any()
        ]
        for name, model, other in pairs:
            _check_alike(study, name, model, other)
        if not pairs:
            raise InputError(
                f"results.beside: {study} tested none of the images of this study; both need the "
                "same data set, classes and split"
            )
        lines += [
            {"variant": variant, "curriculum": curriculum, "study": study}
            | comparisons.compared(model, other, margin=margin)
            for (variant, curriculum), model, other in pairs
        ]
    return pd.DataFrame(comparisons.with_verdicts(lines), columns=list(COLUMNS))


def _check_alike(
    study: str, name: tuple[str, str], model: pd.DataFrame, other: pd.DataFrame
) -> None:
    """Raise InputError if another study's model of this name answers another question."""
    classes = [set(metrics.class_names(rows)) for rows in (model, other)]
    labels = [rows.groupby("image_id")["label"].first() for rows in (model, other)]
    both = pd.concat(labels, axis=1, join="inner")
    wrong = int((both.iloc[:, 0] != both.iloc[:, 1]).sum())
    if classes[0] != classes[1] or wrong:
        shared = many(len(both), "image")
        why = f"{wrong} of {shared} with another label" if wrong else "other classes"
        raise InputError(
            f"results.beside: {study} cannot be set beside this study ({why}, seen in "
            f"{name[1]} on {name[0]}); both need the same classes and labels"
        )


def _models(rows: pd.DataFrame, split: str) -> Iterable[tuple[tuple[str, str], pd.DataFrame]]:
    """Return the models of images in a prediction table, and their labelled rows of ``split``."""
    kept = metrics.labelled(of_images(rows, split))
    return models_in(kept)


def write_beside(
    predictions: list[Path], others: dict[str, list[Path]], out: Path, *, split: str, margin: float
) -> None:
    """Write the table of :func:`beside` as CSV, Markdown and LaTeX from files of predictions."""
    rows = {study: read_predictions(files) for study, files in others.items()}
    write_table(
        beside(read_predictions(predictions), rows, split, margin=margin),
        out.with_suffix(""),
        caption="Balanced accuracy of the same models in other studies, in percent.",
        notes=[
            "balanced_accuracy is this study's, balanced_accuracy_against the other's, on the "
            "images that both tested. difference: this study minus the other, in percent points, "
            "paired over patients. against: in the other study.",
            *comparisons.NOTES,
            f"Set of images: {split}.",
            INTERVALS,
        ],
        digits=P_VALUES,
    )
