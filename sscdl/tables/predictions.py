"""The tables that predictions alone make: the function of each, its caption, notes and rounding.

Add one: write its function in ``overview.py``, ``confounders.py`` or a module of its own, an entry
here, and name it in ``workflow/rules/outputs.smk``.
"""

from __future__ import annotations

from sscdl.tables import (
    attention,
    calibration,
    comparisons,
    confounders,
    cross_variants,
    details,
    faithfulness,
    operating_points,
    overview,
    probes,
)
from sscdl.tables.column_texts import BASELINES, INTERVALS
from sscdl.tables.files import PredictionTable
from sscdl.tables.findings.tables import FINDING_TABLES

SWAPPED = (
    "The thesis contradicts itself: its tables 4.8 and B.2 give swav 83.97 and rotation 84.72 on "
    "full images, 4.14 the reverse; 4.12 and 4.13 swap moco+swav+rotation and moco+swav+relloc "
    "against 4.14. The figures here are those of 4.14."
)
CONCLUSIONS = (
    "The thesis's conclusions call 83.69 the result of ImageNet on full images and 83.80 that on "
    "segmented ones; in its tables these are scratch (ImageNet: 82.75) and relloc (82.73)."
)
SAME_VALUE = "On segmented images, the thesis prints 83.7985 for both relloc and relloc+rotation."
# What attention inside the lungs means on variants that do not show the whole radiograph.
AIL_NOTES = {
    "inverted": "inverted: the lungs are black, so this is attention to their place and outline.",
    "lung_box": "lung_box: lungs, floor and findings are those of the part that is shown.",
}


PREDICTION_TABLES = {
    "4.14_accuracy_overview": PredictionTable(
        lambda rows, split, thesis, margin: overview.accuracy_overview(
            rows, split, thesis_dir=thesis
        ),
        "Balanced accuracy of every curriculum on every variant, in percent.",
        (
            "better: the variant with the higher accuracy. best, and bold: the variants on which "
            "the row is the highest of those with as many pretext tasks (one or more), where there "
            "are at least two that differ. Neither says that a difference is more than chance; the "
            "table comparisons does.",
            INTERVALS,
        ),
        (
            "best_thesis: the same among the thesis's figures of these rows.",
            *(SWAPPED, CONCLUSIONS, SAME_VALUE),
        ),
        best=True,
    ),
    "4.15_ail_overview": PredictionTable(
        lambda rows, split, thesis, margin: overview.ail_overview(rows, split, thesis_dir=thesis),
        "Attention inside the lungs (AIL) of every model, in percent of the attention map's sum.",
        (
            "Attention is the class activation map of the predicted class, clipped at 0.",
            BASELINES,
            "lift: AIL minus floor. The table attention has those over the others, with intervals.",
            INTERVALS,
        ),
    ),
    "accuracy_details": PredictionTable(
        lambda rows, split, thesis, margin: details.accuracy_details(rows),
        "Every metric of every model on every set of images.",
        ("Accuracies in percent, AUC and F1 in [0, 1].", INTERVALS),
    ),
    "calibration": PredictionTable(
        lambda rows, split, thesis, margin: calibration.calibration(rows),
        "How far each model's probabilities may be trusted, on every set of images.",
        (
            "confidence: mean probability of the predicted class, percent. calibration_error: root "
            "of the mean squared gap between accuracy and confidence, percent points, in n_bins "
            "bins of as many images each, freed from what chance adds to it (the mean product of "
            "the gaps of two patients): a calibrated model is as often above 0 as cut at it.",
            "brier: 0 is perfect, 1 the worst; with two classes the mean of (p - y)^2. nll: "
            "negative log likelihood, nats. prior: of always giving the labels' frequencies.",
            INTERVALS,
        ),
    ),
    "calibration_bins": PredictionTable(
        lambda rows, split, thesis, margin: calibration.calibration_bins(rows, split),
        "Accuracy beside confidence by bins of confidence, in percent.",
        (
            "A bin holds the predictions of all seeds, as many as another bin but for ties.",
            "Intervals are 95 %, over patients.",
        ),
    ),
    "linear_probe": PredictionTable(
        lambda rows, split, thesis, margin: probes.linear_probe(rows, split),
        "Linear probes: logistic regression on the frozen features of each network.",
        (
            "curriculum: the stages that the network went through; scratch: n_networks networks "
            "with random weights, each with the labels of all seeds and draws. networks: standard "
            "deviation between these.",
            "label_share: of the training patients of each class; n_labels: images, mean of the "
            "draws. draws: standard deviation between draws of labels.",
            "Balanced accuracy in percent, AUC in [0, 1]. difference: to scratch with the same "
            "labels, percent points, paired over patients and draws.",
            "Intervals are 95 %: over patients, random networks and trainings; with one seed over "
            "the draws of labels in place of trainings.",
        ),
    ),
    "few_labels": PredictionTable(
        lambda rows, split, thesis, margin: probes.few_labels(rows, split),
        "Classifiers that were trained with few labels, beside those with all of them.",
        (
            *probes.FEW_NOTES,
            "Balanced accuracy in percent, AUC in [0, 1]. difference: to scratch with the same "
            "labels and seeds, percent points, paired over patients and these.",
            probes.FEW_INTERVALS,
        ),
    ),
    "confusions": PredictionTable(
        lambda rows, split, thesis, margin: details.confusions(rows),
        "Confusion matrices, one row a cell.",
        ("share: percent of the images of that label.",),
    ),
    "operating_points": PredictionTable(
        lambda rows, split, thesis, margin: operating_points.operating_points(rows, split),
        "What each model is worth at thresholds chosen on validation images, in percent.",
        operating_points.NOTES,
    ),
    "seeds": PredictionTable(
        lambda rows, split, thesis, margin: details.seeds(rows, split),
        "Accuracy and attention of each training alone, in percent.",
        ("What is the same in a curriculum's rows but for the seed differs by chance alone.",),
    ),
    "comparisons": PredictionTable(
        lambda rows, split, thesis, margin: comparisons.comparisons(rows, split, margin=margin),
        "Each model against scratch, ImageNet and its own first task: balanced accuracy.",
        (
            "difference: in percent points, paired over patients.",
            *comparisons.NOTES,
            INTERVALS,
        ),
    ),
    "subgroups": PredictionTable(
        lambda rows, split, thesis, margin: confounders.subgroups(rows, split),
        "Balanced accuracy over all images and within groups, beside a model that sees metadata.",
        (
            "metadata: of two logistic regressions, on view, and on view, sex and age, the one "
            "that is better on the validation images (without such images, on these, which favours "
            "it).",
            "difference: model minus metadata in percent points, paired over the same patients. "
            "p_holm: corrected for all rows of this table; with one seed nothing is tested.",
            INTERVALS,
        ),
    ),
    "attention": PredictionTable(
        lambda rows, split, thesis, margin: attention.attention(rows, split),
        "Attention inside lungs and findings, in percent, beside that of what needs no model.",
        (
            "floor: AIL of a map that is the same everywhere. ail_centre: of a Gaussian in the "
            "middle of every picture, its standard deviation a quarter of the side. ail_random: of "
            "networks with random weights, the mean over these; std: between them. lift, "
            "lift_centre, lift_random: AIL minus these, image by image, in percent points.",
            "ail_contrast: of the map of the predicted class minus the mean of the other classes', "
            "ail_contrast_random and lift_contrast_random alike. Trust these rather than ail: a "
            "vector added to the weights of all classes changes no probability, but ail.",
            "ail_signed: values below zero kept, so that it has no bounds and few maps may decide "
            "the mean. ail_stretched: each map stretched to [0, 1] by its minimum and maximum, as "
            "the package grad-cam does. ail_of_<class>: of that class's map, predicted or not.",
            "box_hit: how often the map's maximum lies in a box around findings; pointing at "
            "random scores box_share.",
            "undefined: maps without positive values, which count nowhere.",
            "lift_random and lift_contrast_random: over the untrained networks, too.",
            INTERVALS,
        ),
    ),
    "faithfulness": PredictionTable(
        lambda rows, split, thesis, margin: faithfulness.faithfulness(rows, split),
        "Whether models need what their attention maps show: deletion and insertion curves.",
        (
            "deletion: area under the curve of the probability of the predicted class, percent, "
            "while pixels are replaced by the blurred picture's, first those that are highest by "
            "order: the lower, the sooner the model misses them. insertion: while they are put "
            "into the blurred picture: the higher, the sooner it has what it needs.",
            "order: map, Zhou's of the predicted class; contrast, that minus the mean of the other "
            "classes'; centre, from the middle of the picture outwards; random, as coarse noise. A "
            "map that is no better than these two does not show what the model uses.",
            "lift: minus the area of the random order, image by image, in percent points.",
            INTERVALS,
        ),
    ),
    "cross_variants": PredictionTable(
        lambda rows, split, thesis, margin: cross_variants.cross_variants(rows, split),
        "Balanced accuracy and attention of models that are shown a variant they have not learned.",
        (
            "variant: trained on. shown: tested on, with the normalisation of the training.",
            "drop: fall in percent points from the model's own variant, paired over patients. A "
            "cut that the model has never seen can cost accuracy by itself.",
            "ail: attention inside the lungs of the pictures that are shown, beside what scores "
            "there without having learnt anything: ail_floor, ail_centre and ail_random, which the "
            "table attention explains.",
            INTERVALS,
        ),
    ),
    "shortcut": PredictionTable(
        lambda rows, split, thesis, margin: confounders.shortcut(rows),
        "What becomes of the accuracy when the planted mark is removed or on the wrong patients.",
        (
            "The three sets show the same patients and differ in the mark alone.",
            "drop: fall in percent points from the mark as trained, paired over patients.",
            "ail beside what scores there without having learnt anything: ail_floor, ail_centre "
            "and ail_random, which the table attention explains.",
            INTERVALS,
        ),
    ),
    **FINDING_TABLES,
}
