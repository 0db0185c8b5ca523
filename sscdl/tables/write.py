"""From the files of a study to its tables: what each is made from, and how it is written.

``thesis/write.py`` writes those that need more than predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sscdl.archives.cohorts import DUPLICATE, MAIN
from sscdl.errors import InputError
from sscdl.evaluation.metrics import class_names
from sscdl.evaluation.prediction_files import NETWORK
from sscdl.images.held_out import read_as_texts
from sscdl.images.variants import mean_std
from sscdl.own_csv import SAME_FILE, read_own
from sscdl.records import PACK, read_record
from sscdl.store.store import read_pointer
from sscdl.study.root_names import stand_in_notes
from sscdl.study.trie import PRETEXT_TASKS, curriculum_of
from sscdl.tables import overview
from sscdl.tables.files import P_VALUES, as_given, write_table
from sscdl.tables.overview import beside_thesis
from sscdl.tables.predictions import AIL_NOTES, PREDICTION_TABLES
from sscdl.tables.rates import FEWEST_EPOCHS, learning_rates, search_costs, trainings
from sscdl.tasks.options import DECLARATIONS
from sscdl.words import many

# Columns of every file of predictions, and of those of models, untrained networks aside.
OF_ALL = ("variant", "image_id", "patient_id", "split", "label")
OF_MODELS = ("curriculum", "seed", "predicted")


def read_predictions(paths: Iterable[Path]) -> pd.DataFrame:
    """Return the predictions of several files as one table.

    Raises InputError, naming the file, for one that is empty, cut off or no table, or lacks a
    column that all have, or what stands there: its rows would count as images without a label and
    the like.
    """
    texts = ("patient_id", "image_id", "label", "predicted", "view", "sex")
    kept, shared = dict.fromkeys(texts, str), _Shared()
    # Column by column, or everything would be in memory twice.
    columns: dict[str, list[pd.DataFrame]] = {}
    without: list[pd.DataFrame] = []  # for each file its rows, for columns that it has not
    for path in paths:
        part = read_own(path, dtype=kept, keep_default_na=False, na_values=[""])
        if part.empty:
            raise InputError(f"{path}: has no rows; {SAME_FILE}")
        of_model = NETWORK not in part or "curriculum" in part
        for column in (*OF_ALL, *(OF_MODELS if of_model else ())):
            if column not in part:
                raise InputError(f"{path}: has no column {column!r}; {SAME_FILE}")
            if column != "label" and part[column].isna().any():
                raise InputError(f"{path}: has empty cells in column {column!r}; {SAME_FILE}")
        for column in map(str, part):
            # Probabilities of a class are in none of the rows, or in all.
            if column.startswith("prob_") and 0 < part[column].isna().sum() < len(part):
                raise InputError(f"{path}: has empty cells in column {column!r}; {SAME_FILE}")
            if part[column].dtype == "str":
                part[column] = shared.column(part[column])
            columns.setdefault(column, [*without]).append(part[[column]])
        without.append(part[[]])
        for column in columns.keys() - set(part):
            columns[column].append(without[-1])
    whole = {name: pd.concat(columns.pop(name), ignore_index=True)[name] for name in list(columns)}
    rows = pd.DataFrame(whole, copy=False)
    for column in rows.columns.intersection(["view", "sex", "label"]):
        rows[column] = rows[column].fillna("")
    return rows


class _Shared:
    """Columns of texts in which equal texts are one object, also of the files read before.

    Otherwise each cell is an object of its own, and a large study does not fit into memory.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._last: dict[str, pd.Series] = {}

    def column(self, texts: pd.Series) -> pd.Series:
        """Return ``texts`` in such objects."""
        name = str(texts.name)
        # Most files are of the same images in the same order.
        if name not in self._last or not texts.equals(self._last[name]):
            codes, unique = pd.factorize(texts)
            kind: Any = texts.dtype
            known = [self._known.setdefault(text, text) for text in unique.tolist()]
            once: Any = pd.array(known, dtype=kind)
            self._last[name] = pd.Series(once.take(codes, allow_fill=True), texts.index, name=name)
        return self._last[name]


def write_prediction_table(
    name: str,
    predictions: list[Path],
    out: Path,
    *,
    split: str,
    convention: str,
    thesis: Path,
    thesis_figures: bool,
    margin: float,
    stand_ins: list[str],
    map_notes: list[str],
    split_notes: Sequence[str] = (),
) -> None:
    """Write the table ``name`` of ``PREDICTION_TABLES`` as CSV, Markdown and LaTeX.

    ``convention`` says what the lung masks count as lung; ``thesis_figures`` whether those that the
    thesis prints stand in the table; ``stand_ins`` names the roots whose weights are random;
    ``map_notes`` is what is to be said of attention, ``split_notes`` of a given split.
    """
    table = PREDICTION_TABLES[name]
    rows = read_predictions(predictions)
    frame, notes = beside_thesis(
        table.make(rows, split, thesis, margin),
        table.notes,
        table.of_thesis,
        figures=thesis_figures,
        classes=class_names(rows),
    )
    best: dict[str, Literal["max", "min"]] = {
        str(column): "max" for column in frame if table.best and f"{column}_low" in frame
    }
    if "overview" in name:
        notes.append(f"Set of images: {split}.")
    notes += split_notes
    shown = {*frame.get("variant", []), *frame.get("shown", [])} if "ail" in frame else set()
    notes += [note for name, note in AIL_NOTES.items() if f"{name}_floor" in frame or name in shown]
    if any("ail" in column or column.endswith("_floor") for column in map(str, frame)):
        notes += [f"Lung masks: {convention}.", *map_notes]
    notes += stand_in_notes(stand_ins)
    digits = {**P_VALUES, "n_labels": 0, "n_fewest": 0, "threshold": 3, "threshold_std": 3}
    parts = ("std", "low", "high", "prior", "against", "chance", "rest", "draws")
    for key in ("auc", "average_precision", "f1", "brier", "nll"):
        digits |= {key: 3} | {f"{key}_{part}": 3 for part in parts}
    write_table(
        frame,
        out.with_suffix(""),
        caption=table.caption,
        notes=notes,
        digits=digits,
        best=best,
        groups=[tasks or None for tasks in frame["tasks"]] if best else None,
    )


def write_normalisation(
    packs: dict[str, Path],
    images_csv: Path,
    out: Path,
    *,
    protocol: str,
    thesis: Path,
    thesis_figures: bool,
) -> None:
    """Write table 4.1: mean and standard deviation of each variant, over the protocol's images."""
    images = read_as_texts(images_csv)
    chosen = images[(images["cohort"] == MAIN) & (images["split"] != DUPLICATE)]
    if protocol == "strict":
        chosen = chosen[chosen["split"] == "train"]
    rows = []
    for variant, pack in packs.items():
        kept = chosen if variant == "full" else chosen[chosen["mask"] != ""]
        mean, std = mean_std(read_record(pack, PACK), set(kept["image_id"]))
        rows.append({"variant": variant, "mean": mean, "std": std})
    whose = "training patients" if protocol == "strict" else "all images"
    table, notes = beside_thesis(
        overview.normalisation(pd.DataFrame(rows), thesis_dir=thesis),
        [f"Measured on {whose}."],
        figures=thesis_figures,
    )
    write_table(
        table,
        out.with_suffix(""),
        caption="Mean and standard deviation of the pixel values of each variant, in [0, 1].",
        notes=notes,
        digits=4,
    )


def read_runs(pointers: Iterable[Path]) -> list[dict[str, Any]]:
    """Return one dictionary per training run of the nodes behind ``pointers``.

    Keys: variant, curriculum, stage ("pretext" or "classification"), seed, lr, metric, epochs,
    value, chosen, history, final (whether it is the continuation of the chosen rate), averaged
    (whether its value is that of averages of its weights).
    """
    runs = []
    for path in pointers:
        node = read_pointer(path)
        stage = "pretext" if node["task"] in PRETEXT_TASKS else "classification"
        common = {key: node[key] for key in ("variant", "seed", "metric")}
        common |= {"curriculum": curriculum_of(node["node"]), "stage": stage}
        for run in [*node["candidates"], node["final"]]:
            value = float("nan") if run["value"] is None else run["value"]
            runs.append(
                {
                    **common,
                    "lr": run["learning_rate"],
                    "epochs": run["epochs"],
                    "value": value,
                    "chosen": run["learning_rate"] == node["learning_rate"],
                    "history": run["history"],
                    "final": run is node["final"],
                    "averaged": run.get("averaged", False),
                }
            )
    return runs


def write_learning_rates(
    pointers: list[Path], out: Path, *, thesis: Path, thesis_figures: bool
) -> None:
    """Write every learning rate that was tried: the thesis's tables B.1 to B.12 in one."""
    table, notes = beside_thesis(
        learning_rates(read_runs(pointers), thesis_dir=thesis),
        ["Accuracies in percent, mean AUC in [0, 1]. Empty: the loss became infinite."],
        figures=thesis_figures,
    )
    write_table(
        table,
        out.with_suffix(""),
        caption="Every learning rate of every stage, and the continuation of the best.",
        notes=notes,
        digits={"lr": as_given, "value": 3},
    )


def write_trainings(pointers: list[Path], out: Path) -> None:
    """Write what the training of each of the stages behind ``pointers`` came to."""
    told = [task for task, declared in DECLARATIONS.items() if declared.learnt_by]
    write_table(
        trainings([read_pointer(path) for path in pointers]),
        out.with_suffix(""),
        caption="What the training of every stage came to, by its last epoch.",
        notes=[
            "learnt: yes: the loss is below loss_nothing by more than a hundredth of it; not "
            "shown: it is not; empty: the losses do not say, as of tasks other than "
            f"{', '.join(told)}. The next stage starts from such weights all the same.",
            f"Of fewer than {FEWEST_EPOCHS} epochs a task with a floor is said to have learnt only "
            "where the loss is below a half of it.",
            "loss_nothing: of guessing, or the floor in training. Networks that were not trained "
            "are below a floor, too: there the share has to have risen since the first epoch by "
            "more than varies between epochs, or to be above a half.",
            "feature_std, knn_accuracy: of a few hundred training images, to watch a training by. "
            "In the latter classes count alike, so that chance is 100 over their number.",
        ],
        digits={"lr": as_given, "loss": 3, "loss_nothing": 3, "feature_std": 2},
    )


def write_search(
    pointers: list[Path], searches: list[dict[str, Any]], out: Path, *, halving: dict[str, Any]
) -> None:
    """Write what each stage's search of learning rates cost, by grid and by halving.

    ``searches`` has ``search`` and ``search_epochs`` of each of the stages behind ``pointers``.
    """
    nodes = [read_pointer(path) | one for path, one in zip(pointers, searches, strict=True)]
    table = search_costs(nodes, halving)
    agreed = table["agree"].dropna()
    grid, halved = table["epochs_grid"].sum(), table["epochs_halving"].sum()
    notes = [
        f"In all {many(int(halved), 'epoch')} by halving instead of {grid} by grid: "
        f"{100 * (1 - halved / grid):.0f} % saved.",
        "saved: percent of the search epochs of the grid. agree: whether both choose alike; "
        "empty where the stage was searched by halving, as the grid's choice is then unknown.",
    ]
    if len(agreed):
        notes.append(f"Halving would choose as the grid did in {sum(agreed)} of {len(agreed)}.")
    write_table(
        table,
        out.with_suffix(""),
        caption="Search epochs of every stage: the full grid beside successive halving.",
        notes=notes,
        digits={
            "saved": 0,
            "chosen_grid": as_given,
            "chosen_halving": as_given,
            "value_grid": 3,
            "value_halving": 3,
        },
    )
