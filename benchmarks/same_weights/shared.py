"""What several cases work on: a synthetic archive and what is made of it, each made once."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.same_weights.measured import aside
from sscdl.dicom.radiograph import Rendering
from sscdl.images.ingest import ingest_shard
from sscdl.images.variants import pack
from sscdl.phantom.archive import write_archive
from sscdl.segment.given import copy_given_masks
from sscdl.segment.training.recipes import train

# Comes with the project; it is data, and the same in both revisions or else masks differ.
DEFAULT_SEGMENTER = Path("resources/segmenter/lungs.safetensors")
SHARED = {
    "patients": 12, "size": 80, "seed": 1, "contrast": 1.5, "shortcut": 0.75, "marked_test": 3,
    "classes": {"negative": 0.5, "typical": 0.5},
}  # fmt: skip
PLAIN_RENDERING = Rendering(max_pixels=1_000_000)
ANYTHING: dict[str, Any] = dict.fromkeys(("modality", "body_part", "view", "image_type_without"))
ANYTHING |= {"colour": True, "uniform": 1.0}


class Shared:
    """Inputs in the folder ``work``/shared. Making them counts for no case."""

    def __init__(self, work: Path) -> None:
        self.work = work

    def archive(self) -> Path:
        root = self.work / "shared" / "archive"
        if not root.exists():
            with aside():
                write_archive(root, **SHARED)
        return root

    def cohorts(self, kind: str) -> dict[str, dict[str, Any]]:
        root = self.archive()
        if kind == "table":
            return {"main": _table_archive(root, self.work / "shared" / "table")}
        folders = {"main": root}
        if kind == "cohorts":
            folders |= {path.name: path for path in sorted((root / "cohorts").iterdir())}
        return {
            name: {"layout": "siim", "root": str(path), "id_key": "phantom"}
            for name, path in folders.items()
        }

    def images(self) -> Path:
        """Return the manifest of the archive's images, which other cases work on."""
        manifest = self.work / "shared" / "images" / "shard-0.json"
        if not manifest.exists():
            with aside():
                ingest_shard(
                    self.cohorts("cohorts"), shard=0, shards=1, png_dir=manifest.parent / "png",
                    manifest=manifest, rendering=PLAIN_RENDERING, accept=ANYTHING,
                    find_text=False, time_limit=60,
                )  # fmt: skip
        return manifest

    def masks(self) -> Path:
        """Return the manifest of masks that other cases work on: the true ones, some missing."""
        out = self.work / "shared" / "masks" / "shard-0.json"
        if not out.exists():
            with aside():
                given = out.parent / "given"
                shutil.copytree(self.archive() / "truth" / "masks", given)
                for path in sorted(given.glob("*.png"))[:2]:
                    path.unlink()
                odd = sorted(given.glob("*.png"))[0]
                mask = cv2.imread(str(odd), cv2.IMREAD_GRAYSCALE)
                mask[:, : mask.shape[1] // 2] = 0
                cv2.imwrite(str(odd), mask)
                manifest = self.images()
                copy_given_masks(
                    manifest, manifest.parent / "png", given, out.parent / "png", out, hull=False
                )
        return out

    def network(self, name: str) -> Path:
        """Return the weights of a segmenter: the project's own, or a hardly trained one."""
        if name == "default":
            return DEFAULT_SEGMENTER
        out = self.work / "shared" / f"{name}.safetensors"
        if not out.exists():
            with aside():
                settings = {
                    "network": name, "folder": None, "phantoms": 4, "behind_heart": True,
                    "validation": 0.25, "field": [128, 128], "channels": 4, "latent": 4,
                    "epochs": 1, "phantom_epochs": 1, "seed": 0,
                }  # fmt: skip
                scratch = self.work / "shared" / f"{name}-scratch"
                scratch.mkdir(parents=True)
                train(settings, out, scratch, threads=1, device="cpu")
        return out

    def pairs(self) -> Path:
        """Return a folder of images and masks with an index."""
        root = self.work / "shared" / "pairs"
        if not root.exists():
            manifest = self.images()
            truth = self.archive() / "truth" / "masks"
            names = [path.stem for path in sorted(truth.glob("*.png"))][:8]
            for kind, source in (("images", manifest.parent / "png"), ("masks", truth)):
                (root / kind).mkdir(parents=True)
                for name in names:
                    shutil.copy(source / f"{name}.png", root / kind / f"{name}.png")
            with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
                rows = [(name, "train", f"g{number // 2}") for number, name in enumerate(names)]
                csv.writer(file).writerows([("id", "split", "group"), *rows])
        return root

    def full_pack(self) -> Path:
        """Return the pack of the whole images."""
        out = self.work / "shared" / "full.json"
        if not out.exists():
            images = [self.images()]
            with aside():
                pack("full", images, [], None, out, size=40, edge=0.0)
        return out


def _table_archive(source: Path, root: Path) -> dict[str, Any]:
    """Return the description of a folder of files of several kinds, some of them damaged."""
    description = {
        "layout": "table", "root": str(root), "table": "table.csv", "id_key": "k",
        "columns": {"file": "name", "patient": "who", "age": "age", "sex": "sex", "view": "view"},
        "labels": {
            "negative": {"column": "found", "values": ["none"]},
            "typical": {"column": "found", "values": ["a", "b"], "separator": "|"},
        },
    }  # fmt: skip
    if root.exists():
        return description
    root.mkdir(parents=True)
    files = sorted(source.glob("train/*/*/*.dcm"))[:6]
    rows: list[tuple[str, ...]] = [("name", "who", "age", "sex", "view", "found")]
    drawn = np.random.default_rng(0).integers(0, 255, (50, 60), dtype=np.uint8)
    smooth = cv2.GaussianBlur(drawn, (0, 0), 4)
    lettered = cv2.putText(smooth.copy(), "L", (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
    pictures = {
        "a.png": smooth, "b.jpg": smooth, "c.tif": lettered, "wide.png": smooth[:20],
        "colour.png": np.stack([smooth, drawn, smooth], axis=2), "even.png": smooth * 0,
        "sixteen.png": smooth.astype(np.uint16) * 255,
    }  # fmt: skip
    for name, picture in pictures.items():
        cv2.imwrite(str(root / name), picture)
    for path in files:
        shutil.copy(path, root / path.name)
    (root / "cut.dcm").write_bytes(files[0].read_bytes()[:900])
    (root / "broken.png").write_bytes((root / "a.png").read_bytes()[:100])
    for number, path in enumerate(sorted(root.iterdir())):
        found = ("none", "a|c", "", "b")[number % 4]
        rows.append((path.name, f"p{number // 2}", str(40 + number), "FM"[number % 2], "PA", found))
    with (root / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return description
