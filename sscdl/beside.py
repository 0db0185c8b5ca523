"""One study beside others: the same models, tested on the same images, trained in another way.

The protocol of the thesis chooses learning rates on the images that it reports; a study that does
so beside one that does not shows what that adds. In the same way a study with few labels, with
another backbone, or with other augmentation stands beside the one it departs from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from sscdl import metrics
from sscdl.comparisons import difference_to
from sscdl.errors import InputError
from sscdl.prediction_tables import INTERVALS, resamplings
from sscdl.results import read_predictions
from sscdl.table_files import write_table
from sscdl.tables import METADATA, models_in

COLUMNS = (
    *("variant", "curriculum", "study", "n_images", "n_patients", "n_seeds", "n_seeds_study"),
    *("balanced_accuracy", "balanced_accuracy_study", "difference", "difference_low"),
    *("difference_high", "chance"),
)
_BALANCED = metrics.mean_over_seeds(metrics.balanced_accuracy_statistic)


def beside(
    predictions: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    split: str,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the balanced accuracy of each model in this study and in others, in percent.

    Args:
        predictions: prediction table of this study.
        others: prediction tables of other studies, by name.
        split: the set of images to compare on; only images count that both studies tested.
        draws: resamplings of the patients.
        seed: of the resamplings.

    Returns:
        one row per model and other study that has it: ``variant, curriculum, study``, the images,
        patients and seeds of both, both balanced accuracies, ``difference`` (this study minus the
        other, percent points) with the 95 % interval of a paired bootstrap over patients, and
        ``chance``.

    Raises:
        InputError: another study tested none of this study's images.
    """
    here = dict(_models(predictions, split))
    table = []
    for study, rows in others.items():
        there = dict(_models(rows, split))
        pairs = [(name, here[name], there[name]) for name in here if name in there]
        if not any(set(a["image_id"]) & set(b["image_id"]) for _, a, b in pairs):
            raise InputError(
                f"results.beside: {study} tested none of the images of this study; both need the "
                "same data set, classes and split"
            )
        for (variant, curriculum), model, other in pairs:
            shared = set(model["image_id"]) & set(other["image_id"])
            model, other = (part[part["image_id"].isin(shared)] for part in (model, other))
            if model.empty:
                continue
            found = difference_to(model, other, draws=draws, seed=seed)
            table.append(
                {
                    "variant": variant,
                    "curriculum": curriculum,
                    "study": study,
                    "n_images": len(shared),
                    "n_patients": found["patients"],
                    "n_seeds": model["seed"].nunique(),
                    "n_seeds_study": other["seed"].nunique(),
                    "balanced_accuracy": 100 * metrics.evaluate(model, _BALANCED),
                    "balanced_accuracy_study": 100 * metrics.evaluate(other, _BALANCED),
                    "difference": found["value"],
                    "difference_low": found["low"],
                    "difference_high": found["high"],
                    "chance": 100 * metrics.chance(model["label"]),
                }
            )
    return pd.DataFrame(table, columns=list(COLUMNS))


def _models(rows: pd.DataFrame, split: str) -> Iterable[tuple[tuple[str, str], pd.DataFrame]]:
    """Return the models of images in a prediction table, and their labelled rows of ``split``."""
    kept = metrics.labelled(rows[(rows["split"] == split) & (rows["variant"] != METADATA)])
    return models_in(kept)


def write_beside(
    predictions: list[Path], others: dict[str, list[Path]], out: Path, *, split: str, draws: int
) -> None:
    """Write the table of :func:`beside` as CSV, Markdown and LaTeX from files of predictions."""
    rows = {study: read_predictions(files) for study, files in others.items()}
    write_table(
        beside(read_predictions(predictions), rows, split, draws=draws),
        out.with_suffix(""),
        caption="Balanced accuracy of the same models in other studies, in percent.",
        notes=[
            "balanced_accuracy is this study's, balanced_accuracy_study the other's, on the images "
            "that both tested. difference: this study minus the other, paired over patients.",
            f"Set of images: {split}.",
            INTERVALS,
            resamplings(draws),
        ],
    )
