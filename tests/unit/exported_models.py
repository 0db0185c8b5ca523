"""Exported models made by hand, and what is read of their predictions."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import torch
from safetensors.torch import save_file

from sscdl.model.folder import (
    FORMAT,
    OF_FINDINGS,
    SEGMENTER,
    VERSION,
    WEIGHTS,
    preprocessing_source,
)
from sscdl.phantom import radiograph as phantom_radiograph
from sscdl.recipe import file_hash
from sscdl.segment.networks import default
from sscdl.training.backbones import build_backbone
from sscdl.training.network_names import by_timm, network_of
from tests.unit.render_helpers import ACCEPT_ALL

CLASSES = ["negative", "typical", "other"]
# Of a model of findings, in the order of its outputs; from where each is called.
THRESHOLDS = {"Effusion": 0.25, "Edema": None, "Hernia": 0.001}
CPU = torch.device("cpu")


def build(
    folder,
    *,
    variant="segmented_black",
    name="resnet18",
    last_stage=4,
    gray=None,
    edge=0.0,
    thresholds=None,
):
    """Write a model with random weights and the default segmenter; return its folder.

    It is one of findings if there are ``thresholds`` (by finding).
    """
    folder.mkdir()
    several, classes = thresholds is not None, CLASSES if thresholds is None else list(thresholds)
    torch.manual_seed(0)
    network = network_of({"name": name, "last_stage": last_stage}, 64)
    backbone = build_backbone(**network)
    head = backbone.head_name
    state = backbone.state_dict()
    state[f"{head}.weight"] = torch.randn(len(classes), backbone.channels)
    state[f"{head}.bias"] = torch.randn(len(classes))
    save_file({k: v.contiguous() for k, v in state.items()}, folder / WEIGHTS)
    shutil.copyfile(default.PATH, folder / SEGMENTER)
    recipe = {
        "task": "findings" if several else "classify",
        "seed": 0,
        "root": "scratch",
        "data": {
            "findings" if several else "classes": classes,
            "validate": "val",
            "pack": "0" * 12,
        },
    }
    described = {
        "format": FORMAT,
        "version": OF_FINDINGS if several else VERSION,
        "classes": classes,
        "backbone": network,
        "image": {"size": 64, "packed": 72},
        "variant": {"name": variant, "edge": edge, "gray": gray},
        "normalisation": {"mean": 0.4, "std": 0.25},
        "ingest": {
            "rendering": {
                "window": "first",
                "percentiles": [0.5, 99.5],
                "bits": 8,
                "max_pixels": 10**6,
            },
            "accept": ACCEPT_ALL,
            "time_limit": 30,
        },
        "lungs": {
            "needed": variant != "full",
            "source": "default",
            "convention": default.CONVENTION,
            "implausible": "keep",
        },
        "files": {n: file_hash(folder / n) for n in (WEIGHTS, SEGMENTER)},
        "preprocessing": preprocessing_source(),
        "verified": True,
        "lineage": {
            "node": "classify",
            "variant": variant,
            "epochs": 2,
            "learning_rate": 0.01,
            "metric": "balanced_accuracy",
            "value": 0.5,
            "recipe": recipe,
            "data": {"images": 24, "mean": 0.4, "std": 0.25},
            "before": None,
        },
    }
    if several:
        chosen = {"rule": "Youden", "chosen_on": "val", "values": thresholds}
        images = {finding: [12, 30] for finding in classes}
        described |= {"several": True, "thresholds": {**chosen, "images": images}}
        auc = {"mean": 0.71, **dict.fromkeys(classes[:1], 0.71)}
        described["scores"] = {"test": {"images": 40, "auc": auc}}
    if by_timm(name):
        from sscdl.training.timm_checks import timm_arguments

        described["timm"] = timm_arguments(name, 64)
    (folder / "model.json").write_text(json.dumps(described))
    return folder


def change(folder, **changes):
    """Change keys of ``model.json``."""
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def radiograph(seed=1, size=96):
    """Return a phantom, uint8 (size, size)."""
    return np.rint(255 * phantom_radiograph.render(seed, "typical", size).pixels).astype(np.uint8)


def lines_of(out):
    """Return the lines of a table of predictions by file."""
    with (out / "predictions.csv").open(newline="") as file:
        return {line["file"]: line for line in csv.DictReader(file)}


def chances_of(line, names=CLASSES):
    return [float(line[f"prob_{name}"]) for name in names]
