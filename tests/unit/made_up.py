"""Predictions of models that were never trained, for tests of the tables made from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

THESIS = Path(__file__).resolve().parents[2] / "resources" / "thesis"
CLASSES = ["negative", "typical"]


def made_up(
    variant: str,
    curriculum: str,
    *,
    split: str = "test",
    seed: int = 0,
    right: float = 0.8,
    rows: int = 80,
    classes: Sequence[str] = CLASSES,
) -> pd.DataFrame:
    """Return one model's predictions on the same images for every model, right at a given rate."""
    images = np.random.default_rng(1)
    count = len(classes)
    label = images.integers(count, size=rows)
    view = np.where(images.random(rows) < 0.7, label % 2, 1 - label % 2)
    share = images.uniform(0.2, 0.3, size=rows)
    generator = np.random.default_rng([seed, *map(ord, variant + curriculum)])
    guess = np.where(generator.random(rows) < right, label, (label + 1) % count)
    sure = generator.uniform(0.5, 1, size=rows)
    chances = [np.where(guess == k, sure, (1 - sure) / (count - 1)) for k in range(count)]
    metadata = variant == "metadata"
    return pd.DataFrame(
        {
            "variant": variant,
            "curriculum": curriculum,
            "seed": seed,
            "image_id": [f"i{index}" for index in range(rows)],
            "patient_id": [f"p{index // 2}" for index in range(rows)],
            "split": split,
            "label": np.array(classes)[label],
            "predicted": np.array(classes)[guess],
            **{f"prob_{name}": chances[k] for k, name in enumerate(classes)},
            "view": np.array(["AP", "PA"])[view],
            "sex": np.where(np.arange(rows) // 2 % 3 == 0, "F", "M"),
            "age": 20.0 + np.arange(rows) // 2 % 60,
            "ail": np.nan if metadata else share + 0.1,
            "lung_share": np.nan if metadata else share,
            "mark_attention": np.nan,
            "mark_share": np.nan,
            "box_share": np.where(label == 1, 0.1, np.nan),
            "box_attention": np.where(label == 1, 0.3 * sure, np.nan),
            "box_hit": np.where(label == 1, guess == label, np.nan),
            **{
                name: np.nan if metadata else share + shift
                for name, shift in (
                    *(("ail_signed", 0.15), ("ail_stretched", 0.05), ("ail_centre", 0.02)),
                    *(("ail_contrast", 0.12), *((f"ail_of_{name}", 0.1) for name in classes)),
                )
            },
        }
    )


def made_up_untrained(
    variant: str, *, split: str = "test", networks: int = 3, rows: int = 80
) -> pd.DataFrame:
    """Return the attention of untrained networks on the images of :func:`made_up`."""
    images = made_up(variant, "scratch", split=split, rows=rows)
    kept = images[["variant", "image_id", "patient_id", "split", "label", "lung_share"]]
    shift = np.random.default_rng(5).uniform(0, 0.05, size=(networks, 2, rows))
    return pd.concat(
        kept.assign(
            network=number,
            ail=kept["lung_share"] + shift[number, 0],
            ail_contrast=kept["lung_share"] + shift[number, 1],
        )
        for number in range(networks)
    )


def made_up_curves(variant: str, curriculum: str, *, seed: int = 0, **more: Any) -> pd.DataFrame:
    """Return a model's areas under deletion and insertion curves on the images of ``made_up``."""
    images = made_up(variant, curriculum, seed=seed, **more)
    keys = ["variant", "curriculum", "seed", "image_id", "patient_id", "split", "label"]
    values = np.random.default_rng([seed, len(curriculum)])
    parts = []
    for shift, order in enumerate(("map", "contrast", "centre", "random")):
        part = images[[*keys, "predicted"]].assign(order=order)
        part["deletion"] = 0.4 + 0.1 * shift + 0.1 * values.random(len(part))
        parts.append(part.assign(insertion=1 - part["deletion"] + 0.05 * values.random(len(part))))
    return pd.concat(parts, ignore_index=True)
