"""What a study is, in words: what was run, on which images, and how its results are to be read.

For a reader who has the report and neither the configuration nor the workflow. Nothing here tells
where files lie or who ran the study. Imports nothing heavy: the workflow asks for ``told``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sscdl.archives.sides import DRAWN, LISTS
from sscdl.study.trie import CLASSIFY, PRETEXT_TASKS
from sscdl.tasks.options import DECLARATIONS
from sscdl.words import many

# The blocks of the configuration that are told of; others hold paths or are of no consequence.
TOLD = (
    *("study", "protocol", "classes", "findings", "label_share", "few_labels", "split"),
    *("split_seed", "seeds", "variants", "image", "backbone", "stages", "search"),
)
_NAMED = 12  # curricula that are listed by name
_PROTOCOLS = {
    "strict": "Strict: pixel statistics and pretraining use training patients only, validation "
    "images choose the learning rates, and the results are those of test images that nothing was "
    "chosen on",
    "thesis": "That of the thesis: pixel statistics and pretraining use all images, and the images "
    "that results are reported on also chose the learning rates, which makes results look better "
    "than they are",
}
_ORIGINS = {
    "phantom": "Synthetic radiographs that the workflow draws; no result is about patients",
    "siim": "An archive in the layout of the SIIM-FISABIO-RSNA challenge",
    "table": "A folder of images with a table of labels",
    "folders": "A folder of images whose paths say the label",
}
_MASKS = {
    "default": "Found by the small network that comes with the workflow",
    "checkpoint": "Found by the published network lungVAE, or by a given one",
    "train": "Found by a network trained for this study",
    "masks": "Given with the images",
}
_VARIANTS = {
    "full": "full (the whole radiograph)",
    "segmented_black": "segmented_black (the lungs on black)",
    "segmented_gray": "segmented_gray (the lungs on gray)",
    "inverted": "inverted (all but the lungs)",
    "lung_box": "lung_box (the box around the lungs)",
}
_TASKS = {
    task: f"{task} ({DECLARATIONS[task].title}: {DECLARATIONS[task].about})"
    for task in PRETEXT_TASKS
}
READING = (
    ("Balanced accuracy", "the share of right predictions, averaged over the classes, in percent. "
     "Guessing scores chance, 100 divided by the number of classes, however rare a class is."),
    ("Interval", "95 %. With several seeds it tells what other patients and other trainings would "
     "have changed, with one seed what other patients would have: another training may change as "
     "much, and no comparison is tested then."),
    ("Curriculum", "the pretext tasks (learning without labels) before the labels, in their "
     "order: moco+rotation is MoCo, then rotation. scratch has none, imagenet begins with weights "
     "trained on photographs."),
    ("Attention inside the lungs (AIL)", "the part of the class activation map of the predicted "
     "class that lies within the lung mask. Three things that have learnt nothing score, too: a "
     "map that is the same everywhere (floor: the lungs' share of the image), a blob in the middle "
     "of every picture (centre), and networks with random weights (random, their mean). AIL that "
     "does not exceed all three shows no attention to the lungs. AIL that does says where the map "
     "lies, not what decides the prediction."),
    ("Comparisons", "better or worse only where the difference, over patients and trainings and "
     "corrected for the number of comparisons, is more than chance; equivalent where it is "
     "shown to be less than the margin, either way (two tests at 5 %, a little less than the 95 % "
     "interval asks); with one seed nothing is tested. The highest of several scores is partly "
     "luck."),
)  # fmt: skip
# In place of balanced accuracy and attention, of findings of which an image may show several.
_OF_CLASSES = ("Balanced accuracy", "Attention inside the lungs (AIL)")
_MEAN_AUC = (
    "Mean AUC",
    "the area under the ROC curve, averaged over the findings: of two images, one that shows a "
    "finding and one that does not, how often the first has the higher probability of it. Guessing "
    "scores 0.5, whatever is rare, 1 is perfect. A finding counts on the images whose labels say "
    "whether they show it. Differences are in percent points, hundredths of AUC.",
)
OF_THESIS = (
    "thesis",
    "columns so marked are the figures printed in the thesis whose method this is (I. de Andrés "
    "Tamé, Universidad Autónoma de Madrid, 2022), on its own images.",
)


def told(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the summary tells of a checked configuration: no path is in it."""
    split = config["split"]
    lists = {side: "given" if file else None for side, file in split["lists"].items()}
    return {key: config[key] for key in TOLD} | {"split": {**split, "lists": lists}}


def reading(*, findings: bool) -> list[tuple[str, str]]:
    """Return how results are to be read, as (what, text), of a study of classes or ``findings``."""
    if not findings:
        return list(READING)
    return [_MEAN_AUC, *(pair for pair in READING if pair[0] not in _OF_CLASSES)]


def facts(
    told: Mapping[str, Any],
    *,
    origin: str,
    masks: str,
    curricula: Sequence[str],
    rates: Mapping[str, Sequence[int]],
    stand_ins: Sequence[str] = (),
    map_notes: Sequence[str] = (),
) -> list[tuple[str, str]]:
    """Return what was run as (heading, text), in the order of reading.

    Args:
        told: the blocks of the checked configuration that ``TOLD`` names.
        origin: layout of the archive.
        masks: where the lung masks come from.
        curricula: their names.
        rates: of each task, how many learning rates its stages try.
        stand_ins: roots whose weights are random.
        map_notes: what is to be said of attention in maps as coarse as the network's.
    """
    share = 100 * told["label_share"]
    some = f" Of the training patients' labels, {share:g} % were used." if share < 100 else ""
    if shares := sorted(told["few_labels"]["shares"]):
        named = listed([f"{100 * one:g} %" for one in shares])
        some += f" The last stages were trained with {named} of the labels, too."
    used = [task for task in _TASKS if any(task in name.split("+") for name in curricula)]
    names = ", ".join(curricula[:_NAMED]) + (", …" if len(curricula) > _NAMED else "")
    backbone, image = told["backbone"], told["image"]
    early = f", ended after stage {backbone['last_stage']}" if backbone["last_stage"] < 4 else ""
    seeds = ", ".join(map(str, told["seeds"]))
    found = [
        ("Question", f"{_question(told)}.{some}"),
        ("Images", f"{_ORIGINS.get(origin, origin)}."),
        (
            "Protocol",
            f"{_PROTOCOLS[told['protocol']]}. {_split(told)}",
        ),
        ("Lung masks", f"{_MASKS.get(masks, masks)}."),
        ("Variants", f"{'; '.join(_VARIANTS.get(name, name) for name in told['variants'])}."),
        ("Curricula", f"{len(curricula)}: {names}."),
        ("Pretext tasks", f"{'; '.join(_TASKS[task] for task in used) or 'none'}."),
        ("Network", f"{backbone['name']}{early}, {image['size']} x {image['size']} pixels."),
        (
            "Training",
            " ".join(_stage(told, task, rates[task]) for task in rates),
        ),
        ("Seeds", f"{seeds}." if len(told["seeds"]) > 1 else f"{seeds}, one training of each."),
    ]
    if stand_ins:
        found.append(
            ("Caution", f"{listed(stand_ins)}: random weights stand in; these rows say nothing.")
        )
    return found + [("Caution", note) for note in map_notes]


def _question(told: Mapping[str, Any]) -> str:
    if names := told["findings"]:
        if len(names) == 1:
            return f"Tell whether a chest radiograph shows {names[0]}"
        return f"Tell which of {len(names)} findings a chest radiograph shows: {listed(names)}"
    return f"Tell {listed(told['classes'])} apart in chest radiographs"


def straddling(both: int, tested: int) -> list[tuple[str, str]]:
    """Return what is to be said of ``both`` of the ``tested`` patients who are not held out."""
    if not both:
        return []
    return [
        (
            "Caution",
            f"{both} of the {many(tested, 'patient')} of the test set "
            f"{'has' if both == 1 else 'have'} images in training or validation, too: results may "
            "be better than they would be for other patients.",
        )
    ]


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence holds them: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _split(told: Mapping[str, Any]) -> str:
    """Return where the split comes from."""
    split = told["split"]
    source, seed = split["source"], told["split_seed"]
    straddle = " (a patient may be on both sides)" if split["by"] == "image" else ""
    if source == DRAWN:
        return f"Split by {split['by']}{straddle}, seed {seed}."
    how = "lists of files" if source == LISTS else "what tables or paths say of each image"
    if split[source]["val"] is not None:
        return f"The split is given, by {how}, with its validation images."
    return (
        f"The split is given, by {how}; of its training side, {100 * split['val']:g} % were drawn "
        f"for validation, by {split['by']}{straddle}, seed {seed}."
    )


def _stage(told: Mapping[str, Any], task: str, rates: Sequence[int]) -> str:
    stage = told["stages"][task]
    tried = " or ".join(map(str, rates))
    rate = "learning rate" if tried == "1" else "learning rates"
    name = "classification" if task == CLASSIFY else task
    epochs = f"{many(stage['search_epochs'], 'epoch')} each"
    if tried != "1" and told["search"]["method"] == "halving":
        epochs = f"up to {many(stage['search_epochs'], 'epoch')}, the better of them going on"
    return (
        f"{name}: {tried} {rate} for {epochs}, the best for "
        f"{stage['final_epochs']} more, batches of {stage['batch_size']}."
    )
