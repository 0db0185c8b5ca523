"""Result tables, computed from the concatenated table of predictions.

The predictions have one row per model and image: ``variant, curriculum, seed, image_id, patient_id,
split, label, predicted, prob_<class> ..., view, ail, lung_share, mark_attention, mark_share``
(:mod:`sscdl.evaluation.metrics` has the details). Rows of ``variant`` = ``metadata`` come from
:mod:`sscdl.evaluation.baselines`. A model trained with several seeds has several rows per image:
its values are means over seeds, ``std`` is the sample standard deviation between seeds (empty with
one), and ``low`` and ``high`` bound the 95 % interval over patients and trainings
(:mod:`sscdl.evaluation.inference`; over patients alone where there is one training).

Accuracies and attention are in percent, AUC and F1 in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sscdl.errors import InputError
from sscdl.evaluation import measures, metrics
from sscdl.evaluation.inference import score
from sscdl.evaluation.measures import Measure
from sscdl.evaluation.prediction_files import NETWORK
from sscdl.own_csv import read_own
from sscdl.study.thesis import RESTORE, TWO_CLASSES, pretext_tasks
from sscdl.study.thesis import VARIANTS as THESIS_VARIANTS

METADATA = "metadata"
THESIS = (
    "Columns ending in _thesis are the figures that the thesis prints, which are of its own images "
    "(those of the SIIM-FISABIO-RSNA challenge)."
)
NAN = float("nan")


def read_thesis(thesis_dir: Path, name: str) -> pd.DataFrame:
    """Return one of the thesis's tables, as printed."""
    path = Path(thesis_dir) / name
    if not path.is_file():
        raise InputError(f"{path}: the thesis's table is missing; restore resources/thesis")
    return read_own(path, advice=RESTORE)


def of_split(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the labelled rows of one split."""
    return metrics.labelled(metrics.rows_where(predictions, predictions["split"] == split))


def of_images(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the rows of one split, but for those of models that know no image."""
    counts = (predictions["split"] == split) & (predictions["variant"] != METADATA)
    return metrics.rows_where(predictions, counts)


def image_models(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the image models' rows of one split."""
    rows = of_images(predictions, split)
    if rows.empty:
        present = ", ".join(sorted(predictions["split"].astype(str).unique())) or "none"
        raise InputError(
            f"predictions: no image model has rows of split {split} (found: {present})"
        )
    return rows


def models_in(predictions: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Yield (variant, curriculum) and its rows in order of appearance, metadata last."""
    model = ["variant", "curriculum"]
    # Not the groups themselves: walking through them copies the whole table.
    places: Any = predictions.groupby(model, sort=False).indices
    for name in sorted(places, key=lambda name: (name[0] == METADATA, places[name][0])):
        yield name, metrics.rows_at(predictions, places[name])


def score_model(rows: pd.DataFrame, measure: Measure, *, scale: float = 100.0) -> dict[str, float]:
    """Return value (mean over seeds), std (between seeds), low and high of one model."""
    found = score(rows, measure)
    interval = found.interval()
    return {
        "value": scale * interval.estimate,
        "std": scale * found.deviation,
        "low": scale * interval.low,
        "high": scale * interval.high,
    }


def score_share(rows: pd.DataFrame, column: str, *, scale: float = 100.0) -> dict[str, float]:
    """Return what :func:`score_model` does of the mean of shares, in [0, 1] as its limits then are.

    Of few images, the limits of a mean may lie where no mean can.
    """
    found = score_model(rows, measures.mean_of(column), scale=scale)
    return found | {part: float(np.clip(found[part], 0, scale)) for part in ("low", "high")}


def mean_percent(rows: pd.DataFrame, column: str) -> float:
    """Return the mean of a column over images, then over seeds, in percent."""
    if column not in rows:
        return NAN
    return 100 * float(rows[column].astype(float).groupby(rows["seed"]).mean().mean())


def parted(predictions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of models, and those of untrained networks."""
    if NETWORK not in predictions:
        return predictions, predictions.iloc[:0].assign(network=[])
    of_untrained = predictions[NETWORK].notna()
    untrained = metrics.rows_where(predictions, of_untrained)
    return metrics.rows_where(predictions, ~of_untrained), untrained


def random_percent(untrained: pd.DataFrame, variant: str, rows: pd.DataFrame) -> float:
    """Return the mean AIL of untrained networks on pictures of a variant, in percent.

    It is that of the images of ``rows``, which are of one split; NaN without such networks.
    """
    chosen = untrained[
        (untrained["variant"] == variant)
        & untrained["split"].isin(rows["split"])
        & untrained["image_id"].isin(rows["image_id"])
    ]
    return float(100 * chosen.groupby(NETWORK)["ail"].mean().mean()) if len(chosen) else NAN


def _variants(rows: pd.DataFrame) -> list[str]:
    """Return the thesis's variants and then the others by name."""
    return list(dict.fromkeys([*THESIS_VARIANTS, *sorted(rows["variant"].unique())]))


def ordered(curricula: Iterable[str], printed: Iterable[str]) -> list[str]:
    """Return curricula in the order of the ``printed`` ones, those not among them after them."""
    given = list(dict.fromkeys(curricula))
    known = [name for name in printed if name in given]
    return known + [name for name in given if name not in known]


def normalisation(stats: pd.DataFrame, *, thesis_dir: Path) -> pd.DataFrame:
    """Return table 4.1: mean and std of each image variant's pixels, in [0, 1].

    Args:
        stats: columns ``variant``, ``mean``, ``std``.
        thesis_dir: folder of the thesis's tables.

    Returns:
        ``variant, mean, std, mean_thesis, std_thesis``, the thesis's variants first.
    """
    thesis = read_thesis(thesis_dir, "4.1_normalisation.csv")
    joined = stats[["variant", "mean", "std"]].merge(
        thesis, on="variant", how="left", suffixes=("", "_thesis")
    )
    rank = {name: place for place, name in enumerate(thesis["variant"])}
    order = sorted(range(len(joined)), key=lambda row: rank.get(joined["variant"][row], len(rank)))
    return joined.iloc[order].reset_index(drop=True)


def _better(row: Mapping[str, Any]) -> str:
    full, segmented = (row[name] for name in THESIS_VARIANTS)
    if not (np.isfinite(full) and np.isfinite(segmented)):
        return ""
    if full == segmented:
        return "equal"
    return "full" if full > segmented else "segmented"


def _marked(table: pd.DataFrame, columns: Mapping[str, str]) -> list[str]:
    """Return for each row where it is the best of its number of pretext tasks.

    The thesis marks these, for one task and more. ``columns`` maps the columns to compare to what
    they are called; ties share the mark. There is none where there is nothing to choose from: a
    single model of its number of tasks, or models that are all alike.
    """
    best: list[list[str]] = [[] for _ in range(len(table))]
    for column, name in columns.items():
        groups = table.groupby("tasks")[column]
        highest, lowest = groups.transform("max"), groups.transform("min")
        won = (table[column] == highest) & (lowest < highest) & (table["tasks"] > 0)
        for row in np.flatnonzero(won):
            best[row].append(name)
    return [" ".join(names) for names in best]


def accuracy_overview(
    predictions: pd.DataFrame,
    split: str,
    *,
    thesis_dir: Path,
) -> pd.DataFrame:
    """Return table 4.14: balanced accuracy of every curriculum on every variant, in percent.

    Returns:
        ``curriculum, full, segmented_black, better`` as in the thesis (``better``: full, segmented,
        equal or empty), the same with ``_thesis``, a column per further variant, then for every
        variant ``<variant>_std, _low, _high``, and ``chance``; ``tasks``, the number of pretext
        tasks, and ``best``, the variants on which the row is the best of its number of tasks, of
        which there are at least two that differ (the thesis marks these); ``best_thesis``, the same
        among its figures of the same rows. Only curricula that have predictions, in the thesis's
        order, others after them.

    Raises:
        InputError: no image model has rows of ``split``, or the thesis's table is missing.
    """
    thesis = read_thesis(thesis_dir, "4.14_accuracy_overview.csv")
    rows = metrics.labelled(image_models(predictions, split))
    printed = thesis.set_index("curriculum")
    variants = _variants(rows)
    groups = dict(models_in(rows))
    chance = 100 * metrics.chance(rows)
    table = []
    for curriculum in ordered(rows["curriculum"], thesis["curriculum"]):
        scores = {
            variant: score_model(
                groups[variant, curriculum],
                measures.balanced_accuracy,
            )
            for variant in variants
            if (variant, curriculum) in groups
        }
        line: dict[str, Any] = {"curriculum": curriculum}
        for variant in THESIS_VARIANTS:
            line[variant] = scores.get(variant, {}).get("value", NAN)
        line["better"] = _better(line)
        for column in (*THESIS_VARIANTS, "better"):
            empty = "" if column == "better" else NAN
            known = curriculum in printed.index
            line[f"{column}_thesis"] = printed.loc[curriculum, column] if known else empty
        for variant in variants[len(THESIS_VARIANTS) :]:
            line[variant] = scores.get(variant, {}).get("value", NAN)
        for variant in variants:
            for part in ("std", "low", "high"):
                line[f"{variant}_{part}"] = scores.get(variant, {}).get(part, NAN)
        table.append({**line, "chance": chance, "tasks": len(pretext_tasks(curriculum))})
    result = pd.DataFrame(table)
    result["best"] = _marked(result, {name: name for name in variants})
    result["best_thesis"] = _marked(result, {f"{name}_thesis": name for name in THESIS_VARIANTS})
    return result


def ail_overview(
    predictions: pd.DataFrame,
    split: str,
    *,
    thesis_dir: Path,
) -> pd.DataFrame:
    """Return table 4.15: mean attention inside the lungs (AIL) of every model, in percent.

    Returns:
        ``curriculum, full, segmented_black`` as in the thesis, the same with ``_thesis``, a column
        per further variant, then for every variant ``<variant>_std, _low, _high``, ``_floor`` (mean
        area share of the lungs: the AIL of a map without preference), ``_lift`` (AIL minus floor,
        percent points), ``_undefined`` (images whose map has no positive value, all seeds
        together; they count in none of the means), and what scores without having learnt anything:
        ``_centre``, AIL of a Gaussian in the middle of every picture, and ``_random``, the mean of
        the untrained networks. The last row, ``mean``, averages the rows above.

    Raises:
        InputError: no image model has rows of ``split``, or the thesis's table is missing.
    """
    thesis = read_thesis(thesis_dir, "4.15_ail_overview.csv")
    predictions, untrained = parted(predictions)
    rows = image_models(predictions, split)
    printed = thesis.set_index("curriculum")
    variants = _variants(rows)
    groups = dict(models_in(rows))
    table = []
    for curriculum in ordered(rows["curriculum"], thesis["curriculum"]):
        line: dict[str, Any] = dict.fromkeys(["curriculum", *THESIS_VARIANTS], NAN)
        line["curriculum"] = curriculum
        for variant in THESIS_VARIANTS:
            known = curriculum in printed.index
            line[f"{variant}_thesis"] = printed.loc[curriculum, variant] if known else NAN
        line.update(dict.fromkeys(variants[len(THESIS_VARIANTS) :], NAN))
        for variant in variants:
            parts = ("std", "low", "high", "floor", "lift", "undefined", "centre", "random")
            line.update({f"{variant}_{part}": NAN for part in parts})
            if (variant, curriculum) not in groups:
                continue
            group = groups[variant, curriculum]
            defined = group[group["ail"].notna()]
            line[f"{variant}_undefined"] = len(group) - len(defined)
            if defined.empty:
                continue
            score = score_share(defined, "ail")
            line[variant] = score.pop("value")
            line.update({f"{variant}_{part}": value for part, value in score.items()})
            line[f"{variant}_floor"] = mean_percent(defined, "lung_share")
            line[f"{variant}_lift"] = line[variant] - line[f"{variant}_floor"]
            line[f"{variant}_centre"] = mean_percent(defined, "ail_centre")
            line[f"{variant}_random"] = random_percent(untrained, variant, defined)
        table.append(line)
    result = pd.DataFrame(table)
    numbers = result.drop(columns="curriculum")
    averages = numbers.mean().to_dict()
    for column in numbers:
        # The spread of a mean over different models is not that of any one of them.
        if str(column).endswith(("_std", "_low", "_high")):
            averages[column] = NAN
        elif str(column).endswith("_undefined"):
            averages[column] = numbers[column].sum(min_count=1)
    return pd.concat(
        [result, pd.DataFrame([{"curriculum": "mean", **averages}])], ignore_index=True
    )


def beside_thesis(
    table: pd.DataFrame,
    notes: Iterable[str],
    of_thesis: Iterable[str] = (),
    *,
    figures: bool,
    classes: Iterable[str] = TWO_CLASSES,
) -> tuple[pd.DataFrame, list[str]]:
    """Return a table with the thesis's figures or without them, and the notes that it needs.

    The figures are of the thesis's images; beside those of others they mean nothing, so that a
    study has to ask for them (``results.thesis_figures``).

    Args:
        table: with the columns ending in ``_thesis`` that it may have.
        notes: those that it needs in any case.
        of_thesis: what is to be said of the thesis's figures.
        figures: whether they are shown.
        classes: those of the study; where they are not the thesis's two, a note says so.
    """
    printed = [column for column in table if str(column).endswith("_thesis")]
    if not figures:
        return table.drop(columns=printed), list(notes)
    found = [*notes, *([THESIS] if printed else []), *of_thesis]
    if set(classes) != set(TWO_CLASSES) and table[printed].notna().any(axis=None):
        found.append(f"The thesis's figures are of two other classes: {' and '.join(TWO_CLASSES)}.")
    return table, found
