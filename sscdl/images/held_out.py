"""The images that a study's models are tested on, and the columns that name them in predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from sscdl.archives.cohorts import NOT_REPORTED
from sscdl.errors import InputError
from sscdl.images.rows import select_rows


def read_images(images_csv: Path) -> pd.DataFrame:
    """Return the list of images, its ids and metadata as texts."""
    texts = dict.fromkeys(("patient_id", "image_id", "label", "sex", "age"), str)
    return pd.read_csv(images_csv, dtype=texts, keep_default_na=False)


def held_out(images: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return the images to test on: labelled, outside the training split, with a lung mask.

    Raises InputError if there is none.
    """
    tested = ~images["split"].isin(NOT_REPORTED) & (images["mask"] != "")
    found = images[tested & images["label"].isin(classes)].reset_index(drop=True)
    if found.empty:
        raise InputError("images.csv: no labelled image outside the training split to test on")
    return found


def check_trained_with(
    images_csv: Path, described: dict[str, Any], lineage: dict[str, Any], name: str
) -> None:
    """Raise InputError if a network was trained with another list of images than ``images_csv``.

    Its training images may then be among those of the test.

    Args:
        images_csv: the list of images.
        described: description of the pictures that the network was trained on.
        lineage: the network's.
        name: what the message calls it.
    """
    rows = select_rows(images_csv, described, lineage["recipe"]["data"])
    if rows.digest != lineage["data"]["rows"]:
        raise InputError(
            f"{images_csv}: is not the list of images that {name} was trained with: test images "
            "may have been trained on; delete the pointer and run again"
        )


def prediction_columns(
    tested: pd.DataFrame, chances: NDArray, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the columns of a prediction table that a model's probabilities (N, K) give."""
    return pd.DataFrame(
        {
            **{key: tested[key] for key in ("image_id", "patient_id", "split", "label")},
            "predicted": [classes[k] for k in chances.argmax(axis=1)],
            **{f"prob_{name}": chances[:, k].round(6) for k, name in enumerate(classes)},
            **{key: tested[key] for key in ("view", "sex", "age")},
        }
    )
