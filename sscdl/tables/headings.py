"""Under which heading and title each table and figure is listed in a report, in one place.

Snakemake's report sorts headings and titles as texts: that is why headings are numbered, and why a
title begins with what it is about and ends with the thesis's number. Imports nothing heavy: it is
asked each time the workflow is read.
"""

from __future__ import annotations

import re

from sscdl.study.thesis import KINDS, THESIS_TABLES

SUMMARY = "summary"
FIGURE = "figure_"
START, RESULTS, DETAILS, DATA, TRAINING, THESIS = HEADINGS = (
    "1 Summary",
    "2 Main results",
    "3 Details and checks",
    "4 Images",
    "5 Training",
    "6 Further tables of the thesis",
)

# Figures have the name of their file with ``figure_`` before it, as their captions do.
_PLACES = {
    SUMMARY: (START, "Summary of the study"),
    "4.14_accuracy_overview": (RESULTS, "Accuracy by curriculum: table 4.14"),
    "figure_accuracy_overview": (RESULTS, "Accuracy by curriculum: figure"),
    "4.15_ail_overview": (RESULTS, "Attention inside the lungs: table 4.15"),
    "figure_4.3_ail_by_model": (RESULTS, "Attention inside the lungs: figure 4.3"),
    "beside": (RESULTS, "Beside other studies: table"),
    "comparisons": (RESULTS, "Comparisons of models: table"),
    "figure_comparisons": (RESULTS, "Comparisons of models: figure"),
    "finding_scores": (RESULTS, "Findings, how well each is told: table"),
    "finding_comparisons": (RESULTS, "Findings, comparisons of models: table"),
    "finding_attention": (DETAILS, "Findings, attention to each: table"),
    "finding_calibration": (DETAILS, "Findings, calibration: table"),
    "finding_operating_points": (
        DETAILS,
        "Findings, thresholds by validation images: table",
    ),
    "finding_subgroups": (DETAILS, "Findings, subgroups and gaps between them: table"),
    KINDS: (RESULTS, "Easy to hard, or hard to easy: table"),
    "few_labels": (RESULTS, "Few labels: table"),
    "finding_few_labels": (RESULTS, "Findings, few labels: table"),
    "figure_few_labels": (RESULTS, "Few labels: figure"),
    "shortcut": (RESULTS, "Shortcut by the planted mark: table"),
    "figure_shortcut": (RESULTS, "Shortcut by the planted mark: figure"),
    "accuracy_details": (DETAILS, "All metrics: table"),
    "attention": (DETAILS, "Attention in detail: table"),
    "calibration": (DETAILS, "Calibration: table"),
    "calibration_bins": (DETAILS, "Calibration by confidence: table"),
    "figure_calibration": (DETAILS, "Calibration: figure"),
    "figure_class_maps": (DETAILS, "Attention maps of each class: figure"),
    "confusions": (DETAILS, "Confusion matrices: table"),
    "cross_variants": (DETAILS, "Models on the other variants: table"),
    "figure_label_efficiency": (DETAILS, "Label efficiency: figure"),
    "faithfulness": (DETAILS, "Attention, whether it is needed: table"),
    "linear_probe": (DETAILS, "Linear probe: table"),
    "operating_points": (DETAILS, "Thresholds chosen on validation images: table"),
    "figure_precision_recall": (DETAILS, "Precision against recall: figure"),
    "figure_roc": (DETAILS, "ROC curves: figure"),
    "seeds": (DETAILS, "Trainings one by one: table"),
    "subgroups": (DETAILS, "Subgroups and metadata: table"),
    "figure_4.4_attention": (DETAILS, "Attention maps: figure 4.4"),
    "dataset": (DATA, "Images by split: table"),
    "figure_dataset": (DATA, "Images at a glance: figure"),
    "4.1_normalisation": (DATA, "Pixel values of the variants: table 4.1"),
    "figure_4.1_variants": (DATA, "Variants of an image: figure 4.1"),
    "figure_masks": (DATA, "Lung masks: figure"),
    "implausible_masks": (DATA, "Lung masks that look implausible: table"),
    "3.1_backbones": (TRAINING, "Networks: table 3.1"),
    "learning_rates": (TRAINING, "Learning rates of all stages: table"),
    "search": (TRAINING, "Search of learning rates, its cost: table"),
    "trainings": (TRAINING, "What each stage has learnt of its task: table"),
    "figure_4.2_validation_curves": (TRAINING, "Validation curves: figure 4.2"),
}
_NUMBER = re.compile(r"^(?P<chapter>[0-9B])\.(?P<number>\d+)_")
_TASKS = {1: "one task", 2: "two tasks", 3: "three tasks"}


def place(name: str) -> tuple[str, str]:
    """Return heading and title of a table (``dataset``) or figure (``figure_dataset``).

    What follows a ``-`` in a name is the page of a figure that has several. A name that is not
    known is listed among the details under its own words.
    """
    stem, _, page = name.partition("-")
    if stem in _PLACES:
        heading, title = _PLACES[stem]
        return heading, title + (
            f", {page.replace('_task', ' task').replace('-', ', ')}" if page else ""
        )
    if stem in THESIS_TABLES:
        return THESIS, _thesis_title(stem)
    kind = "figure" if name.startswith(FIGURE) else "table"
    words = name.removeprefix(FIGURE).replace("_", " ").replace("-", ", ").strip()
    return DETAILS, f"{words[:1].upper()}{words[1:]}: {kind}"


def reports_scores(name: str) -> bool:
    """Return whether a table or figure is of models' scores, and not of images or of training.

    What it says then depends on who is tested on.
    """
    return place(name)[0] not in (DATA, TRAINING)


def _thesis_title(name: str) -> str:
    """Return the title of one of the thesis's numbered tables, such that titles sort by number."""
    table = THESIS_TABLES[name]
    number = _NUMBER.match(name)
    assert number is not None  # of each of THESIS_TABLES
    # A figure space, as wide as a digit, sorts before the digits: 4.8 stands before 4.10.
    numbered = f"{number['chapter']}.{number['number']:\u2007>2}"
    about = {
        "summary": "accuracy and chosen rate",
        "pretext": "pretext learning rates",
        "classification": "classifier learning rates",
        "naive": "four classes",
    }[table.kind]
    parts = [about, table.variant]
    if table.kind != "naive":
        parts.append(_TASKS[max(table.tasks)])
    elif "half_batch" in name:
        parts.append("half the batch")
    return f"Table {numbered}: {', '.join(parts)}"


def report_entry(name: str) -> dict[str, object]:
    """Return heading and title as the keywords of Snakemake's ``report``."""
    heading, title = place(name)
    # A second label would be taken for a switch wherever it has two values.
    return {"category": heading, "labels": {"result": title}}
