"""What the columns of the tables mean, for readers who do not know the workflow.

One entry for a column of any table; ``explain`` puts together what is said of names that are made
of parts, such as ``segmented_black_low``.
"""

from __future__ import annotations

INTERVALS = (
    "Intervals are 95 %: over patients and trainings where there are several seeds, over patients "
    "alone where there is one."
)
# What attention inside the lungs has to exceed before it can be the model's doing.
BASELINES = (
    "Without having learnt anything there score: floor, a map that is the same everywhere (the "
    "lungs' share of the image); centre, a Gaussian in the middle of every picture; random, "
    "networks with random weights, their mean. AIL that does not exceed all three shows no "
    "attention to the lungs."
)
# Columns whose meaning is the same wherever they occur.
COLUMNS = {
    # What a row is about.
    "curriculum": "pretext tasks that the network was pretrained with, in their order; scratch: "
    "random weights, imagenet: weights trained on photographs",
    "variant": "what of the radiograph the network was trained on: all of it, the lungs, the rest",
    "shown": "variant that the model was tested on",
    "set": "set of images",
    "without a label": "images without a label",
    "split": "set of images: test is what results are reported on",
    "group": "property of the images, or those that have it",
    "tasks": "number of pretext tasks",
    "seed": "what the random numbers of the training start from",
    "seeds": "number of trainings, which differ in their random numbers",
    "stage": "part of the training: a pretext task, or the classification",
    "task": "what the network learns in this stage",
    "label": "class that the image has",
    "predicted": "class that the model gives it",
    "finding": "finding that the images show or do not; mean: all of them on average",
    "label_share": "share of the training labels that were used",
    "study": "study beside this one",
    "pretraining": "pretext task that the network was pretrained with (scratch: random weights, "
    "imagenet: weights trained on photographs), or number of images that pretext tasks alone see",
    "image_id": "name of the image in this study, drawn from its content",
    "backbone": "network",
    "value": "what the row is about, or, beside a learning rate, its metric: of averaged weights "
    "where the search compares these, but for the continuation of the best",
    # What the classes and variants are called, where each has a column of its own.
    **{
        name: f"percent of the images of class {name} that are right"
        for name in ("negative", "typical", "indeterminate", "atypical")
    },
    "full": "of models that see the whole radiograph",
    "segmented_black": "of models that see the lungs, the rest black",
    "segmented_gray": "of models that see the lungs, the rest gray",
    "inverted": "of models that see all but the lungs",
    "lung_box": "of models that see the box around the lungs",
    # What pictures and masks are.
    "mean": "mean over the classes, or of the pixel values (0 is black, 1 white)",
    "std": "standard deviation of the pixel values (0 is black, 1 white)",
    "view": "view position: AP or PA",
    "faults": "what is odd about the lung mask",
    "used": "whether the image is used nevertheless",
    "area": "share of the image that the mask covers",
    "components": "number of separate parts of the mask",
    "balance": "size of the smaller lung as a share of the larger",
    "solidity": "share of its convex hull that a lung fills, the lesser of both",
    "border": "share of the image's outermost pixels that the mask covers",
    "doubt": "how unsure the segmenter is, where it can tell",
    # How many.
    "n_images": "number of images",
    "n_patients": "number of patients",
    "n_findings": "number of findings that the scores are of",
    "n_positive": "number of images that show the finding, or any of them",
    "n_positive_patients": "number of patients with such images",
    "n_seeds": "number of trainings, which differ in their random numbers",
    "n_labels": "number of labels that were used",
    "n_fewest": "number of training patients of the class, or with the finding, that has fewest",
    "n_draws": "number of random choices of these labels",
    "images": "number of images",
    "patients": "number of patients",
    "count": "number of images",
    "train": "images that models learn from",
    "val": "images that learning rates, thresholds and baselines are chosen on",
    "test": "images that results are reported on",
    "duplicate": "images whose picture is there already; they are not used",
    "mark_trained": "test images, their mark as in training",
    "mark_removed": "the same without the mark",
    "mark_reversed": "the same with the mark on the wrong patients",
    "total": "all images, copies with another mark left out",
    # How good.
    "accuracy": "share of right predictions, averaged as the caption says",
    "balanced_accuracy": "mean over the classes of the share of right predictions, in percent",
    "balanced_accuracy_against": "that of the model or study it is compared with",
    "metadata_balanced_accuracy": "that of the model that sees no image",
    "n_networks": "number of networks, with each of the trainings",
    "balanced_accuracy_networks": "standard deviation between networks with random weights",
    "balanced_accuracy_draws": "standard deviation between random choices of the labels",
    "auc_draws": "standard deviation between random choices of the labels",
    "n_predictions": "number of predictions, those of all seeds together",
    "chance": "percent that guessing scores: 100 over the number of classes that the model knows",
    "auc": "area under the ROC curve: 0.5 is chance, 1 is perfect",
    "auc_against": "that of the model it is compared with",
    "auc_rest": "that of all other images of which the property is known",
    "gap": "AUC of the group minus that of the others, in hundredths",
    "average_precision": "area under the curve of precision over recall: 1 is perfect",
    "average_precision_chance": "average precision of guessing: the share of images that show the "
    "finding",
    "f1": "mean over the classes of the F1 score, between 0 and 1",
    "confidence": "probability that the model gives to what it predicts",
    "calibration_error": "root of the mean squared gap between confidence and accuracy, in percent "
    "points, freed from what chance adds to it",
    "brier": "Brier score: squared error of the probabilities, 0 is perfect",
    "nll": "negative log likelihood of the labels, 0 is perfect",
    "brier_prior": "Brier score of always giving the labels' frequencies",
    "nll_prior": "negative log likelihood of always giving the labels' frequencies",
    "bin": "predictions of similar confidence",
    "n_bins": "number of bins of confidence",
    "share": "percent of the images of that label",
    "better": "variant on which this row is more accurate",
    "best": "variants on which this row is the highest of those with as many pretext tasks, where "
    "there are at least two",
    "drop": "fall in percent points, from the mark as trained or from the model's own variant",
    # At a threshold.
    "positive": "class that is told from all others",
    "rule": "how the threshold was chosen",
    "chosen_on": "set of images on which it was chosen",
    "prevalence": "percent of the images that are of that class, or show the finding",
    "probability": "mean probability that the model gives to the finding, in percent",
    "threshold": "probability from which on an image is called positive, mean over trainings",
    "sensitivity": "percent of the positive images that are called so",
    "specificity": "percent of the negative images that are called so",
    "ppv": "positive predictive value: percent of the images called positive that are",
    "npv": "negative predictive value: percent of the images called negative that are",
    # Compared with what.
    "against": "the model that this one is compared with",
    "metadata": "what the model that sees no image is told",
    "difference": "difference between the two, in percent points",
    "only_model": "images that this model gets right more often, over its seeds, than the other",
    "only_against": "images that the other model or study gets right more often",
    "p": "probability of so large a difference by chance alone: of patients and trainings",
    "p_equivalent": "probability of such results if the two differed by margin points or more, "
    "corrected after Holm",
    "detectable": "about the true difference that such a comparison by itself finds four times in "
    "five, in percent points",
    "margin": "smallest difference that matters, in percent points",
    "seeds_needed": "about how many trainings of each model find a difference of margin four times "
    "in five",
    "another": "difference of one further training of both, on the same patients",
    "p_holm": "the same, corrected after Holm for the number of comparisons",
    "verdict": "what the corrected test shows",
    "kind": "from easy to hard tasks (curriculum), from hard to easy (anti-curriculum), or mixed",
    "difficulty": "of each task, its last loss over that of a network that knows nothing of the "
    "images: 1 is no better",
    "first_task": "the model that ends after the first of the tasks",
    "delta": "difference to the first task alone, in percent points",
    "to_scratch": "difference to no pretraining, in percent points",
    "to_imagenet": "difference to weights trained on photographs, in percent points",
    # Where it looks.
    "ail": "attention inside the lungs: percent of the attention map's sum",
    "ail_floor": "AIL of a map that is the same everywhere: the lungs' share of the image",
    "floor": "AIL of a map that is the same everywhere: the lungs' share of the image",
    "undefined": "maps without positive values, which count in none of the means",
    "lift": "AIL minus floor, in percent points",
    "ail_centre": "AIL of a Gaussian in the middle of every picture",
    "lift_centre": "AIL minus ail_centre, in percent points",
    "ail_random": "AIL of networks with random weights, the mean over several",
    "ail_random_std": "standard deviation between these networks",
    "lift_random": "AIL minus ail_random, in percent points",
    "ail_contrast": "AIL of the map of the predicted class minus the mean of the other classes': "
    "unlike ail, it follows from the probabilities",
    "ail_contrast_random": "the same of networks with random weights, the mean over several",
    "ail_contrast_random_std": "standard deviation between these networks",
    "lift_contrast_random": "ail_contrast minus ail_contrast_random, in percent points",
    "ail_signed": "AIL with values below zero kept, which has no bounds",
    "ail_stretched": "AIL of maps stretched to [0, 1] by their minimum and maximum",
    "order": "what the pixels are ordered by: Zhou's map, contrast map, centre or at random",
    "deletion": "area under the curve of the probability while the highest pixels are blurred "
    "first: the lower, the more the model needs them",
    "insertion": "the same while they are put into the blurred picture first: the higher, the more",
    "deletion_lift": "deletion minus that of the random order, in percent points",
    "insertion_lift": "insertion minus that of the random order, in percent points",
    "n_boxed": "images that show boxes around findings",
    "box_attention": "percent of the attention that falls into the boxes around findings",
    "box_share": "percent of the picture that the boxes cover",
    "box_hit": "percent of the images whose map has its maximum in a box",
    "mark_attention": "percent of the attention map's sum that lies on the planted mark",
    "mark_share": "percent of the image that the mark covers",
    # How it was trained.
    "metric": "by what the learning rate is chosen",
    "lr": "learning rate",
    "best_lr": "learning rate that was chosen",
    "epochs": "passes over the training images",
    "chosen": "whether this learning rate was taken",
    "chosen_by": "number of seeds that took this learning rate",
    "method": "grid: all rates to the end; halving: the better half goes on, again and again",
    "rates": "number of learning rates",
    "epochs_grid": "epochs that training all rates to the end takes",
    "epochs_halving": "epochs that halving takes",
    "saved": "percent of the epochs that halving saves",
    "chosen_grid": "learning rate that the grid chooses",
    "chosen_halving": "learning rate that halving chooses",
    "agree": "whether both choose alike",
    "value_grid": "metric of the grid's choice",
    "value_halving": "metric of halving's choice",
    "loss": "loss of the last epoch of training",
    "loss_nothing": "the same of a network that knows nothing of the images, where that is known",
    "learnt": "whether the losses show that the stage has learnt something of the images",
    "accuracy_training": "percent right in the last epoch of training",
    "feature_std": "how unlike features of different images are: 1 all directions, 0 one for all",
    "knn_accuracy": "percent right if the nearest features of other patients vote, by class",
    "batch_size": "images in a batch",
    "imagenet_accuracy": "published accuracy on ImageNet, in percent",
    "size_mb": "size of its file of weights, in MB",
    "training_mb": "memory that training keeps for one image of 224 x 224, in MB",
    "parameters": "numbers that the network learns",
    "parameters_millions": "numbers that the network learns, in millions",
    "with_classifier": "the same with its classifier for ImageNet",
    "layers": "number of convolutions",
    "last_stage": "stage after which the network ends, of four",
}
_PARTS = {
    "_thesis": "what the thesis prints",
    "_std": "standard deviation between seeds",
    "_floor": "AIL of a map that is the same everywhere",
    "_low": "lower end of the 95 % interval",
    "_high": "upper end of the 95 % interval",
    "_lift": "AIL minus floor, in percent points",
    "_centre": "AIL of a Gaussian in the middle of every picture",
    "_random": "AIL of networks with random weights, the mean over several",
    "_undefined": "images whose attention map has no positive value",
}


def explain(column: str) -> str:
    """Return what a column means, empty if nothing is known of it."""
    if column in COLUMNS:
        return COLUMNS[column]
    if column.removesuffix("_thesis") in COLUMNS:
        return f"{column.removesuffix('_thesis')}: {_PARTS['_thesis']}"
    if column.startswith("ail_of_"):
        return f"AIL of the map of class {column.removeprefix('ail_of_')}, predicted or not"
    if column.startswith("label "):
        return f"images labelled {column.removeprefix('label ')}"
    if column.startswith("accuracy_"):
        return f"percent of the images of class {column.removeprefix('accuracy_')} that are right"
    for ending, text in _PARTS.items():
        if column.endswith(ending):
            return f"{column.removesuffix(ending)}: {text}"
    return ""


def heading(column: str) -> str:
    """Return a column's name as it is printed above it."""
    return column.removesuffix("_thesis").replace("_", " ")
