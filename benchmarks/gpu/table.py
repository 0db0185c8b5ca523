"""The table of all results in benchmarks/README.md, between two markers. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.gpu.record import DONE, FOLDER, done, headline, read_results, result_files
from sscdl.files import write_text

BEGIN = "<!-- made by: python -m benchmarks.gpu --table -->"
END = "<!-- end of what is made -->"
NOTHING = "Nothing was run on a GPU so far.\n"
RATES = (
    "| network, task, batch | images/s | steps/s | floor, images/s | ratio | of the steps alone "
    "| as a graph | compiled | memory, MiB |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
)
FOUND = "| part | case | found |\n|---|---|---|\n"
IN_ROW = (
    "images_per_second",
    "steps_per_second",
    "floor_images_per_second",
    "ratio",
    "ratio_of_steps",
)
ASIDE = ("debug_places",)  # figures that are too long for a table
IN_RATES = ("speed", "bare", "memory")  # parts whose figures stand in the first table


def main(*, check: bool, readme: Path = FOLDER / "README.md", folder: Path = FOLDER) -> int:
    """Write the table, or with ``check`` say whether it is outdated; return the exit status."""
    text = readme.read_text(encoding="utf-8")
    now = written(text, tables(folder))
    if check and now != text:
        print(f"{readme}: not as python -m benchmarks.gpu --table writes it; run that")
        return 1
    if now != text:
        write_text(readme, now)
    return 0


def written(text: str, table: str) -> str:
    """Return ``text`` with ``table`` between the markers."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"no place for the table: {BEGIN} and {END} mark it")
    return f"{before}{BEGIN}\n\n{table}\n{END}{after}"


def tables(folder: Path) -> str:
    """Return the tables of all files of results in ``folder``."""
    return "\n".join(one_device(read_results(path)) for path in result_files(folder)) or NOTHING


def one_device(results: dict[str, Any]) -> str:
    """Return the tables of one device."""
    about, records = results.get("device", {}), results["records"]
    words = [f"torch {about.get('torch', '?')}", f"revision {results['revision'] or '?'}"]
    words += [f"{results['minutes']:g} minutes", results["began"]]
    if not results["finished"]:
        words.append("ended early")
    text = f"**{about.get('name', 'a device without a name')}** ({', '.join(words)}):\n\n"
    rows = _rates(records)
    if rows:
        text += RATES + "".join(rows) + "\n"
    others = [one for one in records if one["part"] not in IN_RATES or one["status"] != DONE]
    return text + FOUND + "".join(map(_line, others))


def _rates(records: list[dict[str, Any]]) -> list[str]:
    bare, memory = done(records, "bare"), done(records, "memory")
    rows = []
    for case, found in done(records, "speed").items():
        ways = (bare.get(f"{case} {way}", {}).get("gain") for way in ("graph", "compiled"))
        cells = [
            case,
            *(_number(found[name]) for name in IN_ROW),
            *("" if one is None else f"{one:.2f}" for one in ways),
            _number(memory.get(case, {}).get("allocated_mib", "")),
        ]
        rows.append(f"| {' | '.join(cells)} |\n")
    return rows


def _line(record: dict[str, Any]) -> str:
    if record["status"] == DONE:
        found = _words(record.get("figures", {}))
    else:
        reason = headline(record.get("error", ""))
        found = f"**{record['status']}**" + (f": {reason}" if reason else "")
    cells = [record["part"], record["case"], found.replace("|", "/")]
    return f"| {' | '.join(cells)} |\n"


def _words(value: Any) -> str:
    """Return figures as a line of words."""
    if isinstance(value, dict):
        shown = {key: one for key, one in value.items() if key not in ASIDE}
        return "; ".join(f"{key.replace('_', ' ')} {_inner(one)}" for key, one in shown.items())
    return _inner(value)


def _inner(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, dict):
        said = ", ".join(f"{key}: {_inner(one)}" for key, one in value.items())
        return f"({said})" if said else "none"
    if isinstance(value, list):
        return ", ".join(map(_inner, value)) or "none"
    return _number(value)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
