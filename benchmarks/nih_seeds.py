"""Runs config/nih-seeds.yaml and prints the tables of docs/results-nih.md.

python benchmarks/nih_seeds.py --root /data/nih-siim --cores 2
python benchmarks/nih_seeds.py --print     # of a run that is finished
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
MODEL = ["variant", "curriculum"]
Tables = Mapping[str, pd.DataFrame]
Maker = Callable[[Tables], pd.DataFrame]


def main() -> None:
    """Run the study and print its tables."""
    makers = (accuracies, groups, comparisons, attention, shown_others, probes)
    run_and_print("nih-seeds", "siim", makers, __doc__.splitlines()[0])


def run_and_print(study: str, layout: str, makers: Iterable[Maker], about: str) -> None:
    """Run the study of a configuration of the same name, as the command line asks; print tables.

    Args:
        study: its name, that of its configuration and of its results.
        layout: layout of its archive, whose root the command line gives.
        makers: what makes the tables of its page.
        about: what the command says of itself.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--cores", default="2")
    parser.add_argument("--root", help="folder of the images; needed but for --print")
    parser.add_argument("--print", action="store_true", help="the tables of a finished run alone")
    arguments = parser.parse_args()
    if not arguments.print:
        if not arguments.root:
            parser.error("--root: missing; the folder of the images, see its page in docs/")
        root = Path(arguments.root).resolve()
        command = [
            sys.executable, "-m", "snakemake", "all", "--cores", arguments.cores,
            "--resources", f"gpu={arguments.cores}", "--configfile", f"config/{study}.yaml",
            "--config", f'dataset={{{layout}: {{root: "{root}"}}}}',
        ]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)
    print_tables(ROOT / f"results/{study}/tables", makers)


def print_tables(folder: Path, makers: Iterable[Maker]) -> None:
    """Print what a page shows of the tables in ``folder``, as Markdown."""
    tables = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
    for make in makers:
        print(make(tables).to_markdown(index=False, disable_numparse=True), "\n")


def accuracies(tables: Tables) -> pd.DataFrame:
    """Return each model's accuracy, its spread between seeds, and what it has above metadata."""
    rows = tables["subgroups"].query("group == 'all'")
    details = tables["accuracy_details"].query("split == 'test'").set_index(MODEL)
    return pd.DataFrame(
        {
            **{key: rows[key] for key in MODEL},
            "balanced accuracy": _with_interval(rows, "balanced_accuracy"),
            "sd of seeds": rows["balanced_accuracy_std"].map("{:.1f}".format),
            "AUC": [f"{details.loc[tuple(key), 'auc']:.3f}" for key in rows[MODEL].to_numpy()],
            "above metadata": _with_interval(rows, "difference"),
        }
    )


def groups(tables: Tables) -> pd.DataFrame:
    """Return each model's accuracy within groups of images, and in how many metadata is beaten."""
    rows = tables["subgroups"].query("group != 'all'")
    wide = rows.pivot_table(values="balanced_accuracy", index=MODEL, columns="group", sort=False)
    beaten = (rows["verdict"] == "beats metadata").groupby([rows[k] for k in MODEL], sort=False)
    text = wide.map("{:.1f}".format)
    text["beats metadata in"] = beaten.sum().astype(str) + f" of {wide.shape[1]}"
    counts = rows.drop_duplicates("group").set_index("group")["n_images"]
    text = text.rename(columns={name: f"{name} (n {counts[name]})" for name in wide})
    return text.reset_index()


def comparisons(tables: Tables) -> pd.DataFrame:
    """Return each model's difference to no pretraining and to its first task."""
    rows = tables["comparisons"]
    return pd.DataFrame(
        {
            **{key: rows[key] for key in (*MODEL, "against")},
            "difference": _with_interval(rows, "difference"),
            "another training": _limits(rows, "another"),
            "detectable": rows["detectable"].map("{:.1f}".format),
            "p after Holm": rows["p_holm"].map("{:.2f}".format),
            "verdict": rows["verdict"],
        }
    )


def attention(tables: Tables) -> pd.DataFrame:
    """Return each model's attention inside the lungs beside what needs no trained model."""
    rows = tables["attention"]
    return pd.DataFrame(
        {
            **{key: rows[key] for key in MODEL},
            "AIL": _with_interval(rows, "ail"),
            "sd of seeds": rows["ail_std"].map("{:.1f}".format),
            "area": rows["floor"].map("{:.1f}".format),
            "centre": rows["ail_centre"].map("{:.1f}".format),
            "untrained": _with_spread(rows, "ail_random"),
            "above untrained": _with_interval(rows, "lift_random"),
            "contrast map": _with_interval(rows, "ail_contrast"),
            "above untrained (contrast)": _with_interval(rows, "lift_contrast_random"),
        }
    )


def shown_others(tables: Tables) -> pd.DataFrame:
    """Return the accuracy of each model on the pictures of the other variant, and its fall."""
    rows = tables["cross_variants"]
    rows = rows[rows["shown"] != rows["variant"]]
    return pd.DataFrame(
        {
            **{key: rows[key] for key in (*MODEL, "shown")},
            "balanced accuracy": _with_interval(rows, "balanced_accuracy"),
            "fall": _with_interval(rows, "drop"),
            "AIL": rows["ail"].map("{:.1f}".format),
        }
    )


def probes(tables: Tables) -> pd.DataFrame:
    """Return the accuracy of linear probes by share of the labels, and the lead over no training.

    The lead is that with all labels.
    """
    rows = tables["linear_probe"].astype({"label_share": float})
    wide = rows.pivot_table(
        values="balanced_accuracy", index=MODEL, columns="label_share", sort=False
    )
    labels = rows.groupby("label_share")["n_labels"].mean()
    text = wide.map("{:.1f}".format)
    text.columns = [f"{100 * share:g} % ({labels[share]:.0f} labels)" for share in wide]
    whole = rows[rows["label_share"] == 1].set_index(MODEL)
    text["above untrained, all labels"] = _with_interval(whole, "difference")
    return text.reset_index()


def _with_spread(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return texts such as "33.2 (13.4)": a mean and the standard deviation beside it."""
    return rows[[column, f"{column}_std"]].apply(lambda p: "{:.1f} ({:.1f})".format(*p), axis=1)


def _limits(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return texts such as "[66.8, 82.4]", empty where there is no value."""
    parts = rows[[f"{column}_low", f"{column}_high"]]
    return parts.apply(lambda p: "" if p.isna().any() else "[{:.1f}, {:.1f}]".format(*p), axis=1)


def _with_interval(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return texts such as "75.1 [66.8, 82.4]", empty where there is no value."""
    parts = rows[[column, f"{column}_low", f"{column}_high"]]
    return parts.apply(lambda p: "" if p.isna().any() else "{:.1f} [{:.1f}, {:.1f}]".format(*p), 1)


if __name__ == "__main__":
    main()
