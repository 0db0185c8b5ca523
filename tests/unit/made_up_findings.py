"""Predictions of several findings by models that were never trained, for tests of tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sscdl.finding_labels import write_label

# How many images show each; nobody shows the last.
SHARES = {"Edema": 0.4, "Effusion": 0.3, "Mass": 0.2, "Hernia": 0.0}


def made_up_findings(
    variant: str,
    curriculum: str,
    *,
    split: str = "test",
    seed: int = 0,
    skill: float = 1.0,
    rows: int = 120,
    shares: Mapping[str, float] = SHARES,
) -> pd.DataFrame:
    """Return one model's predictions on the same images for every model, two of each patient.

    Of each image, one finding in ten is unknown; the last three images say nothing of any.
    """
    images = np.random.default_rng(1)
    shown = images.random((rows, len(shares))) < list(shares.values())
    unknown = images.random(shown.shape) < 0.1
    labels = [
        write_label(
            [name for name, state in zip(shares, image, strict=True) if state == 1],
            [name for name, state in zip(shares, image, strict=True) if state == -1],
        )
        for image in np.where(unknown, -1, shown)
    ]
    labels[-3:] = ["", "", "?|".join(shares) + "?"]
    own = np.random.default_rng([seed, *map(ord, variant + curriculum + split)])
    chances = 1 / (1 + np.exp(own.normal(size=shown.shape) - skill * (2 * shown - 1)))
    numbers = np.arange(rows)
    return pd.DataFrame(
        {
            "variant": variant,
            "curriculum": curriculum,
            "seed": seed,
            "image_id": [f"i{number}" for number in numbers],
            "patient_id": [f"p{number // 2}" for number in numbers],
            "split": split,
            "label": labels,
            "predicted": np.array(list(shares))[chances.argmax(axis=1)],
            **{f"prob_{name}": chances[:, place] for place, name in enumerate(shares)},
            **{"view": "PA", "sex": "F", "age": 50.0, "ail": 0.4, "lung_share": 0.3},
        }
    )
