"""Baselines that never see an image: the label predicted from view position, sex and age alone.

A model that is no better than these may have learned how a radiograph was taken, and of whom,
instead of what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from sscdl.archives.sides import NOT_TESTED
from sscdl.errors import InputError
from sscdl.images.held_out import held_out, read_images
from sscdl.images.imagelist import write_csv
from sscdl.images.rows import select_rows

CATEGORICAL = ("view", "sex")
FEATURES = (*CATEGORICAL, "age")
ATTENTION_COLUMNS = (
    "ail",
    "lung_share",
    "mark_attention",
    "mark_share",
    "box_attention",
    "box_share",
)
METADATA_FEATURES = (["view"], ["view", "sex", "age"])
_MISSING = "missing"


def _categories(images: pd.DataFrame, feature: str) -> NDArray[np.object_]:
    values = images[feature].astype(object).where(images[feature].notna(), _MISSING)
    return values.replace("", _MISSING).astype(str).to_numpy(dtype=object)[:, None]


def _ages(images: pd.DataFrame) -> NDArray[np.float64]:
    try:
        return pd.to_numeric(images["age"].replace("", np.nan)).to_numpy(dtype=float)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"images: column age holds something that is not a number of years ({error}); "
            "write plain numbers or leave the cell empty"
        ) from error


def _encode(
    train: pd.DataFrame, others: pd.DataFrame, features: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return design matrices of both tables; categories and scaling come from ``train`` alone."""
    columns: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for feature in features:
        if feature in CATEGORICAL:
            encoder = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
            fitted = encoder.fit_transform(_categories(train, feature))
            columns.append((fitted, encoder.transform(_categories(others, feature))))
            continue
        known = _ages(train)
        defined = known[np.isfinite(known)]
        mean = defined.mean() if len(defined) else 0.0
        spread = (defined.std() if len(defined) else 0.0) or 1.0
        pair = []
        for years in (known, _ages(others)):
            present = np.isfinite(years)
            scaled = np.where(present, (years - mean) / spread, 0.0)
            pair.append(np.stack([scaled, ~present], axis=1).astype(float))
        columns.append((pair[0], pair[1]))
    return np.hstack([a for a, _ in columns]), np.hstack([b for _, b in columns])


def metadata_predictions(
    images: pd.DataFrame,
    classes: Sequence[str],
    *,
    features: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    """Return predictions of a logistic regression on metadata, as a prediction table.

    It is fitted on the rows of split ``train`` with a label among ``classes``, classes weighted to
    count the same, and predicts every row of the reported splits. View and sex are one-hot (missing
    is a category; one unseen in training is all zeros), age is standardised beside a missing
    indicator.

    Args:
        images: columns ``image_id, patient_id, split, label`` and those in ``features``; ``age`` in
            years.
        classes: class names, in the order of the ``prob_`` columns.
        features: any of ``view``, ``sex``, ``age``.
        seed: goes into the column ``seed`` only; the fit is convex and has one solution.

    Returns:
        one row per image with ``variant`` = ``metadata``, ``curriculum`` = ``metadata:`` and the
        features joined with ``+``, and NaN in the columns about attention.

    Raises:
        InputError: unknown feature, missing column, or fewer than two classes among the training
            rows.
    """
    unknown = [feature for feature in features if feature not in FEATURES]
    if unknown or not features:
        raise InputError(
            f"baselines: features must be some of {', '.join(FEATURES)}, got {list(features)}"
        )
    absent = {"image_id", "patient_id", "split", "label", *features} - set(images.columns)
    if absent:
        raise InputError(f"images: columns {sorted(absent)} are missing for the metadata baseline")
    is_train = images["split"] == "train"
    train = images[is_train & images["label"].isin(list(classes))]
    others = images[~images["split"].isin(NOT_TESTED)]
    if train["label"].nunique() < 2:
        raise InputError(
            "images: the training split has labels of fewer than two of the classes "
            f"{', '.join(classes)}; a metadata baseline needs at least two"
        )
    probabilities = np.zeros((len(others), len(classes)))
    # scikit-learn refuses tables without rows, but such a split must still give the right columns.
    if len(others):
        known, asked = _encode(train, others, features)
        model = LogisticRegression(class_weight="balanced", max_iter=1000)
        model.fit(known, train["label"].to_numpy(dtype=object))
        where = [list(classes).index(name) for name in model.classes_]
        probabilities[:, where] = model.predict_proba(asked)
    result = pd.DataFrame(
        {
            "variant": "metadata",
            "curriculum": "metadata:" + "+".join(features),
            "seed": seed,
            "image_id": others["image_id"].to_numpy(),
            "patient_id": others["patient_id"].to_numpy(),
            "split": others["split"].to_numpy(),
            "label": others["label"].to_numpy(),
            "predicted": np.array(classes, dtype=object)[probabilities.argmax(axis=1)],
        }
    )
    for index, name in enumerate(classes):
        result[f"prob_{name}"] = probabilities[:, index]
    for column in CATEGORICAL:
        result[column] = others[column].fillna("").to_numpy() if column in others else ""
    result["age"] = _ages(others) if "age" in others else np.nan
    for column in ATTENTION_COLUMNS:
        result[column] = np.nan
    return result


def write_metadata_predictions(images_csv: Path, out: Path, *, data: dict[str, Any]) -> None:
    """Write the predictions of classifiers that see only view, or view, sex and age.

    They learn from the images that image models learn from, and predict those that they predict:
    labelled, and with lungs found. ``data`` is the classifier's data recipe.
    """
    images, classes = read_images(images_csv), data["classes"]
    masked = images[images["mask"] != ""]
    described = {"ids": list(masked["image_id"]), "sha256": ""}
    chosen = select_rows(images_csv, described, data | {"validate": None}).train
    images = pd.concat([masked.iloc[chosen], held_out(images, classes)])
    parts = [
        metadata_predictions(images, classes, features=features, seed=0)
        for features in METADATA_FEATURES
    ]
    write_csv(pd.concat(parts, ignore_index=True), out)
