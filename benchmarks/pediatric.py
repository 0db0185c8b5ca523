"""Runs config/pediatric.yaml and prints the tables of docs/results-pediatric.md.

python benchmarks/pediatric.py --root /data/pediatric-cxr
python benchmarks/pediatric.py --print     # of a run that is finished
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from benchmarks.nih_seeds import (
    MODEL,
    Tables,
    accuracies,
    attention,
    comparisons,
    probes,
    run_and_print,
)


def main() -> None:
    """Run the study and print its tables."""
    run_and_print("pediatric", "table", MAKERS, __doc__.splitlines()[0])


def accuracies_alone(tables: Tables) -> pd.DataFrame:
    """Return each model's accuracy; nothing is known of these images that metadata could tell."""
    return accuracies(tables).drop(columns="above metadata")


def rates(tables: Tables) -> pd.DataFrame:
    """Return how many seeds chose each learning rate of each stage."""
    tried = tables["learning_rates"].drop_duplicates([*MODEL, "stage", "seed", "lr"])
    named = tried.assign(rate=tried["lr"].map("{:g}".format))
    chosen = named.pivot_table(
        values="chosen", index=[*MODEL, "stage"], columns="rate", aggfunc="sum", sort=False
    )
    return chosen.map(lambda seeds: "" if pd.isna(seeds) else f"{seeds:.0f}").reset_index()


MAKERS = (accuracies_alone, comparisons, probes, attention, rates)

if __name__ == "__main__":
    main()
