"""Tables as web pages of one file: sortable, searchable, printable, and without anything to load.

A page shows what a reader wants to see, rounded: an interval stands under its value instead of in
columns of its own, and columns without any value are left out. The exact table is in the page, too,
as the CSV file that its link saves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from sscdl.tables.column_texts import explain, heading
from sscdl.words import many

_HERE = Path(__file__).parent
# Nothing is fetched and nothing sent, whatever a label of a data set may contain.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
BOLD = "Bold: the best of those that it competes with, which need not be more than chance."
_LONG = 45  # characters; longer texts are broken into lines
_FILTERED = 12  # rows from which on a field to search in them is worth its place


@dataclass(frozen=True)
class Content:
    """A table ready for print: ``exact`` and ``printed`` have a list of cells for each column.

    ``exact`` holds what is sorted by, numbers as texts of full precision; empty is undefined.
    """

    caption: str
    exact: Mapping[str, Sequence[str]]
    printed: Mapping[str, Sequence[str]]
    numeric: set[str]
    bold: set[tuple[int, str]] = field(default_factory=set)
    notes: Sequence[str] = ()
    csv: str = ""
    file: str = "table.csv"


def page(title: str, parts: Iterable[str]) -> str:
    """Return a whole page of the given parts, each HTML."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_read('html_table.css')}</style>",
            "</head>",
            "<body>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            f"<script>\n{_read('html_table.js')}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def section(table: Content) -> str:
    """Return a table with its caption, the means to search and save it, and its notes."""
    intervals = _intervals(table)
    inside = {name for columns in intervals.values() for name in columns.values()}
    height = len(next(iter(table.exact.values()), ()))
    empty = [name for name, cells in table.exact.items() if height and not any(cells)]
    shown = [name for name in table.exact if name not in inside and name not in empty]
    empty = [name for name in empty if name not in inside]
    lines = [
        '<section class="table">',
        f"<p>{escape(table.caption)}</p>",
        _tools(table, height),
        f'<div class="frame" tabindex="0" role="region" aria-label="{escape(table.caption)}">',
        "<table>",
        "<thead><tr>",
        *(_header(name, name in table.numeric) for name in shown),
        "</tr></thead>",
        "<tbody>",
    ]
    for row in range(height):
        cells = [
            _cell(table, row, name, intervals.get(name, {}), first=name == shown[0])
            for name in shown
        ]
        lines.append("<tr>" + "".join(cells) + "</tr>")
    lines += ["</tbody>", "</table>", "</div>"]
    lines += [] if height else ["<p>No rows.</p>"]
    lines += _below(table, shown, intervals, empty)
    return "\n".join([*lines, "</section>"])


def _intervals(table: Content) -> dict[str, dict[str, str]]:
    """Return for each column that has them its columns ``low``, ``high`` and perhaps ``std``.

    They are called after their column, or belong to the last number before them.
    """
    found: dict[str, dict[str, str]] = {}
    last = ""
    for name in table.exact:
        stem, _, part = name.rpartition("_")
        if part not in ("low", "high", "std"):
            last = name if name in table.numeric else last
            continue
        owner = stem or last
        if owner in table.exact:
            found.setdefault(owner, {})[part] = name
    return {owner: parts for owner, parts in found.items() if {"low", "high"} <= parts.keys()}


def _tools(table: Content, height: int) -> str:
    parts = ['<div class="tools">']
    if height >= _FILTERED:
        parts.append('<label>Show rows with <input type="search"></label>')
    parts.append(f"<output>{many(height, 'row')}</output>")
    if table.csv:
        name = escape(table.file)
        # Script elements end at the first "</", also within a text.
        text = json.dumps(table.csv).replace("<", "\\u003c")
        parts.append(f'<a download="{name}" href="#" hidden>Save the exact table ({name})</a>')
        parts.append(f'<script type="text/csv">{text}</script>')
    return "\n".join([*parts, "</div>"])


def _header(name: str, numeric: bool) -> str:
    classes = ' class="number"' if numeric else ""
    whose = "<small>thesis</small>" if name.endswith("_thesis") else ""
    return (
        f'<th scope="col" data-column="{escape(name)}" aria-sort="none"{classes}>'
        f'<button type="button" title="{escape(explain(name) or name)}">'
        f"{escape(heading(name))}{whose}</button></th>"
    )


def _cell(table: Content, row: int, name: str, parts: Mapping[str, str], *, first: bool) -> str:
    text = table.printed[name][row]
    classes = [
        kind
        for kind, holds in (
            ("number", name in table.numeric),
            ("best", (row, name) in table.bold),
            ("empty", not text),
            ("long", len(text) > _LONG),
        )
        if holds
    ]
    attributes = f' class="{" ".join(classes)}"' if classes else ""
    content = escape(text) or "–"
    small = _interval(table, row, parts) if text else ""
    if small:
        content += f"<small>{escape(small)}</small>"
    element, scope = ("th", ' scope="row"') if first else ("td", "")
    value = escape(table.exact[name][row])
    return f'<{element}{scope} data-value="{value}"{attributes}>{content}</{element}>'


def _interval(table: Content, row: int, parts: Mapping[str, str]) -> str:
    """Return the interval of one value and its spread between seeds, as far as they are known."""
    printed = {part: table.printed[name][row] for part, name in parts.items()}
    low, high, std = (printed.get(part, "") for part in ("low", "high", "std"))
    spread = f"± {std}" if std else ""
    return ", ".join(filter(None, [f"{low} to {high}" if low and high else "", spread]))


def _below(
    table: Content,
    shown: Sequence[str],
    intervals: Mapping[str, Mapping[str, str]],
    empty: Sequence[str],
) -> list[str]:
    """Return the notes of a table and what its columns mean."""
    notes = list(table.notes)
    drawn = [owner for owner in intervals if owner in shown]
    if drawn:
        text = "Under a value: its 95 % interval"
        spread = any(any(table.exact[intervals[o]["std"]]) for o in drawn if "std" in intervals[o])
        notes.append(text + ("; ± its standard deviation between seeds." if spread else "."))
    if table.bold:
        notes.append(BOLD)
    if empty:
        notes.append(f"Columns without any value are not shown: {', '.join(empty)}.")
    lines = ["<ul>", *(f"<li>{escape(note)}</li>" for note in notes), "</ul>"] if notes else []
    known = [(name, explain(name)) for name in shown if explain(name)]
    if known:
        lines += ["<details>", "<summary>What the columns mean</summary>", "<dl>"]
        lines += [
            f"<dt>{escape(heading(name))} <code>{escape(name)}</code></dt><dd>{escape(text)}</dd>"
            for name, text in known
        ]
        lines += ["</dl>", "</details>"]
    return lines
