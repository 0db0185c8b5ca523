"""Writing a table as CSV (exact, for programs), Markdown, LaTeX and a web page (for people)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from sscdl.errors import InputError
from sscdl.files import write_text
from sscdl.tables import html_table
from sscdl.tables.headings import place

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
# Beyond this many columns a table does not fit a page at its natural width.
_WIDE = 8
_EXACT = "%.10g"
# Decimals, or what prints a finite number.
Digits = int | Callable[[float], str]


class PredictionTable(NamedTuple):
    """A table made from predictions alone: its function, how it is captioned and rounded.

    ``of_thesis`` are notes that it needs only where the thesis's figures stand in it; ``best`` says
    whether the highest accuracies are marked.
    """

    make: Callable[..., pd.DataFrame]
    caption: str
    notes: tuple[str, ...]
    of_thesis: tuple[str, ...] = ()
    best: bool = False


def escape_tex(text: str) -> str:
    """Return ``text`` with LaTeX's special characters escaped."""
    return "".join(_TEX.get(character, character) for character in text)


def escape_markdown(text: str) -> str:
    """Return ``text`` safe inside a cell of a Markdown table."""
    return re.sub(r"([\\|*`<])", r"\\\1", text).replace("\n", " ")


def as_given(value: float) -> str:
    """Return a number that somebody chose, such as a learning rate: all of its digits."""
    return f"{value:g}"


def p_value(value: float) -> str:
    """Return a probability with four decimals, and one that would print as nothing as a bound."""
    return "<0.0001" if value < 5e-5 else f"{value:.4f}"


P_VALUES: Mapping[str, Digits] = dict.fromkeys(("p", "p_holm", "p_equivalent"), p_value)


def _cell(value: Any, digits: Digits) -> str:
    """Return a value as printed: numbers rounded, undefined ones empty."""
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        if not isinstance(digits, int):
            return digits(float(value))
        text = f"{value:.{digits}f}"
        # A rounded -0.0 would read as a direction that is not there.
        return text.removeprefix("-") if float(text) == 0 else text
    return str(value)


def numeric_columns(df: pd.DataFrame) -> set[str]:
    """Return the names of the columns that hold numbers and nothing else."""
    return {
        str(name)
        for name in df.columns
        if df[name].notna().any()
        and all(
            isinstance(value, Number) and not isinstance(value, bool | np.bool_)
            for value in df[name].dropna()
        )
    }


def exact_cells(df: pd.DataFrame) -> dict[str, list[str]]:
    """Return the cells of each column as the CSV has them, but yes and no as they are printed."""
    cells = {}
    for name in df.columns:
        cells[str(name)] = [
            _EXACT % value
            if isinstance(value, float | np.floating) and np.isfinite(value)
            else _cell(value, 0)
            for value in df[name]
        ]
    return cells


def printed_cells(df: pd.DataFrame, digits: int | Mapping[str, Digits]) -> dict[str, list[str]]:
    """Return the cells of each column as they are printed, with 2 decimals where none are named."""
    places = {} if isinstance(digits, int) else digits
    default = digits if isinstance(digits, int) else 2
    return {
        str(name): [_cell(value, places.get(str(name), default)) for value in df[name]]
        for name in df.columns
    }


def best_cells(
    df: pd.DataFrame,
    printed: Mapping[str, list[str]],
    best: Mapping[str, Literal["max", "min"]],
    groups: Sequence[Any] | None,
) -> set[tuple[int, str]]:
    """Return (row, column) of the best values; values that print alike share the honour.

    None is best where there is nothing to choose from: one value, or only values that print alike.
    """
    of = [0] * len(df) if groups is None else list(groups)
    cells = set()
    for column, direction in best.items():
        if column not in printed or direction not in ("max", "min"):
            raise InputError(
                f"table: best must map columns to max or min, got {column!r}: {direction!r}"
            )
        values = pd.to_numeric(df[column]).to_numpy(dtype=float)
        for group in dict.fromkeys(name for name in of if name is not None):
            rows = [
                row for row, name in enumerate(of) if name == group and np.isfinite(values[row])
            ]
            if len({printed[column][row] for row in rows}) < 2:
                continue
            winner = (max if direction == "max" else min)(rows, key=lambda row: values[row])
            cells |= {
                (row, column) for row in rows if printed[column][row] == printed[column][winner]
            }
    return cells


def _markdown(
    printed: Mapping[str, list[str]],
    numeric: set[str],
    bold: set[tuple[int, str]],
    caption: str,
    notes: Sequence[str],
) -> str:
    names = list(printed)
    lines = [
        f"**{escape_markdown(caption)}**",
        "",
        "| " + " | ".join(escape_markdown(name) for name in names) + " |",
        "| " + " | ".join("---:" if name in numeric else ":---" for name in names) + " |",
    ]
    for row in range(len(printed[names[0]]) if names else 0):
        cells = [escape_markdown(printed[name][row]) or "–" for name in names]
        marked = [
            f"**{cell}**" if (row, name) in bold else cell
            for name, cell in zip(names, cells, strict=True)
        ]
        lines.append("| " + " | ".join(marked) + " |")
    if notes:
        lines += ["", *(f"- {escape_markdown(note)}" for note in notes)]
    return "\n".join(lines) + "\n"


def _latex(
    printed: Mapping[str, list[str]],
    numeric: set[str],
    bold: set[tuple[int, str]],
    caption: str,
    notes: Sequence[str],
    label: str,
) -> str:
    names = list(printed)
    body = [
        r"\begin{tabular}{" + "".join("r" if name in numeric else "l" for name in names) + "}",
        r"\toprule",
        " & ".join(escape_tex(name) for name in names) + r" \\",
        r"\midrule",
    ]
    for row in range(len(printed[names[0]]) if names else 0):
        cells = [escape_tex(printed[name][row]) or "--" for name in names]
        marked = [
            rf"\textbf{{{cell}}}" if (row, name) in bold else cell
            for name, cell in zip(names, cells, strict=True)
        ]
        body.append(" & ".join(marked) + r" \\")
    body += [r"\bottomrule", r"\end{tabular}"]
    if len(names) > _WIDE:
        body = [r"\resizebox{\textwidth}{!}{%", *body[:-1], body[-1] + "}"]
    lines = [
        "% needs the package booktabs" + (" and graphicx" if len(names) > _WIDE else ""),
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{escape_tex(caption)}}}",
        rf"\label{{tab:{label}}}",
        *body,
        *(rf"\par\smallskip\footnotesize {escape_tex(note)}" for note in notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def write_table(
    df: pd.DataFrame,
    stem: Path,
    *,
    caption: str,
    notes: Sequence[str] = (),
    digits: int | Mapping[str, Digits] = 2,
    best: Mapping[str, Literal["max", "min"]] | None = None,
    groups: Sequence[Any] | None = None,
) -> list[Path]:
    """Write ``df`` as ``<stem>.csv``, ``.md``, ``.tex`` and ``.html``, each atomically.

    The CSV has ten significant digits and no rounding beyond that, and empty cells where a value is
    undefined; the others are rounded and carry caption and notes.

    Args:
        df: the table; its column names become the header.
        stem: path without suffix; dots in the name (``4.14_accuracy_overview``) are kept.
        caption: one sentence above the table.
        notes: remarks below it.
        digits: decimals of floating-point columns, or what prints them, for all or by column (2
            where not named).
        best: columns whose best value is set bold, with ``max`` or ``min``, where there are at
            least two to choose from; a note says what bold means.
        groups: for each row what it competes among, None if it does not; all rows if not given.

    Returns:
        the four paths.

    Raises:
        InputError: ``best`` names a column that is not there, or no direction.
    """
    printed = printed_cells(df, digits)
    bold = best_cells(df, printed, best or {}, groups)
    numeric = numeric_columns(df)
    stem = Path(stem)
    paths = [stem.parent / f"{stem.name}.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    label = re.sub(r"[^A-Za-z0-9.-]", "-", stem.name)
    csv = df.to_csv(index=False, float_format=_EXACT, lineterminator="\n")
    remarks = [*notes, html_table.BOLD] if bold else notes
    table = html_table.Content(
        caption=caption,
        exact=exact_cells(df),
        printed=printed,
        numeric=numeric,
        bold=bold,
        notes=notes,
        csv=csv,
        file=paths[0].name,
    )
    write_text(paths[0], csv)
    write_text(paths[1], _markdown(printed, numeric, bold, caption, remarks))
    write_text(paths[2], _latex(printed, numeric, bold, caption, remarks, label))
    write_text(paths[3], html_table.page(place(stem.name)[1], [html_table.section(table)]))
    return paths
