"""A folder that holds a finished classifier and all that its use needs, apart from the store.

    weights.safetensors    the classifier, in the names of torchvision or timm
    model.json             what it tells apart, how images become its input, how it came about
    segmenter.safetensors  what finds the lungs, unless there is none
    README.md              the model card

``model.json`` holds the SHA-256 of the weights, so that a folder that was damaged or put together
from two is refused. That of a model of findings has a format version of its own, so that programs
which know classes alone refuse it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import torch

from sscdl.equivalence import group_hash
from sscdl.errors import InputError
from sscdl.evaluation.classifier import CamNetwork, load_classifier
from sscdl.images.variants import VARIANTS
from sscdl.recipe import file_hash
from sscdl.records import Kind, read_record
from sscdl.segment.predict import Segmenter, load_segmenter
from sscdl.segment.quality import POLICIES
from sscdl.tables.operating_points import RULES
from sscdl.training.backbones import build_backbone
from sscdl.weight_files import read_tensors
from sscdl.words import many

FORMAT, VERSION, OF_FINDINGS = "sscdl-model", 1, 2
DESCRIPTION, WEIGHTS, SEGMENTER, CARD = (
    "model.json",
    "weights.safetensors",
    "segmenter.safetensors",
    "README.md",
)


def _block(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_TEXT = {"type": "string"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_PIXELS = {"type": "integer", "minimum": 1}
_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_KIND = Kind("the description of a model", "export it again", dict)
_BLOCKS = dict(
    backbone=_block(name={"type": "string"}, last_stage={"enum": [2, 3, 4]}),
    image=_block(size=_PIXELS, packed=_PIXELS),
    variant=_block(
        name={"enum": list(VARIANTS)}, edge=_SHARE, gray={"anyOf": [_SHARE, {"type": "null"}]}
    ),
    normalisation=_block(mean=_SHARE, std={"type": "number", "exclusiveMinimum": 0}),
    ingest=_block(
        rendering=_block(
            window=_TEXT,
            percentiles={"type": "array", "items": {"type": "number"}, "minItems": 2},
            bits={"enum": [8, 16]},
            max_pixels=_PIXELS,
        ),
        accept=_block(
            modality={}, body_part={}, view={}, image_type_without={}, colour={}, uniform=_SHARE
        ),
        time_limit={"type": "number", "exclusiveMinimum": 0},
    ),
    lungs=_block(
        needed={"type": "boolean"},
        source=_TEXT,
        convention={"type": ["string", "null"]},
        implausible={"enum": list(POLICIES)},
    ),
    files={
        "type": "object",
        "properties": {WEIGHTS: _HASH, SEGMENTER: _HASH},
        "required": [WEIGHTS],
        "additionalProperties": False,
    },
    preprocessing=_TEXT,
    verified={"type": "boolean"},
    lineage={"type": "object"},
)


def _names(fewest: int) -> dict[str, Any]:
    return {"type": "array", "items": _TEXT, "minItems": fewest, "uniqueItems": True}


# Where no validation image may be called, a threshold lies just above the highest probability, 1.
_THRESHOLD = {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 2}
_NUMBERS = {
    "type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2,
}  # fmt: skip
_SCHEMAS = {
    VERSION: _block(classes=_names(2), **_BLOCKS),
    OF_FINDINGS: _block(
        classes=_names(1),
        several={"const": True},
        thresholds=_block(
            rule={"enum": list(RULES)},
            chosen_on=_TEXT,
            values={"type": "object", "additionalProperties": _THRESHOLD},
            images={"type": "object", "additionalProperties": _NUMBERS},
        ),
        **_BLOCKS,
    ),
}


def preprocessing_source() -> str:
    """Return the hash of the source code that makes the network's input from an image file."""
    return group_hash("preprocessing")


def read_description(folder: Path) -> dict[str, Any]:
    """Return the checked contents of ``model.json`` in a model's folder.

    Raises InputError if the folder or a file is missing, damaged, or of another version.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise InputError(
            f"model {folder}: has no {DESCRIPTION}; give a folder that "
            "`python -m sscdl model export` made"
        )
    described = read_record(path, _KIND)
    if described.get("format") != FORMAT:
        raise InputError(
            f"model {path}: describes no model of this project; give a folder that "
            "`python -m sscdl model export` made"
        )
    version = described.get("version")
    if version not in list(_SCHEMAS):  # a list: it may be anything
        raise InputError(
            f"model {path}: has format version {version!r}, this program reads "
            f"{' and '.join(map(str, _SCHEMAS))}; use the version of the program that exported it, "
            "or export it again"
        )
    faults = jsonschema.Draft202012Validator(_SCHEMAS[version]).iter_errors(described)
    fault = next(faults, None)
    if fault is not None:
        where = ".".join(map(str, fault.absolute_path)) or DESCRIPTION
        raise InputError(f"model {path}: {where}: {fault.message}; export it again")
    for key in ("values", "images") if version == OF_FINDINGS else ():
        if set(described["thresholds"][key]) != set(described["classes"]):
            raise InputError(
                f"model {path}: thresholds.{key}: names other findings than classes does; export "
                "it again"
            )
    if described["lungs"]["needed"] and SEGMENTER not in described["files"]:
        raise InputError(
            f"model {path}: variant {described['variant']['name']} needs lung masks, but no "
            "segmenter is listed; export it again"
        )
    for name, digest in described["files"].items():
        if not (folder / name).is_file():
            raise InputError(f"model {folder}: {name} is missing; copy or export it again")
        if file_hash(folder / name) != digest:
            raise InputError(
                f"model {folder}: {name} is damaged, or of another model than {DESCRIPTION} "
                "describes; copy or export it again"
            )
    return described


class Model(CamNetwork):
    """A classifier from its folder, with its description and its segmenter (None without one).

    Calling it does what it does in a study: the arithmetic is :class:`CamNetwork`'s. ``thresholds``
    are the probabilities from which on each finding is called, None for one that never is; a model
    of classes has none.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.described = described = read_description(folder)
        self.lineage = described["lineage"]
        weights = read_tensors(folder / WEIGHTS)
        classes, several = described["classes"], described["version"] == OF_FINDINGS
        try:
            backbone = build_backbone(**described["backbone"])
        except InputError as error:
            raise InputError(f"model {folder}: {error}") from None
        try:
            weight, bias = load_classifier(backbone, weights)
            if weight.shape != (len(classes), backbone.channels):
                raise RuntimeError(f"its last layer is {tuple(weight.shape)}")
        except RuntimeError as error:
            of_classes = many(len(classes), "class", "classes")
            told = many(len(classes), "finding") if several else of_classes
            raise InputError(
                f"model {folder}: {WEIGHTS} does not fit {described['backbone']['name']} with "
                f"{told} ({error}); export it again"
            ) from error
        size = described["image"]["size"]
        normalisation = described["normalisation"]
        super().__init__(
            backbone, weight, bias,
            classes=classes, size=size, mean=normalisation["mean"], std=normalisation["std"],
            device=device, several=several,
        )  # fmt: skip
        self.thresholds: dict[str, float | None] = described.get("thresholds", {}).get("values", {})
        # Masks are made on the CPU, as in a study: elsewhere single pixels may fall differently.
        found = SEGMENTER in described["files"]
        self.segmenter: Segmenter | None = load_segmenter(folder / SEGMENTER) if found else None
