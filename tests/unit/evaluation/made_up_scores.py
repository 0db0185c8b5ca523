"""Made-up predictions of single models, for the tests of measures and intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

CLASSES = ["negative", "typical", "indeterminate", "atypical"]


def made_up(
    rows: int, classes: list[str], *, seed: int = 0, skill: float = 1.0, per_patient: int = 1
) -> pd.DataFrame:
    """Return predictions whose scores carry ``skill`` logits of information about the label."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(len(classes), size=rows)
    logits = generator.normal(size=(rows, len(classes)))
    logits[np.arange(rows), labels] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "image_id": [f"i{index}" for index in range(rows)],
            "patient_id": [f"p{index // per_patient}" for index in range(rows)],
            "seed": 0,
            "label": np.array(classes)[labels],
            "predicted": np.array(classes)[probabilities.argmax(axis=1)],
        }
    )
    for index, name in enumerate(classes):
        table[f"prob_{name}"] = probabilities[:, index]
    return table
