"""The text of a study file: a configuration with a word on each key, for somebody to go on with."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sscdl.command_line import called
from sscdl.front.allowed import shares
from sscdl.front.splits import Given
from sscdl.study.trie import CLASSIFY, FINDINGS
from sscdl.words import many

_UNBALANCED = 1.5  # so many times as many images in one class as in another count as unlike
_SHARD = 1000  # images that a job converts
_ABOUT = {
    "file": "the image file: its path, or as much of its end as tells which it is",
    "patient": "images of one patient stay on one side of the split",
    "sex": "for tables by sex; F, M or words for them",
    "age": "years, or a text such as 045Y",
    "view": "AP, PA, LATERAL, ...; others than frontal views are set aside",
}
NO_PATIENT = ("      # patient: null  # taken from DICOM headers",)
NO_PATIENT_AT_ALL = (
    "      # WARNING: nothing tells the patient of a picture; each counts as another one's.",
    "      # Where patients have several, the network is tested on patients whom it was shown.",
    "      # patient: patient_id  # the column that tells it; {column: path, pattern: 'p(\\d+)'}",
)
# Settings of a study that is meant, and of one that shows in short time whether all is found.
_WHOLE: dict[str, Any] = {
    "seeds": "[0, 1, 2]  # a set of trainings each; with one alone no model is called better",
    "curricula": "[scratch, moco, moco+rotation]",
    "image": "{size: 224, packed: 256}",
    "backbone": "{name: resnet18, last_stage: 4}",
    "stages": {
        "moco": "learning_rates: [0.01, 0.03, 0.1], search_epochs: 20, final_epochs: 80",
        "rotation": "learning_rates: [0.01, 0.03], search_epochs: 5, final_epochs: 5",
        "classify": "learning_rates: [0.01, 0.03, 0.1], search_epochs: 10, final_epochs: 20",
    },
}
_QUICK: dict[str, Any] = {
    "seeds": "[0]  # one set of trainings; [0, 1, 2] for a study that is meant",
    "curricula": "[scratch, moco]",
    "image": "{size: 64, packed: 72}",
    "backbone": "{name: resnet18, last_stage: 2}",
    "stages": {
        "moco": "learning_rates: [0.03], search_epochs: 2, final_epochs: 2",
        "classify": "learning_rates: [0.01, 0.03], search_epochs: 2, final_epochs: 4",
    },
}


@dataclass(frozen=True)
class Draft:
    """What a study file is written from.

    ``dataset``: layout and the keys of its block; ``images``: number of images of each class;
    ``counted``: the same in words; ``total``: number of image files;
    ``headers``: whether all of them are DICOM, whose headers tell the patient; ``split``: one that
    comes with the images; ``further``: tables of the same columns; ``split_of_tables``: the block
    of a configuration that trains on the images of one table and tests on those of another;
    ``several``: whether the classes are findings, of which an image may show any number.
    """

    study: str
    file: str
    dataset: Mapping[str, Any]
    images: Mapping[str, int]
    counted: Mapping[str, str]
    total: int
    quick: bool = False
    headers: bool = False
    split: Given | None = None
    further: Sequence[str] = ()
    split_of_tables: Mapping[str, Any] | None = None
    several: bool = False


def study_text(draft: Draft) -> str:
    """Return the study file of a draft, as YAML."""
    chosen = _QUICK if draft.quick else _WHOLE
    last = FINDINGS if draft.several else CLASSIFY
    told = "classes: {}  # what the classifier tells apart; others pretrain alone"
    if draft.several:
        told = "findings: {}  # of which an image may show several; each is told by itself"
    classes = f"[{', '.join(map(scalar, draft.images))}]"
    stages = {last if task == CLASSIFY else task: one for task, one in chosen["stages"].items()}
    more = dict.fromkeys(stages, "decay: cosine")
    if not draft.several and max(draft.images.values()) > _UNBALANCED * min(draft.images.values()):
        more[CLASSIFY] += ", options: {class_weights: balanced}"
    shards = min(64, max(4, draft.total // _SHARD))
    run = f"{called()} run {shlex.quote(draft.file)}"
    return "\n".join(
        [
            f"# Written by `{called()} new` for {many(draft.total, 'image file')}.",
            f"#   {run} plan    says what would be trained, and how long it takes",
            f"#   {run}         makes everything; run it again after whatever stopped it",
            "# config/README.md of the project explains every key.",
            f"study: {scalar(draft.study)}  # results go to results/{draft.study}",
            "# store: /data/store  # images and trained stages; studies that share them train once",
            f"seeds: {chosen['seeds']}",
            "",
            "dataset:",
            *_dataset(draft),
            told.format(classes),
            "",
            "# Whole radiographs and lungs alone; also segmented_gray, inverted, lung_box.",
            "variants: [full, segmented_black]",
            "# Pretext tasks in a row, then the classifier; also simclr, byol, swav, imagenet.",
            f"curricula: {chosen['curricula']}",
            "",
            f"image: {chosen['image']}  # pixels that the network sees; that crops are taken from",
            f"backbone: {chosen['backbone']}  # or resnet50, densenet121, many of timm",
            "",
            "# Rates to choose from, epochs that compare them, epochs for which the best goes on.",
            "stages:",
            *(f"  {task}: {{{text}, {more[task]}}}" for task, text in stages.items()),
            "",
            f"ingest: {{shards: {shards}}}  # jobs that convert the images",
            *_split(draft),
            "# search: {method: halving}  # fewer epochs for learning rates that fall behind",
            "# training: {precision: bf16, side_by_side: 4}  # faster on a large GPU",
            "# lungs: {source: masks, masks: {folder: /data/masks}}  # lung masks that you have",
            "# results: {patient_images: true}  # also figures that show patients",
            "",
        ]
    )


def scalar(text: str) -> str:
    """Return a text as YAML, in quotes where it would be something else without."""
    quoted = '"' if "\n" in text or "\r" in text else None  # other quotes would end the line
    return yaml.safe_dump(
        [text],
        default_flow_style=True,
        default_style=quoted,
        allow_unicode=True,
        width=float("inf"),
    ).strip()[1:-1]


def slug(text: str) -> str:
    """Return a name of a study that is like ``text``."""
    return re.sub("[^A-Za-z0-9]+", "-", text).strip("-")[:40].strip("-").lower() or "mine"


def _split(draft: Draft) -> list[str]:
    """Return the lines of the split."""
    share = shares()
    drawn = [
        "# Shares of the images that choose learning rates, and that are reported.",
        f"split: {{val: {share['val']}, test: {share['test']}}}",
    ]
    given = draft.split
    if given is None:
        return drawn
    block: dict[str, Any] = dict(given.block)
    if "val" not in block[block["source"]]:
        block["val"] = share["val"]  # of the training side
    line = f"split: {_flow(block)}"
    if given.taken:
        drawn_val = "; `val` is the share of its training side that chooses learning rates"
        return [
            f"# The split that comes with the images{drawn_val if 'val' in block else ''}.",
            line,
        ]
    what = "In place of the line above, the split that comes with the images:"
    if given.against:
        way = "takes it all the same" if "straddling" in block else "takes it once that is mended"
        what = (
            f"A split that comes with the images is not taken: {given.against}. In place of the "
            f"line above, this one {way}:"
        )
    return [*drawn, *_comment(what), f"# {line}"]


def _comment(text: str) -> list[str]:
    """Return a text as lines of a comment; words longer than one, such as paths, stay whole."""
    # YAML takes no control characters, which names of files may have, not even in comments.
    shown = "".join(one if one.isprintable() else " " for one in text)
    lines = textwrap.wrap(shown, 98, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in lines]


def _flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return scalar(value) if isinstance(value, str) else str(value)


def _dataset(draft: Draft) -> list[str]:
    """Return the lines below ``dataset``."""
    given = draft.dataset
    root = scalar(str(given["root"]))
    secret = "    # id_key: a-secret-of-yours  # of the hash that makes patients pseudonyms"
    if given["layout"] == "siim":
        return [
            "  layout: siim  # the layout of the SIIM-FISABIO-RSNA challenge",
            "  siim:",
            f"    root: {root}  # folder with train/ and the two CSV files",
            secret,
            *(f"    # {name}: {words}" for name, words in draft.counted.items()),
        ]
    if given["layout"] == "folders":
        silent = not draft.headers and any("(?P<patient>" not in one for one in given["patterns"])
        return [
            "  layout: folders  # image files, whose paths tell what is known of them",
            "  folders:",
            f"    root: {root}  # folder that the image files lie in, at any depth",
            secret,
            "    patterns:  # the first that is found in a path counts",
            *(f"      - {scalar(one)}" for one in given["patterns"]),
            *(NO_PATIENT_AT_ALL[:2] if silent else ()),
            "    labels:  # a class, and the folders that mean it",
            *(
                f"      {scalar(name)}: {_flow(texts)}  # {draft.counted[name]}"
                for name, texts in given["labels"].items()
            ),
        ]
    further = []
    if draft.further:
        further = [f"    # further: {_flow(list(draft.further))}  # tables of the same columns"]
    if draft.split_of_tables:
        further.append(f"    # (to test on its images: split: {_flow(draft.split_of_tables)})")
    labels = [
        f"      {scalar(name)}: {{column: {scalar(rule['column'])}, values: ["
        f"{', '.join(map(scalar, rule['values']))}]"
        + (f", separator: {scalar(rule['separator'])}" if rule.get("separator") else "")
        + f"}}  # {draft.counted[name]}"
        for name, rule in given["labels"].items()
    ]
    columns = [
        f"      {what}: {_flow(column)}  # {_ABOUT[what]}"
        for what, column in given["columns"].items()
    ]
    if "patient" not in given["columns"]:
        columns += NO_PATIENT if draft.headers else NO_PATIENT_AT_ALL
    return [
        "  layout: table  # image files, and a CSV file with a row for each",
        "  table:",
        f"    root: {root}  # folder that the image files lie in, at any depth",
        f"    table: {scalar(str(given['table']))}  # the CSV file, relative to root or absolute",
        *further,
        secret,
        "    columns:",
        *columns,
        "    # keep: {column: view, values: [PA]}  # rows to take, where not all are meant",
        "    labels:  # a class or finding, and which rows have it",
        *labels,
    ]
