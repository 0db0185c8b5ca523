"""What a study's file of predictions says of a model: its scores, and from where findings are.

The file must be of this very model: else its card would praise another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sscdl.errors import InputError
from sscdl.evaluation import measures
from sscdl.evaluation.classifier import CamNetwork
from sscdl.evaluation.finding_measures import mean_over, states, told
from sscdl.finding_labels import POSITIVE, UNKNOWN
from sscdl.images.variants import read_pack
from sscdl.tables.findings.scores import MEAN
from sscdl.tables.operating_points import VALIDATION, best_threshold

# Columns of predictions: what scores in attention inside the lungs without having learnt anything.
BASELINES = ("lung_share", "ail_centre")
_COMPARED = 16  # predictions that a model must reproduce before they are taken for its own
_CLOSE = 1e-4  # predictions have six decimals, and other processors round elsewhere
_CLOSE_LOGITS = 1e-2  # of findings: those of rare ones are all near 0, whatever the model


def read_predictions(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Return a study's predictions of the classes or findings ``names``.

    Raises InputError if the file cannot be read or is none of them.
    """
    columns = chance_columns(names)
    # Thresholds are some of the probabilities: as texts, these lose no digit while they are read.
    texts = ("patient_id", "image_id", "label", "predicted", *columns)
    try:
        table = pd.read_csv(
            path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=[""]
        )
    except (OSError, ValueError) as error:
        raise InputError(f"--predictions {path}: cannot be read ({error})") from None
    whole = {"image_id", "patient_id", "split", "label", *columns} <= set(table.columns)
    try:
        table = table.astype(dict.fromkeys(columns, float)) if whole else table
    except ValueError:
        whole = False
    if not whole or table.empty or table[columns].isna().any(axis=None):
        raise InputError(
            f"--predictions {path}: has no predictions of {', '.join(names)}; give the model's "
            "file in results/<study>/predictions"
        )
    return table


def chance_columns(names: Sequence[str]) -> list[str]:
    """Return the columns with the probabilities of classes or findings."""
    return [f"prob_{name}" for name in names]


def check_made_by(model: CamNetwork, table: pd.DataFrame, path: Path, pack: Path) -> None:
    """Raise InputError unless the ``model`` predicts what the ``table`` says, which is ``path``'s.

    ``pack`` describes the pictures that it was trained on.
    """
    array, described = read_pack(pack)
    row_of = {image_id: row for row, image_id in enumerate(described["ids"])}
    first = table.head(_COMPARED)
    alike = all(image_id in row_of for image_id in first["image_id"])
    if alike:
        chances, _ = model(torch.from_numpy(array[[row_of[i] for i in first["image_id"]]]))
        given = first[chance_columns(model.classes)].to_numpy(float)
        # The slope of the sigmoid turns what logits may differ by into what probabilities may.
        slack = 1e-9 + _CLOSE_LOGITS * given * (1 - given) if model.several else _CLOSE
        alike = bool((abs(chances.cpu().numpy() - given) < slack).all())
    if not alike:
        raise InputError(
            f"--predictions {path}: are not those of this model; give the file of its variant, "
            "curriculum and seed" + ("" if model.several else ", or leave the option out")
        )


def scores_of_classes(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the scores of predicted classes by split, those that are defined."""
    found = {}
    for split, part in table.groupby("split"):
        scores = {
            "images": len(part),
            "balanced_accuracy": measures.value(part, measures.balanced_accuracy),
            "auc": measures.value(part, measures.auc),
            **{
                name: float(part[name].mean()) if name in part else float("nan")
                for name in ("ail", *BASELINES)
            },
        }
        found[str(split)] = _defined(scores)
    return found


def scores_of_findings(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return by split the number of ``images`` and ``auc``: of each finding, and their mean.

    Findings that fewer than two patients of a split show, or do not, have none there.
    """
    found = {}
    for split, part in table.groupby("split"):
        names = told(part)
        groups = {MEAN: names, **{name: [name] for name in names}}
        auc = {
            name: measures.value(part, mean_over(group, measures.one_auc))
            for name, group in groups.items()
        }
        found[str(split)] = {"images": len(part), "auc": _defined(auc)}
    return found


def _defined(scores: dict[str, float]) -> dict[str, float]:
    """Return the scores that are defined, rounded: JSON has no NaN."""
    return {name: round(value, 4) for name, value in scores.items() if value == value}


def choose_thresholds(
    table: pd.DataFrame, findings: Sequence[str], rule: str, reported: str
) -> dict[str, Any]:
    """Return from which probability on each finding is called, and how that was chosen.

    Args:
        table: the model's predictions.
        findings: the model's, in order.
        rule: one of :data:`sscdl.tables.operating_points.RULES`.
        reported: the split on which thresholds are chosen where there are no validation images.

    Returns:
        ``rule``; ``chosen_on``, the split; ``values``, the threshold of each finding, None for one
        that all images of which it is known show there, or none does; and ``images``, of each
        finding how many images show it there, and how many do not.
    """
    chosen_on = VALIDATION if (table["split"] == VALIDATION).any() else reported
    rows = table[table["split"] == chosen_on]
    values: dict[str, float | None] = {}
    images = {}
    for name, state in zip(findings, states(rows["label"], findings).T, strict=True):
        known = state != UNKNOWN
        shown = state[known] == POSITIVE
        images[name] = [int(shown.sum()), int((~shown).sum())]
        found = best_threshold(rows[f"prob_{name}"].to_numpy(float)[known], shown, rule)
        values[name] = found if np.isfinite(found) else None
    return {"rule": rule, "chosen_on": chosen_on, "values": values, "images": images}
