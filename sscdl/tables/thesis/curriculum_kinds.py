"""Curricula from easy to hard tasks and the other way round, as the related paper orders them.

The thesis's table 2.5 quotes Sirotkin et al., who train first on easy and then on hard tasks
(curriculum), the other way round (anti-curriculum) or in neither order (mixed), and give the gain
over the first task alone as delta. How hard a task is, is measured here: its loss after training on
it alone from random weights, over the loss of a network that knows nothing of the images. A task
whose loss stays near that was hard for this network on these images. For most tasks that is the
loss of guessing; others fall below guessing without an image being known, to their floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sscdl.evaluation import measures
from sscdl.evaluation.differences import compare
from sscdl.study.thesis import IMAGENET, VARIANTS, first_task, pretext_tasks
from sscdl.study.trie import SCRATCH
from sscdl.tables.comparisons import difference_columns
from sscdl.tables.overview import NAN, models_in, of_split, ordered, read_thesis, score_model
from sscdl.tables.rates import NOTHING
from sscdl.tasks.options import DECLARATIONS

CURRICULUM, ANTI, MIXED = "curriculum", "anti-curriculum", "mixed"
UNKNOWN = "unknown"  # how hard a task is that was not trained alone, or whose loss does not say
# Columns that say the difference to what, and the model that this is.
REFERENCES = ("delta", "to_imagenet", "to_scratch")
COLUMNS = (
    *("variant", "curriculum", "kind", "difficulty", "balanced_accuracy"),
    *("balanced_accuracy_std", "first_task", "delta", "delta_low", "delta_high"),
    *("to_imagenet", "to_imagenet_low", "to_imagenet_high"),
    *("to_scratch", "to_scratch_low", "to_scratch_high"),
    *("balanced_accuracy_thesis", "delta_thesis", "to_imagenet_thesis", "to_scratch_thesis"),
)


def difficulties(pointers: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """Return how hard each task is on each variant: by (variant, task), mean over seeds.

    It is the last loss over the loss of knowing nothing: 1 is no better than that. Where the record
    has a floor, it is the loss and the floor of the last epoch of training; else the loss of
    the validation images where there are any (protocol strict), or of training, over the loss of
    guessing. NaN where a loss is not finite, where images are not told apart so that the floor is
    nothing, and for a task whose loss says nothing of it.

    Args:
        pointers: of pretext stages that start from random weights.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for node in pointers:
        last = node["final"]["history"][-1]
        loss, nothing = last.get("val_loss", last["loss"]), last["chance"]
        if last.get("floor") is not None:
            # Only training records it, so that the loss has to be training's, too.
            loss, nothing = last["loss"], last["floor"]
        known = loss is not None and nothing > NOTHING * last["chance"]
        value = loss / nothing if known and DECLARATIONS[node["task"]].comparable else NAN
        found.setdefault((node["variant"], node["task"]), []).append(value)
    return {key: float(np.mean(values)) for key, values in found.items()}


def _joined(hard: Iterable[float]) -> str:
    """Return how hard the tasks of a curriculum are as one text, empty if that is known of none."""
    texts = [f"{value:.3f}" if math.isfinite(value) else UNKNOWN for value in hard]
    return " ".join(texts) if set(texts) - {UNKNOWN} else ""


def kind(tasks: Sequence[str], difficulty: Mapping[str, float]) -> str:
    """Return whether ``tasks`` go from easy to hard, from hard to easy, or neither (mixed).

    Empty for fewer than two tasks, and where it is not known how hard one of them is. Tasks that
    are equally hard go either way; all of them equal is mixed.
    """
    hard = [difficulty.get(task, NAN) for task in tasks]
    if len(hard) < 2 or not all(map(math.isfinite, hard)):
        return ""
    up = all(a <= b for a, b in zip(hard, hard[1:], strict=False))
    down = all(a >= b for a, b in zip(hard, hard[1:], strict=False))
    if up == down:
        return MIXED
    return CURRICULUM if up else ANTI


def curriculum_kinds(
    rows: pd.DataFrame,
    split: str,
    *,
    hardness: Mapping[tuple[str, str], float],
    thesis_dir: Path,
) -> pd.DataFrame:
    """Return every model's kind and what it gains over its first task, ImageNet and scratch.

    Args:
        rows: predictions.
        split: the reported set of images.
        hardness: how hard each task is, by (variant, task), as ``difficulties`` returns it.
        thesis_dir: folder of the thesis's tables.

    Returns:
        ``variant, curriculum, kind``; ``difficulty`` of its tasks in their order, joined by spaces
        (``unknown`` where the study has not trained one alone, or ``difficulties`` has NaN);
        ``balanced_accuracy`` (percent) with ``_std`` between seeds; ``first_task``; ``delta``, the
        gain over the first task alone, and ``to_imagenet`` and ``to_scratch`` in percent points,
        each with its interval ``_low, _high``, empty where the
        study has no such model; ``balanced_accuracy_thesis`` of table 4.14 and the three
        differences of its figures.
    """
    printed = read_thesis(thesis_dir, "4.14_accuracy_overview.csv").set_index("curriculum")
    groups = dict(models_in(of_split(rows, split)))
    table = []
    for variant in dict.fromkeys(v for v, _ in groups if v != "metadata"):
        models = {name: group for (of, name), group in groups.items() if of == variant}
        hard = {task: value for (of, task), value in hardness.items() if of == variant}
        known = printed[variant].to_dict() if variant in VARIANTS else {}
        for name in ordered(models, printed.index):
            tasks, first = pretext_tasks(name), first_task(name)
            score = score_model(models[name], measures.balanced_accuracy)
            line: dict[str, Any] = {
                "variant": variant,
                "curriculum": name,
                "kind": kind(tasks, hard),
                "difficulty": _joined(hard.get(task, NAN) for task in tasks),
                "balanced_accuracy": score["value"],
                "balanced_accuracy_std": score["std"],
                "first_task": first,
                "balanced_accuracy_thesis": known.get(name, NAN),
            }
            for column, other in zip(REFERENCES, (first, IMAGENET, SCRATCH), strict=True):
                if other == name:
                    continue
                line[f"{column}_thesis"] = known.get(name, NAN) - known.get(other, NAN)
                if other in models:
                    found = compare(models[name], models[other], measures.balanced_accuracy)
                    line |= difference_columns(found, column)
            table.append(line)
    return pd.DataFrame(table, columns=list(COLUMNS))


def means_by_kind(table: pd.DataFrame) -> list[str]:
    """Return a sentence for each variant: the mean delta of each kind of curriculum."""
    found = []
    for variant, part in table.groupby("variant", sort=False):
        means = [
            f"{name} {chosen.mean():+.2f} ({len(chosen)})"
            for name in (CURRICULUM, ANTI, MIXED)
            if len(chosen := part.loc[part["kind"] == name, "delta"].dropna())
        ]
        if means:
            found.append(
                f"Mean delta on {variant} (of how many models; no test was made of it): "
                f"{', '.join(means)}."
            )
    return found
