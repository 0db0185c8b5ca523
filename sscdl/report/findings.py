"""What the tables of a study say, in a few sentences and, for the terminal, in a few lines."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pandas as pd

from sscdl.report.facts import listed
from sscdl.report.scores import Scores, scores, variants
from sscdl.tables.comparisons import BETTER, EQUIVALENT, NOT_SHOWN, ONE_TRAINING, WORSE
from sscdl.tables.rates import NOT_SHOWN as NOT_LEARNT
from sscdl.words import many

ATTENTION, SHORTCUT, TRAININGS = "attention", "shortcut", "trainings"
# What scores in attention inside the lungs without having learnt anything: columns and words, and
# the columns of what the models have above it.
UNTAUGHT = {
    "floor": "a map that is the same everywhere",
    "ail_centre": "a blob in the middle of every picture",
    "ail_random": "networks with random weights",
}
LIFTS = ("lift", "lift_centre", "lift_random")
_LISTED = 12  # curricula whose scores are listed one by one
_WIDTH = 100  # of lines for the terminal


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return what the tables say in a few sentences, those of the scores first."""
    scored = scores(tables)
    lines = [_extremes(scored, variant) for variant in variants(scored.table)]
    lines += scored.caveats
    if ATTENTION in tables:
        known = tables[ATTENTION][tables[ATTENTION]["ail"].notna()]
        groups = known.groupby("variant", sort=False)
        lines += [_attention(rows, str(variant)) for variant, rows in groups]
    if SHORTCUT in tables:
        lines += _shortcut(tables[SHORTCUT])
    return lines + _unlearnt(tables[TRAININGS])


def outcome(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return what came out as lines for a terminal: scores, comparisons, a planted mark.

    ``tables`` as for ``findings``. Scores stand in a table, with intervals, but for studies of many
    curricula, of which the best and the worst are named.
    """
    scored = scores(tables)
    names = variants(scored.table)
    if len(scored.table) <= _LISTED:
        lines = _listed_scores(scored, names)
        told: dict[str, list[str]] = {}
        for variant in names:
            text = _compared(scored, variant).strip()
            told.setdefault(text, []).append(variant)
        sentences = [
            text if len(told) == 1 else f"{listed(of)}: {text}" for text, of in told.items() if text
        ]
    else:
        lines = []
        sentences = [_extremes(scored, variant) for variant in names]
    sentences += scored.caveats
    if SHORTCUT in tables:
        sentences += _shortcut(tables[SHORTCUT])
    sentences += _unlearnt(tables[TRAININGS])
    lines += [textwrap.fill(text, _WIDTH, subsequent_indent="  ") for text in sentences]
    return "".join(f"{line}\n" for line in lines)


def _listed_scores(scored: Scores, names: list[str]) -> list[str]:
    """Return a table of scores, a line for each curriculum."""
    number = scored.number
    chance = f"(chance: {number(scored.chance)})"
    lines = [f"{scored.name}{scored.measured}, with 95 % intervals {chance}"]
    rows = [["", *names]]
    for _, row in scored.table.iterrows():
        cells = [
            f"{number(row[v])} ({number(row[f'{v}_low'])} to {number(row[f'{v}_high'])})"
            if pd.notna(row[v])
            else "-"
            for v in names
        ]
        rows.append([str(row["curriculum"]), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for texts in rows:
        padded = (cell.ljust(width) for cell, width in zip(texts, widths, strict=True))
        lines.append(f"  {'  '.join(padded)}".rstrip())
    return lines


def _named(rows: pd.DataFrame) -> str:
    """Return the curricula of these rows, or their number where a list would be long."""
    names = list(rows["curriculum"])
    return listed(names) if len(names) < 4 else f"{len(names)} curricula"


def _extremes(scored: Scores, variant: str) -> str:
    """Return which curricula of a variant score highest and lowest, and what comparisons show."""
    number, unit = scored.number, scored.unit
    rows = scored.table[scored.table[variant].notna()]
    shown = rows[variant].round(scored.digits)
    top = rows[shown == shown.max()]
    text = f"{scored.name} on {variant}: "
    if len(top) == len(rows) > 1:
        text += f"{number(shown.max())}{unit} with every curriculum"
    else:
        text += f"highest with {_named(top)}, {number(shown.max())}{unit}"
        if len(top) == 1:
            low, high = (number(top[f"{variant}_{end}"].iloc[0]) for end in ("low", "high"))
            text += f" ({low} to {high})"
        if len(rows) > 1:
            lowest = rows[shown == shown.min()]
            text += f", lowest with {_named(lowest)}, {number(shown.min())}{unit}"
    return f"{text}; chance is {number(scored.chance)}{unit}.{_compared(scored, variant)}"


def _compared(scored: Scores, variant: str) -> str:
    """Return what the comparisons of a variant show, and what it would take to show more."""
    rows = scored.comparisons[scored.comparisons["variant"] == variant]
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
        text += f"{_span(needed, 0)} {'seed' if needed.max() == 1 else 'seeds'} a model"
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
        f"{above} of {many(len(rows), 'model')}"
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
