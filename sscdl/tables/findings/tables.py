"""The tables of studies of findings: the function of each, its caption, notes and rounding."""

from __future__ import annotations

from sscdl.tables import comparisons, operating_points, probes
from sscdl.tables.column_texts import BASELINES, INTERVALS
from sscdl.tables.files import PredictionTable
from sscdl.tables.findings.attention import finding_attention
from sscdl.tables.findings.calibration import finding_calibration
from sscdl.tables.findings.comparisons import finding_comparisons
from sscdl.tables.findings.few_labels import finding_few_labels
from sscdl.tables.findings.operating_points import finding_operating_points
from sscdl.tables.findings.scores import finding_scores
from sscdl.tables.findings.subgroups import finding_subgroups

KNOWN = "An image counts for a finding if its label says whether it shows it."
FINDING_TABLES = {
    "finding_scores": PredictionTable(
        lambda rows, split, thesis, margin: finding_scores(rows, split),
        "How well each model tells each finding, and all of them on average, in [0, 1].",
        (
            KNOWN,
            "mean: over the n_findings findings that two patients or more show, and two or more do "
            "not. n_findings of 0: of the others, which have no scores.",
            "Guessing has an AUC of 0.5 and average_precision_chance. Average precision is on "
            "average somewhat higher the fewer images show a finding, also by guessing. Its limits "
            "are those of what as many other images have: compare it on the same images alone.",
            INTERVALS,
        ),
    ),
    "finding_comparisons": PredictionTable(
        lambda rows, split, thesis, margin: finding_comparisons(rows, split, margin=margin),
        "Each model against scratch, ImageNet and its own first task: mean AUC of findings.",
        (
            "auc, auc_against: mean of the n_findings findings that two patients or more show, and "
            "two or more do not, in [0, 1]; 0.5 is chance. difference: in hundredths of it, "
            "percent points, paired over patients.",
            *comparisons.notes("there is no such finding"),
            INTERVALS,
        ),
    ),
    "finding_attention": PredictionTable(
        lambda rows, split, thesis, margin: finding_attention(rows, split),
        "Attention inside the lungs for each finding, in images that show it, in percent.",
        (
            "ail: of the class activation map of that finding, clipped at 0, whatever the model "
            "says of it. A finding that no image shows has no row. Findings that lie beside the "
            "lungs, such as a large heart, call for attention there.",
            BASELINES,
            "lift, lift_centre, lift_random: ail minus these, image by image, in percent points; "
            "lift_random over the untrained networks, too. std: between them.",
            "undefined: maps without positive values, which count nowhere. Where they are many, "
            "what is left is not what the model looks at in general.",
            INTERVALS,
        ),
    ),
    "finding_calibration": PredictionTable(
        lambda rows, split, thesis, margin: finding_calibration(rows),
        "How far the probabilities of each finding may be trusted, on every set of images.",
        (
            KNOWN,
            "probability: the mean of what the model says; prevalence: the images that show the "
            "finding; both in percent. calibration_error: root of the mean squared gap between the "
            "two, percent points, in n_bins bins of as many images each, freed from what chance "
            "adds to it (the mean product of the gaps of two patients).",
            "brier: mean of (p - y)^2, 0 is perfect. brier_prior: of always giving the prevalence; "
            "of a finding that few images show it is low, and so is every model's.",
            INTERVALS,
        ),
    ),
    "finding_operating_points": PredictionTable(
        lambda rows, split, thesis, margin: finding_operating_points(rows, split),
        "What each model is worth at thresholds chosen on validation images, by finding, in "
        "percent.",
        (KNOWN, *operating_points.NOTES),
    ),
    "finding_few_labels": PredictionTable(
        lambda rows, split, thesis, margin: finding_few_labels(rows, split),
        "Mean AUC of findings of models that were trained with few labels, beside all of them.",
        (
            *probes.FEW_NOTES,
            "auc: mean of the n_findings findings that two patients or more show, and two or more "
            "do not, in [0, 1]; 0.5 is chance. difference: to scratch with the same labels and "
            "seeds, in hundredths of it, paired over patients and these.",
            probes.FEW_INTERVALS,
        ),
    ),
    "finding_subgroups": PredictionTable(
        lambda rows, split, thesis, margin: finding_subgroups(rows, split),
        "AUC of each finding, and of all on average, within groups of images, and their gaps.",
        (
            KNOWN,
            "mean: over the n_findings findings that two patients or more of the group show, and "
            "two or more do not.",
            "gap: AUC in the group minus auc_rest, that of all other images of which the property "
            "is known, in hundredths; of the mean over the findings that both can be scored by. "
            "Where there are two groups, which is one question, it stands with the first.",
            "p_holm: corrected after Holm for all rows of this table; with one seed nothing is "
            "tested. not shown does not say that there is no gap: its interval says how large it "
            "may be.",
            INTERVALS,
        ),
    ),
}
