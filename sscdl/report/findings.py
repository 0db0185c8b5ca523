"""What the tables of a study say, in a few sentences and, for the terminal, in a few lines."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pandas as pd

from sscdl.report.facts import listed
from sscdl.tables.comparisons import BETTER, EQUIVALENT, NOT_SHOWN, ONE_TRAINING, WORSE
from sscdl.tables.rates import NOT_SHOWN as NOT_LEARNT

ACCURACY, ATTENTION = "4.14_accuracy_overview", "attention"
COMPARISONS, SHORTCUT, TRAININGS = "comparisons", "shortcut", "trainings"
# What scores in attention inside the lungs without having learnt anything: columns and words, and
# the columns of what the models have above it.
UNTAUGHT = {
    "floor": "a map that is the same everywhere",
    "ail_centre": "a blob in the middle of every picture",
    "ail_random": "networks with random weights",
}
LIFTS = ("lift", "lift_centre", "lift_random")
_LISTED = 12  # curricula whose accuracies are listed one by one
_WIDTH = 100  # of lines for the terminal


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return what the tables say in a few sentences, those of accuracy first."""
    accuracy, attention = tables[ACCURACY], tables[ATTENTION]
    lines = []
    for variant in variants(accuracy):
        scores = accuracy[accuracy[variant].notna()]
        lines.append(_accuracies(scores, variant, tables[COMPARISONS]))
    known = attention[attention["ail"].notna()]
    groups = known.groupby("variant", sort=False)
    lines += [_attention(rows, str(variant)) for variant, rows in groups]
    if SHORTCUT in tables:
        lines += _shortcut(tables[SHORTCUT])
    return lines + _unlearnt(tables[TRAININGS])


def outcome(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return what came out as lines for a terminal: accuracies, comparisons, a planted mark.

    ``tables`` as for ``findings``. Accuracies stand in a table, with intervals, but for studies of
    many curricula, of which the best and the worst are named.
    """
    accuracy, comparisons = tables[ACCURACY], tables[COMPARISONS]
    names = variants(accuracy)
    if len(accuracy) <= _LISTED:
        lines = _listed_accuracies(accuracy, names)
        told: dict[str, list[str]] = {}
        for variant in names:
            text = _compared(comparisons[comparisons["variant"] == variant]).strip()
            told.setdefault(text, []).append(variant)
        sentences = [
            text if len(told) == 1 else f"{listed(of)}: {text}" for text, of in told.items() if text
        ]
    else:
        lines = []
        sentences = [_accuracies(accuracy[accuracy[v].notna()], v, comparisons) for v in names]
    if SHORTCUT in tables:
        sentences += _shortcut(tables[SHORTCUT])
    sentences += _unlearnt(tables[TRAININGS])
    lines += [textwrap.fill(text, _WIDTH, subsequent_indent="  ") for text in sentences]
    return "".join(f"{line}\n" for line in lines)


def _listed_accuracies(accuracy: pd.DataFrame, names: list[str]) -> list[str]:
    """Return a table of balanced accuracies, a line for each curriculum."""
    chance = accuracy["chance"].iloc[0]
    lines = [f"Balanced accuracy in percent, with 95 % intervals (chance: {chance:.1f})"]
    rows = [["", *names]]
    for _, row in accuracy.iterrows():
        scores = [
            f"{row[v]:.1f} ({row[f'{v}_low']:.1f} to {row[f'{v}_high']:.1f})"
            if pd.notna(row[v])
            else "-"
            for v in names
        ]
        rows.append([str(row["curriculum"]), *scores])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for texts in rows:
        cells = (cell.ljust(width) for cell, width in zip(texts, widths, strict=True))
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return lines


def variants(table: pd.DataFrame) -> list[str]:
    """Return the variants of an overview that have results: each has columns of its own."""
    named = [str(column).removesuffix("_low") for column in table if str(column).endswith("_low")]
    return [name for name in named if name in table and table[name].notna().any()]


def _named(rows: pd.DataFrame) -> str:
    """Return the curricula of these rows, or their number where a list would be long."""
    names = list(rows["curriculum"])
    return listed(names) if len(names) < 4 else f"{len(names)} curricula"


def _accuracies(scores: pd.DataFrame, variant: str, comparisons: pd.DataFrame) -> str:
    shown = scores[variant].round(1)
    top = scores[shown == shown.max()]
    text = f"Balanced accuracy on {variant}: "
    if len(top) == len(scores) > 1:
        text += f"{shown.max():.1f} % with every curriculum"
    else:
        text += f"highest with {_named(top)}, {shown.max():.1f} %"
        if len(top) == 1:
            low, high = (top[f"{variant}_{end}"].iloc[0] for end in ("low", "high"))
            text += f" ({low:.1f} to {high:.1f})"
        if len(scores) > 1:
            lowest = scores[shown == shown.min()]
            text += f", lowest with {_named(lowest)}, {shown.min():.1f} %"
    text += f"; chance is {top['chance'].iloc[0]:.1f} %."
    return text + _compared(comparisons[comparisons["variant"] == variant])


def _compared(rows: pd.DataFrame) -> str:
    """Return what the comparisons of a variant show, and what it would take to show more."""
    if rows.empty:
        return ""
    margin = f"{rows['margin'].iloc[0]:g} percent points"
    counts = rows["verdict"].value_counts()
    if set(counts.index) == {ONE_TRAINING}:
        return (
            " One training of each model: no comparison is tested, as another training might turn "
            "it round; run several seeds."
        )
    told = [
        (BETTER, "better"),
        (WORSE, "worse"),
        (EQUIVALENT, f"less than {margin} apart"),
        (NOT_SHOWN, "without a clear difference"),
        (ONE_TRAINING, "not tested (one training)"),
    ]
    text = (
        " Comparisons with no pretraining, ImageNet or the first task alone, over patients and "
        f"trainings: {', '.join(f'{counts[v]} {name}' for v, name in told if v in counts)}."
    )
    tested = rows[rows["verdict"] != ONE_TRAINING]
    needed = tested["seeds_needed"].dropna().astype(int)
    text += f" To find a difference of {margin} four times in five takes "
    if len(needed):
        text += f"{_span(needed, 0)} seeds a model"
        text += "" if len(needed) == len(tested) else f" for {len(needed)} of {len(tested)}; "
    if len(needed) < len(tested):
        text += "more patients than these" + (" for the others" if len(needed) else "")
    return f"{text}."


def _attention(rows: pd.DataFrame, variant: str) -> str:
    """Return where the maps of a variant's models lie, beside those of what has learnt nothing."""
    above = (rows[[f"{lift}_low" for lift in LIFTS]] > 0).all(axis=1).sum()
    others = [
        f"{text} {_span(rows[name])} %"
        for name, text in UNTAUGHT.items()
        if rows[name].notna().any()
    ]
    return (
        f"Attention inside the lungs on {variant}: {_span(rows['ail'])} % of the map. What has "
        f"learnt nothing has: {', '.join(others)}. Above each of the three, by 95 % intervals: "
        f"{above} of {len(rows)} models"
        f"{', of which one training is known' if rows['ail_std'].isna().all() else ''}."
    )


def _shortcut(table: pd.DataFrame) -> list[str]:
    """Return by how much the models of each variant fall without the planted mark."""
    lines = []
    for variant, rows in table.groupby("variant", sort=False):
        known = rows[rows["drop"].notna()]
        ends = [known[known["split"] == name] for name in ("mark_removed", "mark_reversed")]
        if all(map(len, ends)):
            removed, reversed_ = map(_fall, ends)
            lines.append(
                f"Without the planted mark, models on {variant} fall by {removed}; with the mark "
                f"on the wrong patients, by {reversed_}."
            )
    return lines


def _fall(rows: pd.DataFrame) -> str:
    """Return by how much models fall, and between what their 95 % intervals lie."""
    ends = f"{rows['drop_low'].min():.1f} to {rows['drop_high'].max():.1f}"
    return f"{_span(rows['drop'])} percent points (their 95 % intervals: within {ends})"


def _unlearnt(table: pd.DataFrame) -> list[str]:
    """Return which stages are not shown to have learnt anything, as a sentence if there are any."""
    failed = table[table["learnt"] == NOT_LEARNT]
    if failed.empty:
        return []
    named = [
        f"{stage} on {variant}{f' ({len(rows)} seeds)' if len(rows) > 1 else ''}"
        for (variant, stage), rows in failed.groupby(["variant", "stage"], sort=False)
    ]
    shown = named if len(named) <= _LISTED else [*named[:_LISTED], "others"]
    return [
        "Not shown to have learnt anything of the images of their task (table trainings): "
        f"{listed(shown)}. Other learning rates or more epochs may help; until then, a curriculum "
        "with such a stage says little of its task."
    ]


def _span(values: pd.Series, digits: int = 1) -> str:
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low} to {high}"
