"""From a finished classifier in a store to a folder that needs neither store nor images."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sscdl import __version__
from sscdl.archives.cohorts import MAIN
from sscdl.errors import InputError
from sscdl.files import write_json, write_text
from sscdl.images.ingest import collect
from sscdl.images.variants import mean_std
from sscdl.model.card import write_card
from sscdl.model.folder import (
    CARD,
    DESCRIPTION,
    FORMAT,
    OF_FINDINGS,
    SEGMENTER,
    VERSION,
    WEIGHTS,
    Model,
    preprocessing_source,
)
from sscdl.model.recorded import (
    check_made_by,
    choose_thresholds,
    read_predictions,
    scores_of_classes,
    scores_of_findings,
)
from sscdl.model.source import check_same, find_pointer, read_study
from sscdl.recipe import file_hash
from sscdl.records import LINEAGE, PACK, read_record
from sscdl.segment.networks import default
from sscdl.segment.networks.checkpoint import save_checkpoint
from sscdl.segment.predict import load_segmenter
from sscdl.store.store import LINEAGE_FILE, Store, read_pointer
from sscdl.study.study import Study
from sscdl.study.trie import FINAL_TASKS, FINDINGS
from sscdl.tables.operating_points import VALIDATION
from sscdl.training.network_facts import map_notes
from sscdl.training.network_names import by_timm
from sscdl.weight_files import check_weights
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.model")
_GRAY = "segmented_gray"
_RULE = "Youden"  # by which findings are called unless another rule is asked for


def export(
    source: Path,
    out: Path,
    *,
    configfiles: list[Path],
    settings: Iterable[str] = (),
    node: str = "",
    variant: str = "",
    segmenter: Path | None = None,
    predictions: Path | None = None,
    rule: str = "",
    data_name: str = "",
    gray: float | None = None,
    trust: bool = False,
) -> None:
    """Write the folder ``out`` (see :mod:`sscdl.model.folder`) of a finished classifier.

    Args:
        source: the classifier's pointer in a store, or the store.
        configfiles, settings: the configuration of a study that trained it: files laid over the
            defaults in turn, and ``key=value`` texts, as Snakemake takes them.
        node, variant: which pointer of the store (see
            :func:`sscdl.model.source.find_pointer`).
        segmenter: finds the lungs where the study was given its masks.
        predictions: the study's file of this model, for the scores on the card, and, of findings,
            for the thresholds from which on they are called.
        rule: how these are chosen, one of :data:`sscdl.tables.operating_points.RULES`; empty:
            Youden's.
        data_name: what the images were, for the card.
        gray: the mean of the full images in [0, 1], where the store cannot tell it.
        trust: take the configuration although nothing shows that it is the one of the training.

    Raises InputError for a classifier that is not finished, a configuration that is not the one it
    was trained with, and for what is missing.
    """
    pointer = find_pointer(source, node, variant)
    store, entry = Store(pointer.parent.parent), read_pointer(pointer)
    if entry.get("task") not in FINAL_TASKS:
        raise InputError(
            f"{pointer}: is the pointer of a pretext stage, which tells no classes apart; give "
            f"that of a classifier (its name ends in {' or '.join(FINAL_TASKS)})"
        )
    several = entry["task"] == FINDINGS
    if several and predictions is None:
        raise InputError(
            f"{pointer}: is a model of findings, each of which is called from a threshold on that "
            "is chosen on validation images; give their predictions by this model with "
            "--predictions (its file in results/<study>/predictions)"
        )
    if rule and not several:
        raise InputError(
            f"--threshold: {pointer.name} is a model of classes, of which the likeliest is "
            "predicted; leave the option out"
        )
    if not store.finished(pointer):
        raise InputError(f"{pointer}: the weights that it names are gone; run the workflow again")
    kept = store.object(entry["object"])
    lineage = read_record(kept / LINEAGE_FILE, LINEAGE)
    study = read_study(configfiles, settings, store.folder)
    variant = lineage["variant"]
    if not trust:
        check_same(study, lineage, pointer)
    with _new_folder(out) as folder:
        shutil.copyfile(kept / WEIGHTS, folder / WEIGHTS)
        lungs = _lungs(study, variant, segmenter, folder)
        files = [name for name in (WEIGHTS, SEGMENTER) if (folder / name).is_file()]
        ingest, recipe = study.config["ingest"], lineage["recipe"]
        names = recipe["data"]["findings" if several else "classes"]
        table = None if predictions is None else read_predictions(predictions, names)
        described = {
            "format": FORMAT,
            "version": OF_FINDINGS if several else VERSION,
            "sscdl": __version__,
            "classes": names,
            "backbone": recipe["backbone"],
            "image": {"size": recipe["image_size"], "packed": study.config["image"]["packed"]},
            "variant": {
                "name": variant,
                "edge": study.edge(variant),
                "gray": _gray(study, trust, gray) if variant == _GRAY else None,
            },
            "normalisation": {key: lineage["data"][key] for key in ("mean", "std")},
            "ingest": {key: ingest[key] for key in ("rendering", "accept", "time_limit")},
            "lungs": lungs,
            "files": {name: file_hash(folder / name) for name in files},
            "preprocessing": preprocessing_source(),
            "verified": not trust,
            "data": {"name": data_name, "layout": study.layout},
            "lineage": lineage,
        }
        described |= _of_network(recipe, store.folder)
        if several and table is not None:
            thresholds = choose_thresholds(table, names, rule or _RULE, study.reported)
            described |= {"several": True, "thresholds": thresholds}
        write_json(folder / DESCRIPTION, described)
        model = Model(folder, torch.device("cpu"))
        if table is not None and predictions is not None:
            pack = store.folder / "packs" / f"{variant}.{recipe['data']['pack']}.json"
            check_made_by(model, table, predictions, pack)
            described["scores"] = (scores_of_findings if several else scores_of_classes)(table)
            write_json(folder / DESCRIPTION, described)
        if several:
            _tell(described["thresholds"])
        write_text(folder / CARD, write_card(described))
    LOGGER.info("%s (%s) is in %s", entry["node"], variant, out)


def _of_network(recipe: dict[str, Any], store: Path) -> dict[str, Any]:
    """Return what the card says of the network: of its map, and with what arguments timm makes it.

    ``recipe`` is that of the classifier.
    """
    network, size = recipe["backbone"], recipe["image_size"]
    found: dict[str, Any] = {"map_notes": map_notes(network, size, store)}
    if by_timm(network["name"]):
        from sscdl.training.timm_checks import timm_arguments

        found["timm"] = timm_arguments(network["name"], size)
    return found


def _lungs(study: Study, variant: str, given: Path | None, folder: Path) -> dict[str, Any]:
    """Write the segmenter into ``folder``, if there is one, and return what is known of masks."""
    settings = study.config["lungs"]
    needed, source = variant != "full", settings["source"]
    own = study.segmenter_file
    if own is not None and given is not None:
        raise InputError(
            f"--segmenter {given}: the study's masks come from a segmenter of its own "
            f"(lungs.source: {source}); leave the option out"
        )
    if own is None and given is None and needed:
        raise InputError(
            f"variant {variant} needs lung masks, and the study was given its own (lungs.source: "
            "masks), which new images do not have; say with --segmenter what finds their lungs "
            "(a file, or `default`)"
        )
    described = {
        "needed": needed,
        "source": source,
        "convention": study.mask_convention,
        "implausible": settings["implausible"],
        "as_trained": given is None,
        "recipe": None,
    }
    file = given or own
    if file is None:
        return described | {"convention": None}
    if file == Path("default"):
        file = default.PATH
    check_weights(file)
    loaded = load_segmenter(file)
    # Written anew: what comes as a torch file leaves as safetensors.
    save_checkpoint(folder / SEGMENTER, loaded.network, loaded.architecture, loaded.mask_convention)
    recipe: dict[str, Any] = {"sha256": file_hash(file)}
    if source == "train":
        recipe |= {k: v for k, v in settings["train"].items() if k != "folder"}
    if given is not None:
        described["convention"] = loaded.mask_convention
    return described | {"recipe": recipe}


def _gray(study: Study, trust: bool, given: float | None) -> float:
    """Return what fills the surroundings of the lungs: the mean of the main archive's images."""
    if given is not None:
        return given
    if trust:
        raise InputError(
            f"variant {_GRAY}: without proof that the configuration is that of the training, the "
            "mean of the full images cannot be looked up; give it with --gray (in [0, 1])"
        )
    manifests = study.image_manifests()
    missing = [path for path in (study.pack("full"), *manifests) if not path.is_file()]
    if missing:
        raise InputError(
            f"{missing[0]}: missing, so that the mean of the full images is not known; run the "
            "study again, or give the mean with --gray (in [0, 1])"
        )
    images, _ = collect(manifests)
    ids = set(images.loc[images["cohort"] == MAIN, "image_id"])
    return mean_std(read_record(study.pack("full"), PACK), ids)[0]


def _tell(thresholds: dict[str, Any]) -> None:
    """Say on what thresholds were chosen if that is not as it should be, and what has none."""
    if thresholds["chosen_on"] != VALIDATION:
        LOGGER.warning(
            "thresholds: there are no validation images, so that they were chosen on the reported "
            "ones (%s): what they are worth there is too good",
            thresholds["chosen_on"],
        )
    for name, value in thresholds["values"].items():
        if value is None:
            shown, absent = thresholds["images"][name]
            LOGGER.warning(
                "%s: has no threshold and will not be called: on %s, %s it, and %d do not",
                name, thresholds["chosen_on"], many(shown, "image shows", "images show"), absent,
            )  # fmt: skip


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder that becomes ``out`` when the block succeeds, so that none is ever half."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"output {out}: is there already; give a new folder, or delete it")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    umask = os.umask(0)
    os.umask(umask)
    try:
        yield folder
        folder.chmod(0o777 & ~umask)
        os.replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
