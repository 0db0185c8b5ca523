"""The first page of a report: what was run, what came out, and how to read it.

Made from the study's tables and figures alone, so that it cannot say anything else than they do.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from sscdl.archives.cohorts import DUPLICATE, PRETRAINING
from sscdl.archives.sides import UNLISTED
from sscdl.files import write_text
from sscdl.images.held_out import read_as_texts
from sscdl.own_csv import read_own
from sscdl.report.facts import OF_THESIS, READING, listed, straddling
from sscdl.tables.comparisons import BETTER, EQUIVALENT, NOT_SHOWN, ONE_TRAINING, WORSE
from sscdl.tables.dataset import split_names, straddling_patients
from sscdl.tables.files import (
    P_VALUES,
    Digits,
    best_cells,
    exact_cells,
    numeric_columns,
    printed_cells,
)
from sscdl.tables.headings import FIGURE, SUMMARY, place
from sscdl.tables.html_table import Content, page, section

ACCURACY, ATTENTION = "4.14_accuracy_overview", "attention"
COMPARISONS, SHORTCUT = "comparisons", "shortcut"
# What scores in attention inside the lungs without having learnt anything: columns and words, and
# the columns of what the models have above it.
_UNTAUGHT = {
    "floor": "a map that is the same everywhere",
    "ail_centre": "a blob in the middle of every picture",
    "ail_random": "networks with random weights",
}
_LIFTS = ("lift", "lift_centre", "lift_random")
_PARTS = ("_std", "_low", "_high")
_COHORTS = {
    **{"train": "training", "val": "validation", "test": "test"},
    PRETRAINING: "pretraining alone",
    DUPLICATE: "duplicates, left out",
    UNLISTED: "not in the given split, left out",
    "mark_trained": "further test, mark as in training",
    "mark_removed": "the same patients again, mark removed",
    "mark_reversed": "the same patients again, mark on the wrong ones",
}


def write_summary(
    out: Path,
    description: Path,
    *,
    study: str,
    facts: Sequence[tuple[str, str]],
    images_csv: Path,
    tables: Mapping[str, Path],
    figures: Mapping[str, Path],
) -> None:
    """Write the summary as a page of one file, and the description of the study for the report.

    Args:
        out: the page.
        description: the same without results, as reStructuredText.
        study: name of the study.
        facts: what was run, as (heading, text).
        images_csv: the study's list of images.
        tables: CSV files by name; ``ACCURACY``, ``ATTENTION`` and ``COMPARISONS`` are needed.
        figures: PNG files by name, without patients' images.
    """
    images = read_as_texts(images_csv)
    counts = image_counts(images)
    facts = [*facts, *straddling(*straddling_patients(images))]
    read = {name: read_own(path) for name, path in tables.items()}
    found = findings(read)
    parts = [
        "<h2>What came out</h2>",
        _list(found),
        "<h2>What was run</h2>",
        _definitions(facts),
        _table("Images and patients by set.", counts),
        *_results(read, figures),
        "<h2>How to read it</h2>",
        _definitions([*READING, *([OF_THESIS] if _beside_thesis(read.values()) else [])]),
    ]
    write_text(out, page(f"{place(SUMMARY)[1]}: {study}", parts))
    write_text(description, _description(study, facts, counts, found))


def image_counts(images: pd.DataFrame) -> pd.DataFrame:
    """Return images, patients and images of each label by split, from the rows of images.csv."""
    labels = sorted(set(images["label"]) - {""})
    rows = []
    for split in split_names(images["split"]):
        part = images[images["split"] == split]
        row = {"set": _COHORTS.get(split, split), "images": len(part)}
        row["patients"] = part["patient_id"].nunique()
        # Not the bare name, which is a column of accuracies elsewhere.
        row |= {f"label {label}": int((part["label"] == label).sum()) for label in labels}
        rows.append(row | {"without a label": int((part["label"] == "").sum())})
    table = pd.DataFrame(rows)
    if len(table) and not table["without a label"].any():
        table = table.drop(columns="without a label")
    return table


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return what the tables say in a few sentences, those of accuracy first."""
    accuracy, attention = tables[ACCURACY], tables[ATTENTION]
    lines = []
    for variant in _variants(accuracy):
        scores = accuracy[accuracy[variant].notna()]
        lines.append(_accuracies(scores, variant, tables[COMPARISONS]))
    known = attention[attention["ail"].notna()]
    lines += [_attention(rows, variant) for variant, rows in known.groupby("variant", sort=False)]
    if SHORTCUT in tables:
        lines += _shortcut(tables[SHORTCUT])
    return lines


def _variants(table: pd.DataFrame) -> list[str]:
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
    above = (rows[[f"{lift}_low" for lift in _LIFTS]] > 0).all(axis=1).sum()
    others = [
        f"{text} {_span(rows[name])} %"
        for name, text in _UNTAUGHT.items()
        if rows[name].notna().any()
    ]
    return (
        f"Attention inside the lungs on {variant}: {_span(rows['ail'])} % of the map. What has "
        f"learnt nothing has: {', '.join(others)}. Above each of the three, by 95 % intervals: "
        f"{above} of {len(rows)} models"
        f"{', of which one training is known' if rows['ail_std'].isna().all() else ''}."
    )


def _beside_thesis(tables: Iterable[pd.DataFrame]) -> bool:
    """Return whether the thesis's figures stand in any of the tables."""
    return any(str(column).endswith("_thesis") for table in tables for column in table)


def _shortcut(table: pd.DataFrame) -> list[str]:
    """Return by how much the models of each variant fall without the planted mark."""
    lines = []
    for variant, rows in table.groupby("variant", sort=False):
        ends = {
            name: rows.loc[rows["split"] == name, "drop"].dropna()
            for name in ("mark_removed", "mark_reversed")
        }
        if all(map(len, ends.values())):
            lines.append(
                f"Without the planted mark, models on {variant} fall by "
                f"{_span(ends['mark_removed'])} percent points; with the mark on the wrong "
                f"patients, by {_span(ends['mark_reversed'])}."
            )
    return lines


def _span(values: pd.Series, digits: int = 1) -> str:
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _results(tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Path]) -> list[str]:
    """Return the main tables, each with its figure, those that most readers want first."""
    accuracy, attention, compared = (tables[n] for n in (ACCURACY, ATTENTION, COMPARISONS))
    shown = ["variant", "curriculum", "against", "difference", "difference_low", "difference_high",
             "another_low", "another_high", "p_holm", "verdict"]  # fmt: skip
    looked = ["variant", "curriculum", *(f"ail{part}" for part in ("", *_PARTS))]
    looked += list(_UNTAUGHT)
    looked += [f"{lift}{part}" for lift in _LIFTS for part in ("", "_low", "_high")]
    parts = ["<h2>Accuracy</h2>"]
    parts += [_image(figures, "accuracy_overview")]
    parts += [
        _table("Balanced accuracy in percent.", accuracy[_overview(accuracy) + ["chance"]],
               best=_variants(accuracy)),
        "<h2>Comparisons</h2>",
        *(_image(figures, name) for name in figures if name.startswith(COMPARISONS)),
        _table("Differences in balanced accuracy, in percent points.", compared[shown],
               digits=P_VALUES),
        "<h2>Attention</h2>",
        _image(figures, "4.3_ail_by_model"),
        _table("Attention inside the lungs (AIL), in percent, beside what scores without having "
               "learnt anything, and AIL minus these (lift), in percent points.",
               attention[looked]),
    ]  # fmt: skip
    if SHORTCUT in figures:
        parts += ["<h2>Shortcut</h2>", _image(figures, SHORTCUT)]
    return [part for part in parts if part]


def _overview(table: pd.DataFrame) -> list[str]:
    """Return the columns of an overview that a first reading needs: results and intervals."""
    return ["curriculum", *(
        column
        for variant in _variants(table)
        for column in (variant, *(variant + part for part in _PARTS))
        if column in table
    )]  # fmt: skip


def _table(
    caption: str,
    df: pd.DataFrame,
    *,
    digits: Mapping[str, Digits] | None = None,
    best: Sequence[str] = (),
) -> str:
    places = {**{str(column): 1 for column in df}, **(digits or {})}
    printed = printed_cells(df, places)
    content = Content(
        caption=caption,
        exact=exact_cells(df),
        printed=printed,
        numeric=numeric_columns(df),
        bold=best_cells(df, printed, {column: "max" for column in best}, None),
    )
    return section(content)


def _image(figures: Mapping[str, Path], name: str) -> str:
    """Return a figure as part of the page, nothing if the study has none of this name."""
    if name not in figures:
        return ""
    data = base64.b64encode(figures[name].read_bytes()).decode()
    title = escape(place(FIGURE + name)[1].partition(":")[0])
    return f'<img alt="{title}" src="data:image/png;base64,{data}">'


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _definitions(pairs: Sequence[tuple[str, str]]) -> str:
    items = (f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs)
    return "<dl>" + "".join(items) + "</dl>"


def _description(
    study: str,
    facts: Sequence[tuple[str, str]],
    counts: pd.DataFrame,
    found: Sequence[str],
) -> str:
    """Return the description of the study as reStructuredText."""
    lines = [f"**Study {_rst(study)}**", "", "**What came out**", ""]
    lines += [f"- {_rst(line)}" for line in found]
    lines += ["", "**What was run**", ""]
    for name, text in facts:
        lines += [_rst(name), f"  {_rst(text)}"]
    rows = [list(map(str, counts.columns)), *counts.astype(str).to_numpy().tolist()]
    lines += ["", ".. list-table:: Images and patients by set", "   :header-rows: 1", ""]
    for row in rows:
        first, *others = map(_rst, row)
        lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
    return "\n".join([*lines, ""])


def _rst(text: str) -> str:
    """Return a text that reStructuredText takes as it is: no markup, no links, one line."""
    return re.sub(r"([\\*`|_<>\[\]:-])", r"\\\1", " ".join(text.split()))
