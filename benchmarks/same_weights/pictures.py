"""The cases that make pictures: archives, images, masks, packs, splits and segmenters."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from benchmarks.same_weights import digests
from benchmarks.same_weights.shared import Shared
from sscdl.dicom.radiograph import Rendering
from sscdl.errors import InputError
from sscdl.files import read_json
from sscdl.images.duplicates import find_duplicates
from sscdl.images.imagelist import list_images
from sscdl.images.ingest import ingest_shard
from sscdl.images.split import assign_split
from sscdl.images.variants import pack
from sscdl.phantom.archive import write_archive
from sscdl.segment.given import copy_given_masks
from sscdl.segment.predict import load_segmenter, segment_shard
from sscdl.segment.training.recipes import train

Digests = dict[str, str]


class Pictures:
    """Work on a small synthetic archive in the folder ``work``; its parts are made once."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.shared = Shared(work)

    def phantom(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Write a synthetic archive."""
        write_archive(folder / "archive", **settings)
        return {
            kind: digests.folder(folder / "archive", f"*.{kind}") for kind in ("dcm", "csv", "png")
        }

    def images(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Turn an archive into PNG files."""
        cohorts = self.shared.cohorts(settings["archive"])
        rendering = settings["rendering"]
        rendering = Rendering(**rendering | {"percentiles": tuple(rendering["percentiles"])})
        found = {}
        for shard in range(settings["shards"]):
            manifest = folder / f"shard-{shard}.json"
            ingest_shard(
                cohorts, shard=shard, shards=settings["shards"], png_dir=folder / "png",
                manifest=manifest, rendering=rendering, accept=settings["accept"],
                find_text=settings["find_text"], time_limit=settings["time_limit"],
            )  # fmt: skip
            found[manifest.name] = digests.of_value(read_json(manifest), self.work)
        return {**found, "png": digests.folder(folder, "*.png")}

    def masks_given(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Take over masks of several codings and sizes, of which some are missing or odd."""
        manifest = self.shared.images()
        given = folder / "given"
        given.mkdir(parents=True)
        truth = self.shared.archive() / "truth" / "masks"
        for number, path in enumerate(sorted(truth.glob("*.png"))):
            mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if number % 5 == 1:
                continue
            if number % 5 == 2:
                mask = cv2.resize(mask, (50, 60), interpolation=cv2.INTER_NEAREST)
            if number % 5 == 3:
                mask = mask // 255
            if number % 5 == 4:  # half of it, which is not plausible
                mask[:, : mask.shape[1] // 2] = 0
            cv2.imwrite(str(given / path.name), mask)
        copy_given_masks(
            manifest, manifest.parent / "png", given, folder / "png", folder / "masks.json",
            hull=settings["hull"],
        )  # fmt: skip
        return self._masks_of(folder)

    def masks_predicted(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Find the lungs with a network."""
        manifest = self.shared.images()
        network = self.shared.network(settings["network"])
        segment_shard(
            manifest, manifest.parent / "png", network, folder / "png", folder / "masks.json",
            hull=settings["hull"], batch_size=settings["batch_size"],
        )  # fmt: skip
        found = self._masks_of(folder)
        if settings["samples"]:
            path = sorted((manifest.parent / "png").glob("*.png"))[0]
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            blank = np.full((40, 50), 7, np.uint8)
            colour = np.stack([image, image // 2, image], axis=2)
            sampled = load_segmenter(network).predict_samples(
                [image, blank, colour], settings["samples"], seed=3, batch_size=2
            )
            for number, masks in enumerate(sampled):
                for name, array in zip(("raw", "post", "uncertainty"), masks, strict=False):
                    found[f"sampled {name} {number}"] = digests.of_array(np.asarray(array))
        return found

    def packs(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Pack a variant of the images."""
        images, masks = [self.shared.images()], [self.shared.masks()]
        whole = None
        if settings["variant"] == "segmented_gray":
            whole = self.shared.full_pack()
        out = folder / "pack.json"
        masks = [] if settings["variant"] == "full" else masks
        pack(
            settings["variant"], images, masks, whole, out, size=settings["size"],
            edge=settings["edge"],
        )  # fmt: skip
        array = np.load(out.with_suffix(".npy"))
        return {
            "array": digests.of_array(array),
            "description": digests.of_value(read_json(out), self.work),
        }

    def split(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Divide a table of images."""
        try:
            found = assign_split(_table(), **settings["split"], seed=settings["seed"])
        except InputError as error:  # that a class is too small for a split is an answer, too
            return {"refused": digests.of_text(str(error), self.work)}
        return {"split": digests.of_value(found.tolist(), self.work)}

    def duplicates(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Find the pictures of a table that are there more than once."""
        found = find_duplicates(_table())
        return {"duplicates": digests.of_value(found.to_dict("records"), self.work)}

    def sides(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Put the images of a table on the sides of a split that is given."""
        # Here, as revisions that have no such module still do the other cases.
        from sscdl.archives.by_sides import by_sides, copies_on_other_sides, set_apart

        table, drawn = _table(), random.Random(1)
        said = {one: drawn.choice(["train", "val", "test", ""]) for one in table["image_id"]}
        sides = {image: side for image, side in said.items() if side}
        used = set_apart(table, sides)

        def rest(chosen: pd.Series) -> pd.Series:
            shares = {"val": 0.0 if settings["validated"] else 0.2, "test": 0.0}
            return assign_split(used[chosen], by="patient", stratified=True, seed=0, **shares)

        asked = _taken(by_sides, validated=settings["validated"])
        found = by_sides(used, sides, drawn=rest, **asked)
        return {
            "cohorts": digests.of_value(used["cohort"].tolist(), self.work),
            "copies": digests.of_value(copies_on_other_sides(used, sides), self.work),
            "split": digests.of_value(found.tolist(), self.work),
        }

    def folders(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Read an archive that has no table: labels and patients stand in its paths."""
        # Here, as revisions that have no such module still do the other cases.
        from sscdl.archives.folders import read_index

        root = folder / "archive"
        for name in settings["files"]:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        described = {key: value for key, value in settings.items() if key != "files"}
        index = read_index({"layout": "folders", "root": str(root), "id_key": "k", **described})
        return {
            "images": digests.of_value(index.images.to_dict("records"), self.work),
            "problems": digests.of_value(index.problems.to_dict("records"), self.work),
        }

    def list(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """List the images of an archive, with masks and split."""
        truth = self.shared.archive() / "truth" / "truth.csv"
        list_images(
            [self.shared.images()], [self.shared.masks()], [truth],
            folder / "images.csv", folder / "rejected.csv", implausible=settings["implausible"],
            split={**settings["split"], "seed": settings["seed"]},
            **_taken(list_images, split_seed=settings["seed"]),
        )  # fmt: skip
        return {
            name: digests.of_text((folder / name).read_text(encoding="utf-8"), self.work)
            for name in ("images.csv", "rejected.csv")
        }

    def segmenter(self, folder: Path, settings: dict[str, Any]) -> Digests:
        """Train a network that finds lungs."""
        if settings["folder"]:
            settings = settings | {"folder": str(self.shared.pairs())}
        scratch = folder / "scratch"
        scratch.mkdir(parents=True)
        out = folder / "segmenter.safetensors"
        result = train(settings, out, scratch, threads=1, device="cpu")
        torch.set_num_threads(1)
        return {
            "weights": digests.of_bytes(out.read_bytes()),
            "records": digests.of_value(result, self.work),
            "pictures": digests.folder(scratch, "*.png"),
        }

    def _masks_of(self, folder: Path) -> Digests:
        record = read_json(folder / "masks.json")
        return {
            "masks": digests.folder(folder / "png", "*.png"),
            "records": digests.of_value(record, self.work),
        }


def _taken(function: Callable[..., Any], **settings: Any) -> dict[str, Any]:
    """Return those of ``settings`` that ``function`` takes: it is that of another revision, too."""
    return {
        name: settings[name] for name in settings.keys() & inspect.signature(function).parameters
    }


def _table() -> pd.DataFrame:
    """Return a table of images with patients of several images and labels, and with copies."""
    drawn = random.Random(0)
    rows = []
    for number in range(240):
        cohort = drawn.choices(["main", "pretraining", "other", "further"], [8, 2, 1, 1])[0]
        rows.append(
            {
                "image_id": f"i{drawn.randrange(10**6):06}-{number}",
                "patient_id": f"p{drawn.randrange(90)}",
                "label": drawn.choices(["negative", "typical", "atypical", ""], [6, 5, 2, 2])[0],
                "cohort": cohort,
                "pixel_hash": f"h{drawn.randrange(200)}",
            }
        )
    return pd.DataFrame(rows)
