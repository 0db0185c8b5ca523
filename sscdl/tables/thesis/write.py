"""Writing the tables that are made from predictions and from the pointers of trained stages.

Those of the thesis by number of pretext tasks, of all learning rates, of the naive runs and of the
networks; and the kinds of curricula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sscdl.store.store import read_pointer
from sscdl.study.root_names import stand_in_notes
from sscdl.study.thesis import KINDS, OF_RATES, THESIS_TABLES, TWO_CLASSES
from sscdl.tables.column_texts import INTERVALS
from sscdl.tables.files import as_given, write_table
from sscdl.tables.overview import beside_thesis
from sscdl.tables.predictions import SWAPPED
from sscdl.tables.thesis.curriculum_kinds import curriculum_kinds, difficulties, means_by_kind
from sscdl.tables.thesis.tables import (
    CONTRADICTIONS,
    appendix,
    chosen_rates,
    naive,
    summary,
)
from sscdl.tables.write import read_predictions, read_runs

_MANY = {1: "one pretext task", 2: "two pretext tasks", 3: "three pretext tasks"}
_CAPTIONS = {
    "summary": "Chosen learning rate and balanced accuracy on {variant} after {tasks}, in percent.",
    "pretext": "Every learning rate of the pretext stages that complete {tasks}, on {variant}.",
    "classification": "Every learning rate of the classifier on {variant} after {tasks}.",
    "naive": "Accuracy of four classes on {variant} with one learning rate, in percent.",
    KINDS: "From easy to hard tasks or the other way round, and what each model gains, in percent.",
}
_NOTES = {
    "summary": (INTERVALS,),
    "pretext": ("Accuracies in percent, losses as they are, after the search.",),
    "classification": ("best: the chosen rate, trained to the end.", "Accuracies in percent."),
    "naive": ("mean: balanced accuracy; chance is 25.", INTERVALS),
    KINDS: (
        "difficulty: last loss of each task, trained alone from random weights, over the loss of a "
        "network that knows nothing of the images: that of guessing, or the floor in training of a "
        "task that has one (1 is no better; unknown: not trained alone in this study, or its loss "
        "does not say: dino, and tasks that have collapsed).",
        "kind: curriculum, from easy to hard; anti-curriculum, from hard to easy; mixed, neither.",
        "delta: difference to the first task alone in percent points, paired over patients.",
        INTERVALS,
    ),
}
_DIGITS: dict[str, int | Callable[[float], str]] = {
    **dict.fromkeys(("lr", "lr_thesis", "best_lr", "best_lr_thesis"), as_given),
    **{"epochs_thesis": 0, "batch_size_thesis": 0},
}
_BEST = {"summary": "accuracy", "naive": "mean"}


def make_table(
    name: str,
    rows: pd.DataFrame,
    pointers: Sequence[Path],
    *,
    split: str,
    thesis: Path,
    batches: Mapping[str, int],
) -> pd.DataFrame:
    """Return the table ``name`` of ``THESIS_TABLES``.

    ``pointers`` are those of the stages that ``nodes_of`` names; without them the cells that
    predictions cannot tell stay empty. Tables of all learning rates use no predictions.
    """
    kind = THESIS_TABLES[name].kind
    if kind == KINDS:
        hardness = difficulties([read_pointer(path) for path in pointers])
        return curriculum_kinds(rows, split, hardness=hardness, thesis_dir=thesis)
    runs = read_runs(pointers)
    if kind in OF_RATES:
        return appendix(runs, name, thesis_dir=thesis)
    rates = chosen_rates(runs)
    if kind == "summary":
        return summary(rows, name, split, rates=rates, thesis_dir=thesis)
    return naive(rows, name, split, rates=rates, batches=batches, thesis_dir=thesis)


def write_thesis_table(
    name: str,
    predictions: list[Path],
    pointers: list[Path],
    out: Path,
    *,
    split: str,
    thesis: Path,
    thesis_figures: bool,
    batches: Mapping[str, int],
    classes: Sequence[str],
    stand_ins: list[str],
    map_notes: list[str],
    split_notes: Sequence[str] = (),
) -> None:
    """Write the table ``name`` of ``THESIS_TABLES`` as CSV, Markdown and LaTeX.

    ``thesis_figures`` says whether those that the thesis prints stand in the table. ``classes`` are
    those of the study; ``stand_ins`` names the roots whose weights are random; ``map_notes``
    is what is to be said of attention, ``split_notes`` of a given split.
    """
    kind, variant, tasks = THESIS_TABLES[name]
    rows = read_predictions(predictions) if predictions else pd.DataFrame()
    frame = make_table(name, rows, pointers, split=split, thesis=thesis, batches=batches)
    notes = [*_NOTES[kind]]
    if predictions:
        notes += [f"Set of images: {split}.", *split_notes]
    if kind == KINDS:
        notes += means_by_kind(frame)
    frame, notes = beside_thesis(
        frame,
        notes,
        [SWAPPED] if kind == KINDS else CONTRADICTIONS.get(name, ()),
        figures=thesis_figures,
        # The naive runs are of four classes in the thesis, too, and pretext stages of none.
        classes=TWO_CLASSES if kind in ("naive", "pretext") else classes,
    )
    if any("ail" in str(column) for column in frame):
        notes += map_notes
    notes += stand_in_notes(stand_ins)
    many = _MANY.get(max(tasks, default=0), "")
    if 0 in tasks and kind != "pretext":
        many = f"at most {many}"
    best = _BEST.get(kind)
    write_table(
        frame,
        out.with_suffix(""),
        caption=_CAPTIONS[kind].format(variant=variant, tasks=many),
        notes=notes,
        digits=_DIGITS,
        best={best: "max"} if best and frame[best].notna().any() else None,
    )


def write_backbones(
    out: Path, *, backbone: Mapping[str, Any], thesis: Path, thesis_figures: bool
) -> None:
    """Write table 3.1: what the thesis's networks and ``backbone``, the study's, are made of."""
    from sscdl.tables.thesis.backbones import backbones  # imports torch

    table, notes = beside_thesis(
        backbones(**backbone, thesis_dir=thesis),
        [
            "layers: convolutions, also those of the shortcuts; the 50 and 121 in the names count "
            "the classifier but no shortcuts.",
            "size_mb, training_mb: megabytes of the weights, and of what training keeps for one "
            "image of 224 x 224, both float32.",
            "imagenet_accuracy: as torchvision publishes it for these weights; not measured.",
        ],
        [
            "The thesis gives DenseNet-121 9 million parameters; it has 7.0 without and 8.0 with "
            "the classifier. ResNet-50's 23 are without.",
        ],
        figures=thesis_figures,
    )
    write_table(
        table,
        out.with_suffix(""),
        caption="Size of the networks without classifier, and their published ImageNet accuracy.",
        notes=notes,
        digits={"parameters_millions": 3, "with_classifier": 0},
    )
