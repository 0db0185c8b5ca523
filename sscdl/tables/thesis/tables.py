"""The thesis's tables by number of pretext tasks (4.8 to 4.13), of all rates (B) and naive runs.

Each has the rows of the thesis's table that the study has, in its order, then the study's own
curricula of as many tasks; its columns; and beside them, ending in ``_thesis``, what is printed.
Accuracies come from predictions, learning rates and losses from the pointers of the stages. The
tables' conventions (percent, seeds, intervals) are those of :mod:`sscdl.tables.overview`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sscdl.evaluation import measures, metrics
from sscdl.study.thesis import FOUR_CLASSES, THESIS_TABLES, pretext_tasks
from sscdl.tables.overview import NAN, models_in, ordered, read_thesis, score_model
from sscdl.tables.predictions import CONCLUSIONS, SAME_VALUE

# Cells of the tables that predictions cannot tell.
FROM_POINTERS = ("lr", "best_lr", "batch_size", "kind", "difficulty")

EPOCHS = "The thesis's table 4.3 says 170 epochs of classification; its text and tables, 70 + 80."
_STEP = "The thesis calls the step of its six learning rates 0.058; they are 0.048 apart."
_LAST = (
    "In 11 of the thesis's 48 models the value after 150 epochs is below that of the same run "
    "after 70, {} of them in this table: it prints the last epoch, not the best."
)
_NAIVE = ("The thesis does not give the epochs of these runs.",)
# Where the thesis contradicts itself, by table; what is printed stays as it is.
CONTRADICTIONS: dict[str, tuple[str, ...]] = {
    "4.4_naive_half_batch_full": (
        "The thesis prints a batch size of 16 where nothing is pretrained, which is a quarter of "
        "the 64 that it states for classification, not half.",
        *_NAIVE,
    ),
    "4.5_naive_full": _NAIVE,
    "4.6_naive_segmented_black": (
        "The thesis prints 7.944 for imagenet twice, indeterminate and atypical: no share of 101 "
        "atypical images.",
        *_NAIVE,
    ),
    "4.7_naive_segmented_gray": _NAIVE,
    "4.8_summary_full": (
        "The thesis gives swav 83.97 and rotation 84.72 here and in B.2, and the reverse in 4.14.",
        "The text speaks of the six learning rates here; 0.039, 0.068 and 0.155 are of the eleven.",
        CONCLUSIONS,
        EPOCHS,
    ),
    "4.9_summary_segmented_black": (SAME_VALUE, CONCLUSIONS, EPOCHS),
    "4.10_summary_full": (EPOCHS,),
    "4.11_summary_segmented_black": (SAME_VALUE, EPOCHS),
    "4.12_summary_full": (
        "The thesis gives moco+swav+rotation 85.67 and moco+swav+relloc 83.74 here; the reverse in "
        "4.14, in B.10 and in its conclusions.",
        EPOCHS,
    ),
    "4.13_summary_segmented_black": (
        "The thesis gives moco+swav+rotation 84.67 and moco+swav+relloc 84.71 here, the reverse "
        "in 4.14 and B.12.",
        EPOCHS,
    ),
    "B.2_classification_1task_full": (_LAST.format(1), EPOCHS),
    "B.3_pretext_1task_segmented_black": (_STEP,),
    "B.4_classification_1task_segmented_black": (SAME_VALUE, _STEP, EPOCHS),
    "B.5_pretext_2tasks_full": (
        "The thesis prints 9.823 for moco+swav at 0.039, beside 7.934 and 7.769 at its neighbours.",
    ),
    "B.6_classification_2tasks_full": (_LAST.format(2), _STEP, EPOCHS),
    "B.7_pretext_2tasks_segmented_black": (_STEP,),
    "B.8_classification_2tasks_segmented_black": (_LAST.format(6), SAME_VALUE, _STEP, EPOCHS),
    "B.9_pretext_3tasks_full": (_STEP,),
    "B.10_classification_3tasks_full": (_LAST.format(1), _STEP, EPOCHS),
    "B.11_pretext_3tasks_segmented_black": (_STEP,),
    "B.12_classification_3tasks_segmented_black": (_LAST.format(1), _STEP, EPOCHS),
}


def chosen_rates(runs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    """Return the classifier's learning rate of each (variant, curriculum).

    A number, or, where the seeds chose differently, a text such as ``0.01 / 0.058``.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        if run["stage"] == "classification" and run["final"]:
            found.setdefault((run["variant"], run["curriculum"]), []).append(run["lr"])
    return {model: _joined(rates) for model, rates in found.items()}


def _joined(rates: list[float]) -> Any:
    different = sorted(set(rates))
    if len(different) < 2:
        return different[0] if different else NAN
    return " / ".join(f"{rate:g}" for rate in different)


def _with_thesis(
    line: Mapping[str, Any], printed: pd.DataFrame, key: Any, columns: Sequence[str]
) -> dict[str, Any]:
    """Return ``line`` with what the thesis prints for each of ``columns`` in the row ``key``."""
    known = key in printed.index
    theirs = {f"{name}_thesis": printed.loc[key, name] if known else NAN for name in columns}
    return {**line, **theirs}


def _models(rows: pd.DataFrame, name: str, split: str) -> dict[str, pd.DataFrame]:
    """Return the predictions of the models that belong into the table ``name``, by curriculum."""
    table = THESIS_TABLES[name]
    chosen = rows[(rows["split"] == split) & (rows["variant"] == table.variant)]
    return {
        curriculum: group
        for (_, curriculum), group in models_in(metrics.labelled(chosen))
        if len(pretext_tasks(curriculum)) in table.tasks
    }


def summary(
    rows: pd.DataFrame,
    name: str,
    split: str,
    *,
    rates: Mapping[tuple[str, str], Any],
    thesis_dir: Path,
) -> pd.DataFrame:
    """Return one of the tables 4.8 to 4.13: chosen learning rate and accuracy of the classifiers.

    Args:
        rows: predictions.
        name: file name of the thesis's table, without suffix.
        split: the reported set of images.
        rates: learning rate of the classifier by (variant, curriculum).
        thesis_dir: folder of the thesis's tables.

    Returns:
        ``curriculum, best_lr, accuracy`` (balanced, percent), the last two with ``_thesis``, then
        ``accuracy_std, _low, _high``.
    """
    printed = read_thesis(thesis_dir, f"{name}.csv")
    models, lines = _models(rows, name, split), []
    for curriculum in ordered(models, printed["curriculum"]):
        score = score_model(models[curriculum], measures.balanced_accuracy)
        line = {
            "curriculum": curriculum,
            "best_lr": rates.get((THESIS_TABLES[name].variant, curriculum), NAN),
            "accuracy": score.pop("value"),
        }
        known = printed.set_index("curriculum")
        line = _with_thesis(line, known, curriculum, ["best_lr", "accuracy"])
        lines.append(line | {f"accuracy_{part}": value for part, value in score.items()})
    return pd.DataFrame(lines)


def naive(
    rows: pd.DataFrame,
    name: str,
    split: str,
    *,
    rates: Mapping[tuple[str, str], Any],
    batches: Mapping[str, int],
    thesis_dir: Path,
) -> pd.DataFrame:
    """Return one of the tables 4.4 to 4.7: accuracy by class, four classes, one learning rate.

    ``batches`` has the batch size of every pretext task and of ``classify``; table 4.4 shows that
    of the pretext task, or of the classifier where there is none. The other arguments are those of
    ``summary``.

    Returns:
        ``pretraining, lr``, for 4.4 ``batch_size``, ``negative, typical, indeterminate, atypical,
        mean``; all but the first with ``_thesis``; then ``mean_std, _low, _high`` and ``chance``.
    """
    printed = read_thesis(thesis_dir, f"{name}.csv")
    known = printed.set_index("pretraining")
    models, lines = _models(rows, name, split), []
    for curriculum in ordered(models, printed["pretraining"]):
        group, tasks = models[curriculum], pretext_tasks(curriculum)
        score = score_model(group, measures.balanced_accuracy)
        line = {
            "pretraining": curriculum,
            "lr": rates.get((THESIS_TABLES[name].variant, curriculum), NAN),
        }
        if "batch_size" in known:
            line["batch_size"] = batches.get(tasks[-1] if tasks else "classify", NAN)
        recalls = [
            metrics.per_class_accuracy(
                metrics.confusion_matrix(part["label"], part["predicted"], FOUR_CLASSES)
            )
            for _, part in group.groupby("seed")
        ]
        by_class = 100 * np.mean(recalls, axis=0)
        line |= {label: float(v) for label, v in zip(FOUR_CLASSES, by_class, strict=True)}
        line["mean"] = score.pop("value")
        line = _with_thesis(line, known, curriculum, list(known.columns))
        line |= {f"mean_{part}": value for part, value in score.items()}
        lines.append(line | {"chance": 100 * metrics.chance(group)})
    return pd.DataFrame(lines)


def appendix(runs: Sequence[Mapping[str, Any]], name: str, *, thesis_dir: Path) -> pd.DataFrame:
    """Return one of the tables B.1 to B.12: every learning rate of the stages, and what it scored.

    As in the thesis, the rates of pretext stages are compared after the search, and for classifiers
    the continuation of the best rate follows as the rate ``best``. The rows are the rates that the
    study tried; rates that only the thesis tried have none. Seeds that ended after as many epochs
    share a row.

    Returns:
        ``curriculum, lr, metric, epochs, value`` (accuracies in percent), ``epochs_thesis`` and
        ``value_thesis`` of the same curriculum and rate, then ``value_std`` (between seeds),
        ``n_seeds`` and ``chosen_by``, how many seeds chose this rate.
    """
    table = THESIS_TABLES[name]
    printed = read_thesis(thesis_dir, f"{name}.csv")
    rate = [r if r == "best" else f"{float(r):g}" for r in printed["lr"]]
    known = printed.assign(lr=rate).set_index(["curriculum", "lr"])
    kept = [
        {**run, "rate": np.inf if run["final"] else run["lr"]}
        for run in runs
        if run["variant"] == table.variant
        and run["stage"] == table.kind
        and len(pretext_tasks(run["curriculum"])) in table.tasks
        and not (run["final"] and table.kind == "pretext")
    ]
    frame = pd.DataFrame(kept)
    if frame.empty:
        return frame
    frame["value"] *= np.where(frame["metric"] == "loss", 1, 100)
    place = {c: k for k, c in enumerate(ordered(frame["curriculum"], printed["curriculum"]))}
    frame["place"] = frame["curriculum"].map(place)
    lines = []
    groups: Any = frame.groupby(["rate", "place", "epochs"])  # by all three
    for (rate, _, epochs), group in groups:
        first = group.iloc[0]
        label = f"{rate:g}" if np.isfinite(rate) else "best"
        line = {
            "curriculum": first["curriculum"],
            "lr": label,
            "metric": first["metric"],
            "epochs": epochs,
            "value": group["value"].mean(skipna=False),
        }
        line = _with_thesis(line, known, (first["curriculum"], label), ["epochs", "value"])
        line["value_std"] = group["value"].std(ddof=1)
        lines.append(line | {"n_seeds": len(group), "chosen_by": int(group["chosen"].sum())})
    return pd.DataFrame(lines)
