"""Where models look for each finding, in images that show it.

As :mod:`sscdl.tables.attention`, of the map of each finding. A sigmoid tells each finding from its
own logit, so that its map is that of what the model says, and no contrast is needed.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from sscdl.evaluation.prediction_files import OF_CLASS
from sscdl.tables.attention import inside_lungs
from sscdl.tables.findings.alone import by_model, each
from sscdl.tables.overview import image_models, models_in, parted

COLUMNS = (
    *("variant", "curriculum", "finding", "split", "n_images", "n_patients", "n_seeds"),
    *("undefined", "ail", "ail_std", "ail_low", "ail_high", "floor", "lift", "lift_low"),
    *("lift_high", "ail_centre", "lift_centre", "lift_centre_low", "lift_centre_high"),
    *("ail_random", "ail_random_std", "lift_random", "lift_random_low", "lift_random_high"),
)


def finding_attention(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return each model's attention inside the lungs for each finding, in percent.

    Args:
        predictions: those of the models, and with the column ``network`` those of the untrained
            networks (:mod:`sscdl.evaluation.untrained`).
        split: the images that count.

    Returns:
        for each model and finding that images show: ``variant, curriculum, finding, split``; the
        images and patients that show it (``n_images, n_patients``), ``n_seeds``; and of the map of
        that finding on these images ``undefined`` to ``lift_random_high``, as
        :func:`sscdl.tables.attention.attention` describes them. What is random is the map of one
        row of a network's random layer.

    Raises:
        InputError: no image model has rows of ``split``, or a variant's has none of untrained
            networks beside it.
    """
    predictions, untrained = parted(predictions)
    table = []
    for finding, known in each(image_models(predictions, split)):
        shown = known[known["label"] == finding]
        for (variant, curriculum), rows in models_in(shown):
            line: dict[str, Any] = {"variant": variant, "curriculum": curriculum}
            line |= {"finding": finding, "split": split}
            line["n_images"] = rows["image_id"].nunique()
            line["n_patients"] = rows["patient_id"].nunique()
            line["n_seeds"] = rows["seed"].nunique()
            looked = rows.assign(ail=rows[f"{OF_CLASS}{finding}"])
            table.append(line | inside_lungs(looked, untrained))
    return by_model(pd.DataFrame(table, columns=list(COLUMNS)))
