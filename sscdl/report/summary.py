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
from sscdl.finding_labels import holds_findings
from sscdl.images.held_out import read_as_texts
from sscdl.own_csv import read_own
from sscdl.report.facts import OF_THESIS, reading, straddling
from sscdl.report.findings import ATTENTION, LIFTS, SHORTCUT, UNTAUGHT, findings, outcome
from sscdl.report.scores import COMPARISONS, FINDING_SCORES, Scores, scores, variants
from sscdl.tables.dataset import by_label, split_names, straddling_patients
from sscdl.tables.files import (
    P_VALUES,
    Digits,
    best_cells,
    exact_cells,
    numeric_columns,
    printed_cells,
)
from sscdl.tables.findings.scores import MEAN
from sscdl.tables.headings import FIGURE, SUMMARY, place
from sscdl.tables.html_table import Content, page, section

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
    text: Path,
    *,
    study: str,
    facts: Sequence[tuple[str, str]],
    images_csv: Path,
    tables: Mapping[str, Path],
    figures: Mapping[str, Path],
) -> None:
    """Write the summary as a page, the description of the study for the report, and a few lines.

    Args:
        out: the page.
        description: the same without results, as reStructuredText.
        text: what came out, as the end of a run says it on the terminal.
        study: name of the study.
        facts: what was run, as (heading, text).
        images_csv: the study's list of images.
        tables: CSV files by name; needed are ``TRAININGS`` and ``ACCURACY``, ``ATTENTION`` and
            ``COMPARISONS``, or, of findings, ``FINDING_SCORES`` and ``FINDING_COMPARISONS``.
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
        _table(f"Images and patients by set.{_counted_twice(images)}", counts),
        *_results(read, figures),
        "<h2>How to read it</h2>",
        _definitions(
            [
                *reading(findings=FINDING_SCORES in read),
                *([OF_THESIS] if _beside_thesis(read.values()) else []),
            ]
        ),
    ]
    write_text(out, page(f"{place(SUMMARY)[1]}: {study}", parts))
    write_text(description, _description(study, facts, counts, found))
    write_text(text, outcome(read))


def image_counts(images: pd.DataFrame) -> pd.DataFrame:
    """Return images, patients and images of each label by split, from the rows of images.csv.

    An image that shows several findings counts with each of them.
    """
    labelled = by_label(images)
    labels = sorted(set(labelled["label"]) - {""})
    rows = []
    for split in split_names(images["split"]):
        part = images[images["split"] == split]
        row = {"set": _COHORTS.get(split, split), "images": len(part)}
        row["patients"] = part["patient_id"].nunique()
        # Not the bare name, which is a column of accuracies elsewhere.
        shown = labelled.loc[labelled["split"] == split, "label"]
        row |= {f"label {label}": int((shown == label).sum()) for label in labels}
        rows.append(row | {"without a label": int((part["label"] == "").sum())})
    table = pd.DataFrame(rows)
    if len(table) and not table["without a label"].any():
        table = table.drop(columns="without a label")
    return table


def _counted_twice(images: pd.DataFrame) -> str:
    several = holds_findings(images["label"])
    return " An image counts with each of the findings that it shows." if several else ""


def _beside_thesis(tables: Iterable[pd.DataFrame]) -> bool:
    """Return whether the thesis's figures stand in any of the tables."""
    return any(str(column).endswith("_thesis") for table in tables for column in table)


def _results(tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Path]) -> list[str]:
    """Return the main tables, each with its figure, those that most readers want first."""
    scored = scores(tables)
    shown = ["variant", "curriculum", "against", "difference", "difference_low", "difference_high",
             "another_low", "another_high", "p_holm", "verdict"]  # fmt: skip
    parts = ["<h2>Scores</h2>", _image(figures, "accuracy_overview"), _scores(scored)]
    if FINDING_SCORES in tables:
        parts.append(_by_finding(tables[FINDING_SCORES], scored.digits))
    parts += [
        "<h2>Comparisons</h2>",
        *(_image(figures, name) for name in figures if name.startswith(COMPARISONS)),
        _table(f"{scored.name}: differences, in percent points.", scored.comparisons[shown],
               digits=P_VALUES),
    ]  # fmt: skip
    if ATTENTION in tables:
        looked = ["variant", "curriculum", *(f"ail{part}" for part in ("", *_PARTS))]
        looked += list(UNTAUGHT)
        looked += [f"{lift}{part}" for lift in LIFTS for part in ("", "_low", "_high")]
        parts += [
            "<h2>Attention</h2>",
            _image(figures, "4.3_ail_by_model"),
            _table("Attention inside the lungs (AIL), in percent, beside what scores without "
                   "having learnt anything, and AIL minus these (lift), in percent points.",
                   tables[ATTENTION][looked]),
        ]  # fmt: skip
    if SHORTCUT in figures:
        parts += ["<h2>Shortcut</h2>", _image(figures, SHORTCUT)]
    return [part for part in parts if part]


def _scores(scored: Scores) -> str:
    """Return the table of a study's scores: what a first reading needs, results and intervals."""
    table = scored.table
    names = variants(table)
    shown = [f"{variant}{part}" for variant in names for part in ("", *_PARTS)]
    shown = ["curriculum", *(column for column in [*shown, "chance"] if column in table)]
    digits = dict.fromkeys(shown, scored.digits)
    return _table(f"{scored.name}{scored.measured}.", table[shown], digits=digits, best=names)


def _by_finding(table: pd.DataFrame, digits: int) -> str:
    """Return the table of the scores of each finding."""
    areas = ["auc", "auc_low", "auc_high"]
    shown = ["variant", "curriculum", "finding", "n_positive_patients", *areas]
    single = table[table["finding"] != MEAN]
    return _table("AUC of each finding.", single[shown], digits=dict.fromkeys(areas, digits))


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
