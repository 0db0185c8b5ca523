"""Default options of every pretext task, and of the classifier, and what of them a recipe holds.

Imports nothing heavy.

``crop`` is always the range of the cropped share of the image's area, ``flip`` whether images are
mirrored left and right at random (which destroys laterality: heart, side marks).
"""

from __future__ import annotations

from typing import Any

# Tasks with options that are shares of all epochs: for them, a longer training starts differently.
SHARES_OF_ALL_EPOCHS = frozenset({"swav"})
# By task, options that came when stages of it had been trained, and the value with which each means
# what was done before. There they stand in no recipe, so that those stages are found again; which
# values these are can therefore never change.
LATER: dict[str, dict[str, Any]] = {"moco": {"fill": False}}
# The same for settings that the stages of every task have.
LATER_SETTINGS: dict[str, Any] = {
    "warmup_epochs": 0,
    "lars": {"adapt": "weights", "decay": "weights"},
    "last_batch": "drop",
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "moco": {
        # Keys kept as negatives, a multiple of the batch. auto: the largest multiple up to a fifth
        # of the images, because a longer queue fills with outdated keys of the query itself.
        "queue": "auto",
        # Whether the queue is filled with keys of training images before the first step. If not,
        # the first steps have fewer negatives, and the loss rises as they come.
        "fill": True,
        # InfoNCE temperature.
        "temperature": 0.2,
        # Share of the key network kept at each step. The 0.999 of the paper averages over
        # thousands of steps, which at a few thousand images is several epochs.
        "momentum": 0.99,
        # Length of the embedding.
        "dimension": 128,
        "crop": [0.2, 1.0],
        "flip": True,
        # Largest rotation to either side, degrees. Learning to ignore rotation works against the
        # rotation task in a curriculum that has both.
        "rotation": 10.0,
        # Largest relative change of the gray values.
        "brightness": 0.2,
        # Largest relative change of the distance to the mean gray value.
        "contrast": 0.2,
        # Largest change of the logarithm of the gamma exponent.
        "gamma": 0.2,
        # Half of the views are blurred with a sigma of up to this many pixels; 0 for none.
        "blur": 0.0,
    },
    "swav": {
        # Prototypes (clusters). With few samples per code, thousands would each get one sample.
        "prototypes": 60,
        # Softmax temperature of the predictions.
        "temperature": 0.1,
        # Sharpness of the codes (Sinkhorn regularisation): smaller is harder.
        "epsilon": 0.05,
        # Sinkhorn iterations.
        "iterations": 3,
        # Earlier embeddings that join the batch when codes are computed, a multiple of the batch,
        # kept per global crop; 0 for none.
        "queue": 64,
        # Share of the epochs before the queue is used (it must also be full).
        "queue_start": 0.1,
        # Share of the epochs during which the prototypes stay as they are (whole epochs).
        "freeze": 0.05,
        # Length of the embedding.
        "dimension": 128,
        # Number of small crops beside the two global ones.
        "local_crops": 4,
        # Side of a small crop, as a share of the image size.
        "local_size": 0.43,
        "crop": [0.4, 1.0],
        # The same range for the small crops.
        "local_crop": [0.2, 0.4],
        "flip": True,
        # As for moco.
        "rotation": 10.0,
        "brightness": 0.2,
        "contrast": 0.2,
        "gamma": 0.2,
        "blur": 0.0,
    },
    "relloc": {
        # Side of the 3 x 3 grid as a share of the image's shorter side; it is placed at random.
        "extent": 0.87,
        # Side of a patch as a share of its grid cell.
        "patch": 0.75,
        # Smallest distance between two patches, as a share of a cell; without it, edges that
        # continue from patch to patch give the answer away.
        "gap": 0.1,
        # Side, in pixels, to which patches are resized. auto: their natural size at the training
        # resolution, but at least 24, below which a ResNet sees nothing.
        "patch_size": "auto",
        # Width of the hidden layer. auto: that of its input, two joined features.
        "hidden": "auto",
        # Dropout in the head.
        "dropout": 0.5,
        # Largest relative change of each patch's brightness and contrast, independently, so that
        # gray values that change smoothly over the image do not give the answer away.
        "jitter": 0.2,
        "flip": True,
    },
    "rotation": {
        "crop": [0.2, 1.0],
        "flip": True,
    },
    "classify": {
        "crop": [0.5, 1.0],
        "flip": True,
        # balanced: classes count alike in the loss, however rare; none: images count alike.
        "class_weights": "none",
    },
}


def lasting(task: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return ``settings`` of a stage of ``task`` as they stand in a recipe.

    What came later is left out where it means what was done before.
    """
    found = _differing(settings, LATER_SETTINGS)
    if "options" in settings:
        found["options"] = _differing(settings["options"], LATER.get(task, {}))
    return found


def _differing(values: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in values.items() if key not in later or one != later[key]}


def whole(task: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return all settings of a stage of ``task`` from those in its recipe: ``lasting`` undone."""
    options = {**LATER.get(task, {}), **settings.get("options", {})}
    return {**LATER_SETTINGS, **settings, "options": options}
