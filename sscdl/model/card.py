"""The card of an exported model: what it is, what it learnt from, and what it is not."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from sscdl.model.recorded import BASELINES
from sscdl.tables.findings.scores import MEAN
from sscdl.tables.operating_points import VALIDATION
from sscdl.training.network_facts import SIZES
from sscdl.training.network_names import by_timm
from sscdl.words import many

_PROVENANCE = {
    "phantom": "synthetic radiographs of this project, **no real patients**",
    "siim": "an archive in the layout of the SIIM-FISABIO-RSNA challenge",
    "table": "a folder of image files described by a table",
    "folders": "a folder of image files described by their paths",
}
_SHOWN = {
    "full": "whole radiographs",
    "segmented_black": "radiographs whose surroundings of the lungs are black",
    "segmented_gray": "radiographs whose surroundings of the lungs are of one gray",
    "inverted": "radiographs whose lungs are black",
    "lung_box": "the box around the lungs",
}
_MASKS = {
    "default": "the segmenter that comes with the project",
    "checkpoint": "a segmenter that was there already",
    "train": "a segmenter that the study trained",
    "masks": "people or another program, as given to the study",
}
_RULES = {
    "Youden": "at the largest sum of sensitivity and specificity",
    "sensitivity 90 %": "at the fewest false calls with a sensitivity of 90 % or more",
    "specificity 90 %": "at the highest sensitivity with a specificity of 90 % or more",
}


class _Kind(NamedTuple):
    """What is said of models of one kind."""

    what: str
    tells: str
    last_stage: str
    limit: str
    outputs: str = ""


_CLASSES = _Kind(
    "A classifier of chest radiographs",
    "tells apart",
    "the classifier",
    "It knows its classes alone and puts every image into one of them.",
)
_FINDINGS = _Kind(
    "A model that tells findings on chest radiographs",
    "tells, each by itself, whether an image shows",
    "the findings",
    "It knows its findings alone: an image of which none is called may show others.",
    "The sigmoid of each of its outputs is the probability of one finding, in the order above. ",
)


def write_card(described: dict[str, Any]) -> str:
    """Return the card (Markdown) of a model that ``model.json`` describes."""
    lineage = described["lineage"]
    several = described.get("several", False)
    kind = _FINDINGS if several else _CLASSES
    stages = _stages(lineage)
    curriculum = "+".join(stage["recipe"]["task"] for stage in stages[:-1]) or "none"
    backbone, variant = described["backbone"], described["variant"]
    data, lungs = described.get("data", {}), described["lungs"]
    ends = "" if backbone["last_stage"] == 4 else f", ended after stage {backbone['last_stage']}"
    images = _PROVENANCE.get(data.get("layout", ""), "unknown images")
    named = f"{data['name']}: {images}" if data.get("name") else images
    edge = f", edge {variant['edge']:g} of the shorter side" if variant["edge"] else ""
    masks = _MASKS.get(lungs["source"], lungs["source"])
    facts = {
        kind.tells: ", ".join(described["classes"]),
        "network": f"{backbone['name']}{ends}, {described['image']['size']} x "
        f"{described['image']['size']} pixels",
        "sees": f"{_SHOWN.get(variant['name'], variant['name'])} (`{variant['name']}`{edge})",
        "trained on": f"{named}; {many(lineage['data']['images'], 'image')}",
        "starts from": _root(stages[0]["recipe"]["root"]),
        "curriculum": f"{curriculum}, then {kind.last_stage}; seed {lineage['recipe']['seed']}",
        "lung masks by": f"{masks}; they count: {lungs['convention'] or 'not known'}",
    }
    lines = [
        f"# {lineage['node']} ({variant['name']})",
        "",
        f"{kind.what}, trained with sscdl-cxr. **Not a medical device**: for research, not for "
        "diagnosis or any decision about a patient.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
        "## How it was trained",
        "",
        "| stage | images | epochs | learning rate | metric | value |",
        "|---|---|---|---|---|---|",
        *(
            f"| {stage['recipe']['task']} | {stage['data']['images']} | {stage['epochs']} | "
            f"{stage['learning_rate']:g} | {stage['metric']} | {stage['value']:.4g} |"
            for stage in stages
        ),
        "",
        _what_the_value_is(lineage),
        "",
        *(_scores_of_findings(described) if several else _scores(described.get("scores"))),
        *(_thresholds(described) if several else ()),
        "## Limits",
        "",
        "- It has seen images of the kind above and no others: other machines, hospitals, ages and "
        "views may be judged wrongly, with high probabilities all the same. Probabilities are not "
        "calibrated.",
        "- Files that are no frontal chest radiographs by their header get no prediction "
        "(`ingest.accept` in `model.json`); files without a header are not asked.",
        *(f"- {note}" for note in described.get("map_notes", [])),
        f"- {kind.limit}",
        "- Networks learn shortcuts, such as marks beside the lungs. Look at where it looks "
        "(`--attention`) on images of your own.",
        *_doubts(described),
        "",
        "## How to use it",
        "",
        "On images, with all that was done to those of its training:",
        "",
        "```bash",
        "python -m sscdl model predict THIS_FOLDER IMAGES OUT",
        "```",
        "",
        f"The network alone, with {'timm' if by_timm(backbone['name']) else 'torchvision'}:",
        "",
        "```python",
        *loading(described),
        "```",
        "",
        f"Its input is gray in [0, 1], minus {described['normalisation']['mean']:.6f}, divided by "
        f"{described['normalisation']['std']:.6f}, repeated to three channels. "
        f"{kind.outputs}`model.json` holds the rest, and the whole lineage.",
        "",
    ]
    return "\n".join(lines)


def loading(described: dict[str, Any]) -> list[str]:
    """Return lines of Python that load the weights strictly into torchvision's network, or timm's.

    ``described["timm"]``: the arguments with which timm makes its own.
    """
    name, last = described["backbone"]["name"], described["backbone"]["last_stage"]
    classes = len(described["classes"])
    ready = ['model.load_state_dict(load_file("weights.safetensors"))', "model.eval()"]
    if by_timm(name):
        more = "".join(f", {key}={value!r}" for key, value in described["timm"].items())
        return [
            "import timm",
            "from safetensors.torch import load_file",
            "",
            f"model = timm.create_model({name!r}, num_classes={classes}{more})",
            *ready,
        ]
    lines = [
        "import torch, torchvision",
        "from safetensors.torch import load_file",
        "",
        f"model = torchvision.models.{name}(num_classes={classes})",
    ]
    for stage in range(last + 1, 5):
        lines.append(f"model.layer{stage} = torch.nn.Identity()  # the network ends earlier")
    if last < 4:
        channels = SIZES[name, last][1]
        lines.append(f"model.fc = torch.nn.Linear({channels}, {classes})")
    return [*lines, *ready]


def _stages(lineage: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the stages that led to the model, first to last."""
    found: list[dict[str, Any]] = []
    stage: dict[str, Any] | None = lineage
    while stage:
        found.insert(0, stage)
        stage = stage["before"]
    return found


def _root(root: str) -> str:
    if root == "scratch":
        return "random weights"
    # Others are known by the hash of their file.
    return root if " " in root else f"weights of a file (SHA-256 {root})"


def _what_the_value_is(lineage: dict[str, Any]) -> str:
    validated = lineage["recipe"]["data"].get("validate")
    if not validated:
        return "The values are those of the last epoch, on the training images."
    warning = (
        " As these are also the reported images, it is optimistic." if validated == "test" else ""
    )
    return (
        f"The value of the stage {lineage['recipe']['task']} is that of its last epoch on the "
        f"images of the split `{validated}`, which chose the learning rate.{warning}"
    )


def _scores(scores: dict[str, dict[str, float]] | None) -> list[str]:
    lines = ["## Scores", ""]
    if not scores:
        return [*lines, "No predictions were recorded at export.", ""]
    names = ("images", "balanced_accuracy", "auc", "ail", *BASELINES)
    lines += [
        "| images of | number | balanced accuracy | AUC | attention inside the lungs | the same of "
        "a map without preference | of a blob in the middle |",
        "|---|---|---|---|---|---|---|",
    ]
    for split, found in scores.items():
        cells = " | ".join(f"{found[name]:.4g}" if name in found else "" for name in names)
        lines.append(f"| {split} | {cells} |")
    told = (
        "The last two have learnt nothing, nor have networks with random weights (the study's "
        "table attention has them): attention inside the lungs that does not exceed all three "
        "shows no attention to the lungs."
    )
    return [*lines, "", told, ""]


def _scores_of_findings(described: dict[str, Any]) -> list[str]:
    """Return the area under the ROC curve of each finding and their mean, a column a split."""
    scores = described["scores"]
    heads = [f"{split} ({found['images']} images)" for split, found in scores.items()]
    lines = ["## Scores", "", f"| AUC of | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name in (MEAN, *described["classes"]):
        values = [found["auc"].get(name) for found in scores.values()]
        cells = ["" if value is None else f"{value:.4g}" for value in values]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    told = (
        f"Area under the ROC curve, 0.5 is chance. {MEAN}: of the findings that have one, which "
        "are those that two patients or more of the split show, and two or more do not."
    )
    return [*lines, "", told, ""]


def _thresholds(described: dict[str, Any]) -> list[str]:
    """Return from which probability on each finding is called, and how that was chosen."""
    thresholds = described["thresholds"]
    chosen_on = thresholds["chosen_on"]
    where = f"the validation images (split `{chosen_on}`)"
    warning = ""
    if chosen_on != VALIDATION:
        where = f"the reported images (split `{chosen_on}`), as there are no validation images"
        warning = " **What the thresholds are worth on these images is too good.**"
    lines = [
        "## Thresholds",
        "",
        "`predict` calls a finding from this probability on. Each was chosen on "
        f"{where}, by the rule {thresholds['rule']}: {_RULES[thresholds['rule']]}.{warning} Where "
        "few images show a finding, other ones would have given another threshold.",
        "",
        "| finding | called from | images that show it there | that do not |",
        "|---|---|---|---|",
    ]
    for name in described["classes"]:
        value, (shown, absent) = thresholds["values"][name], thresholds["images"][name]
        said = "no threshold: never called" if value is None else f"{value:.4g}"
        lines.append(f"| {name} | {said} | {shown} | {absent} |")
    return [*lines, ""]


def _doubts(described: dict[str, Any]) -> list[str]:
    lines = []
    if not described["lungs"].get("as_trained", True):
        lines.append(
            "- Its lung masks in training were given; here another segmenter finds the lungs: "
            f"{json.dumps(described['lungs']['convention'])}."
        )
    if not described["verified"]:
        lines.append(
            "- How images are prepared was taken from a configuration that could not be shown to "
            "be that of the training."
        )
    return lines
