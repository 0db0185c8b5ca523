"""The images that a study's models are tested on, and the columns that name them in predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sscdl.archives.sides import NOT_TESTED
from sscdl.errors import InputError
from sscdl.finding_labels import known
from sscdl.images.rows import select_rows
from sscdl.images.vouched import check_list, read_list_description


def read_images(images_csv: Path) -> pd.DataFrame:
    """Return the list of images, its ids and metadata as texts.

    Raises InputError if it is not what was written.
    """
    read_list_description(images_csv)
    texts = dict.fromkeys(("patient_id", "image_id", "label", "sex", "age"), str)
    return pd.read_csv(images_csv, dtype=texts, keep_default_na=False)


def read_as_texts(images_csv: Path) -> pd.DataFrame:
    """Return the list of images, every cell as a text, '' where it is empty.

    Raises InputError if it is not what was written.
    """
    read_list_description(images_csv)
    return pd.read_csv(images_csv, dtype=str, keep_default_na=False)


def held_out(
    images: pd.DataFrame, classes: Sequence[str], *, several: bool = False
) -> pd.DataFrame:
    """Return the images to test on: labelled, outside the training split, with a lung mask.

    With ``several`` the classes are findings, and images of which any of them is known are
    labelled. Raises InputError if there is none.
    """
    tested = ~images["split"].isin(NOT_TESTED) & (images["mask"] != "")
    if several:
        labelled = images["label"].map(lambda label: known(label, classes)).astype(bool)
    else:
        labelled = images["label"].isin(classes)
    found = images[tested & labelled].reset_index(drop=True)
    if found.empty:
        raise InputError("images.csv: no labelled image outside the training split to test on")
    return found


def check_trained_with(
    images_csv: Path, described: dict[str, Any], lineage: dict[str, Any], name: str
) -> None:
    """Raise InputError if a network was trained with another list of images than ``images_csv``.

    Its training images may then be among those of the test. So it is, too, if the list is not the
    one that was made of the pictures.

    Args:
        images_csv: the list of images.
        described: description of the pictures that the network was trained on.
        lineage: the network's.
        name: what the message calls it.
    """
    data = lineage["recipe"]["data"]
    check_list(images_csv, described, data)
    if select_rows(images_csv, described, data).digest != lineage["data"]["rows"]:
        raise InputError(
            f"{name}: was trained with another list of images than {images_csv}, so that test "
            "images may be among those; the list and its pictures are whole: what was trained is "
            f"wrong. Delete objects/{lineage['object']} in the store and run the same command "
            "again: it is trained again"
        )


def as_written(chances: NDArray[Any]) -> NDArray[np.float64]:
    """Return probabilities of findings as tables have them, with twelve significant digits.

    They are ranked and compared with thresholds, and those of rare findings may all be near 0.
    """
    return np.vectorize(lambda chance: float(f"{chance:.12g}"), otypes=[float])(chances)


def prediction_columns(
    tested: pd.DataFrame, chances: NDArray[Any], classes: Sequence[str], *, several: bool = False
) -> pd.DataFrame:
    """Return the columns of a prediction table that a model's probabilities (N, K) give.

    Those of ``several`` findings are rounded by :func:`as_written`.
    """
    chances = as_written(chances) if several else chances.round(6)
    return pd.DataFrame(
        {
            **{key: tested[key] for key in ("image_id", "patient_id", "split", "label")},
            "predicted": [classes[k] for k in chances.argmax(axis=1)],
            **{f"prob_{name}": chances[:, k] for k, name in enumerate(classes)},
            **{key: tested[key] for key in ("view", "sex", "age")},
        }
    )
