"""The scores that a study is about, whatever they are, as one table and with what they are called.

Of studies of classes that is balanced accuracy, of studies of findings the mean AUC of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from sscdl.report.facts import listed
from sscdl.tables.findings.scores import CHANCE, MEAN, PARTS
from sscdl.words import many

ACCURACY, COMPARISONS = "4.14_accuracy_overview", "comparisons"
FINDING_SCORES, FINDING_COMPARISONS = "finding_scores", "finding_comparisons"


class Scores(NamedTuple):
    """The scores of every curriculum on every variant, and how they are told."""

    table: pd.DataFrame  # curriculum, and of each variant <variant>, <variant>_std, _low, _high
    comparisons: pd.DataFrame
    name: str
    unit: str  # after a number in a sentence
    measured: str  # unit of all numbers of a table
    digits: int
    chance: float
    caveats: Sequence[str] = ()

    def number(self, value: float) -> str:
        """Return a score as it is printed, without its unit."""
        return f"{value:.{self.digits}f}"


def scores(tables: Mapping[str, pd.DataFrame]) -> Scores:
    """Return the scores of a study's ``tables``: of findings if they are there, or of classes."""
    if FINDING_SCORES in tables:
        return _of_findings(tables[FINDING_SCORES], tables[FINDING_COMPARISONS])
    table = tables[ACCURACY]
    chance = float(table["chance"].iloc[0])
    name = "Balanced accuracy"
    return Scores(table, tables[COMPARISONS], name, " %", " in percent", digits=1, chance=chance)


def _of_findings(table: pd.DataFrame, comparisons: pd.DataFrame) -> Scores:
    means = table[table["finding"] == MEAN]
    wide = {"curriculum": means["curriculum"].unique()}
    for variant, rows in means.groupby("variant", sort=False):
        own = rows.set_index("curriculum").reindex(wide["curriculum"])
        wide |= {f"{variant}{part}": own[f"auc{part}"].to_numpy() for part in PARTS}
    few, most = means["n_findings"].min(), means["n_findings"].max()
    name = f"Mean AUC of {f'{few} to ' if few < most else ''}{many(most, 'finding')}"
    single = table[(table["finding"] != MEAN) & (table["n_findings"] == 0)]
    caveats = []
    if len(single):
        caveats.append(
            "Without scores and not in the mean, as fewer than two patients tested show it, or do "
            f"not, on every variant or some: {listed(list(single['finding'].unique()))}."
        )
    return Scores(
        pd.DataFrame(wide), comparisons, name, "", "", digits=3, chance=CHANCE, caveats=caveats
    )


def variants(table: pd.DataFrame) -> list[str]:
    """Return the variants of an overview that have results: each has columns of its own."""
    named = [str(column).removesuffix("_low") for column in table if str(column).endswith("_low")]
    return [name for name in named if name in table and table[name].notna().any()]
