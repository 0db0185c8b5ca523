"""Table of deletion and insertion curves: whether the models need what their maps show.

The conventions (percent, seeds, intervals) are those of :mod:`sscdl.tables.overview`; the curves
are those of :mod:`sscdl.evaluation.faithfulness`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from sscdl.evaluation import measures, metrics
from sscdl.tables.overview import NAN, models_in, score_model, score_share

CURVES = ("deletion", "insertion")
RANDOM = "random"


def faithfulness(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the areas under the curves of every model by the order of the pixels, in percent.

    Returns:
        one row per ``variant, curriculum`` and ``order`` (``map``, ``contrast``, ``centre``,
        ``random``): ``n_images``; ``deletion`` (the lower, the sooner the model misses what the
        order takes away first) with ``_std, _low, _high``, ``deletion_lift``, that minus the area
        of the random order, image by image, with ``_low, _high`` (empty for the random order
        itself); the same of ``insertion`` (the higher, the sooner it finds what it needs).
    """
    table = []
    rows = metrics.rows_where(predictions, predictions["split"] == split)
    for (variant, curriculum), group in models_in(rows):
        random = group[group["order"] == RANDOM].set_index(["seed", "image_id"])
        for order, part in group.groupby("order", sort=False):
            line: dict[str, Any] = {"variant": variant, "curriculum": curriculum, "order": order}
            line["n_images"] = part["image_id"].nunique()
            places = pd.MultiIndex.from_frame(part[["seed", "image_id"]])
            for curve in CURVES:
                found = score_share(part, curve)
                line[curve] = found.pop("value")
                line |= {f"{curve}_{key}": value for key, value in found.items()}
                line |= dict.fromkeys((f"{curve}_lift{end}" for end in ("", "_low", "_high")), NAN)
                if order == RANDOM:
                    continue
                above = part.assign(lift=part[curve] - random[curve].reindex(places).to_numpy())
                found = score_model(above, measures.mean_of("lift"))
                line[f"{curve}_lift"] = found["value"]
                line |= {f"{curve}_lift_{end}": found[end] for end in ("low", "high")}
            table.append(line)
    return pd.DataFrame(table)
