"""A study: everything that its configuration implies, computed before anything runs.

Turns a checked configuration into fingerprints and paths. Imports neither torch nor pandas: it runs
each time the workflow is read.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from sscdl.archives.cohorts import MAIN, MARKED, PRETRAINING
from sscdl.archives.layouts import content
from sscdl.equivalence import group_hash
from sscdl.images.variant_kinds import EDGED
from sscdl.recipe import file_hash, fingerprint, folder_listing
from sscdl.segment.networks import default
from sscdl.segment.networks.published import GIT_BLOB as PUBLISHED_BLOB
from sscdl.study import root_names
from sscdl.study.trie import CLASSIFY, SCRATCH, Node, Trie, preset_curricula

PHANTOM_IMAGES = 1.49  # of a synthetic patient, on average


class Study:
    """Fingerprints, paths and nodes of one configuration."""

    def __init__(self, config: dict[str, Any], contents: dict[str, str] | None = None) -> None:
        """Take a checked configuration.

        ``contents`` is what another study's attribute of that name said of the same archives: the
        processes of a run's jobs need not walk them again, nor see what has changed since.
        """
        self.config = config
        self._contents = contents
        self.store = Path(config["store"])
        self.results = Path("results") / config["study"]
        self.layout = config["dataset"]["layout"]
        self.variants: list[str] = config["variants"]
        self.shards: int = config["ingest"]["shards"]
        self.seeds: list[int] = config["seeds"]
        self.reported = "test"

    @cached_property
    def phantom(self) -> str:
        """Return the fingerprint of the synthetic archive."""
        settings = self.config["dataset"]["phantom"]
        return fingerprint([settings, group_hash("phantom")])

    @cached_property
    def archive(self) -> Path:
        """Return the root of the synthetic archive."""
        return self.store / "phantom" / self.phantom / "archive"

    @cached_property
    def cohorts(self) -> dict[str, dict[str, Any]]:
        """Return the description of each archive; the first, ``main``, is the one that is split."""
        if self.layout == "phantom":
            folders = {MAIN: self.archive}
            if self.config["dataset"]["phantom"]["marked_test"]:
                folders |= {name: self.archive / "cohorts" / name for name in MARKED}
            return {
                name: {"layout": "siim", "root": str(folder), "id_key": "phantom"}
                for name, folder in folders.items()
            }
        found = {MAIN: _description(self.config["dataset"])}
        if self.config["pretraining_dataset"]["layout"] != "none":
            found[PRETRAINING] = _description(self.config["pretraining_dataset"])
        return found

    @cached_property
    def contents(self) -> dict[str, str]:
        """Return a fingerprint of what lies in each archive, by cohort."""
        if self.layout == "phantom":
            # The archive may not be there yet, and its settings say all about it.
            return dict.fromkeys(self.cohorts, self.phantom)
        if self._contents is not None and self._contents.keys() == self.cohorts.keys():
            return self._contents
        return {name: fingerprint(listing) for name, listing in self._listings.items()}

    @cached_property
    def _listings(self) -> dict[str, list[Any]]:
        return {name: content(cohort) for name, cohort in self.cohorts.items()}

    @cached_property
    def images(self) -> str:
        """Return the fingerprint of the ingested images."""
        settings = {key: value for key, value in self.config["ingest"].items() if key != "shards"}
        archives = {name: _meaning(cohort) for name, cohort in self.cohorts.items()}
        source = group_hash("images")
        return fingerprint([archives, self.contents, settings, source])

    @cached_property
    def segmenter(self) -> str:
        """Return the fingerprint of what says where the lungs are."""
        lungs = self.config["lungs"]
        source = lungs["source"]
        if source == "checkpoint":
            file = lungs["checkpoint"]["file"]
            content: Any = file_hash(file) if file else PUBLISHED_BLOB
        elif source == "default":
            content = file_hash(default.PATH)
        elif source == "masks":
            content = folder_listing(lungs["masks"]["folder"], [".png"])
        else:
            folder = lungs["train"]["folder"]
            pairs: Any = None
            if folder:
                listing = folder_listing(folder, [".png", ".jpg", ".jpeg"])
                pairs = [listing, file_hash(Path(folder) / "index.csv")]
            settings = {k: v for k, v in lungs["train"].items() if k != "folder"}
            content = [pairs, settings, group_hash("segmenter")]
        return fingerprint([source, content])

    @property
    def segmenter_file(self) -> Path | None:
        """Return the segmenter's weights, or None where masks are given."""
        lungs = self.config["lungs"]
        if lungs["source"] == "masks":
            return None
        if lungs["source"] == "default":
            return default.PATH
        if lungs["source"] == "checkpoint":
            file = lungs["checkpoint"]["file"]
            return Path(file) if file else self.store / "segmenters" / "lungVAE.pt"
        return self.store / "segmenters" / f"{self.segmenter}.safetensors"

    @cached_property
    def masks(self) -> str:
        """Return the fingerprint of the lung masks."""
        given = self.config["lungs"]["source"] == "masks"
        source = group_hash("masks given" if given else "masks predicted")
        hull = self.config["lungs"]["implausible"] == "hull"
        return fingerprint([self.images, self.segmenter, source, hull])

    @property
    def mask_convention(self) -> str:
        """Return what the masks count as lung: attention scores of different ones never mix."""
        lungs = self.config["lungs"]
        given = {
            "default": default.CONVENTION,
            "masks": "masks as given",
            "checkpoint": "lungs as lungVAE segments them",
        }
        return given.get(lungs["source"], default.convention(lungs["train"]["behind_heart"]))

    def image_manifests(self) -> list[Path]:
        """Return the manifests of the ingested images, one per shard."""
        return self._shards(self.store / "images" / self.images)

    def mask_manifests(self) -> list[Path]:
        """Return the manifests of the lung masks, one per shard."""
        return self._shards(self.store / "masks" / self.masks)

    def _shards(self, folder: Path) -> list[Path]:
        return [folder / f"shard-{k}-of-{self.shards}.json" for k in range(self.shards)]

    def pack_fingerprint(self, variant: str) -> str:
        """Return the fingerprint of a variant's packed array."""
        source = self.images if variant == "full" else self.masks
        size, edge = self.config["image"]["packed"], self.edge(variant)
        recipe = [variant, source, size, group_hash("packs")]
        return fingerprint([*recipe, edge] if edge else recipe)

    def edge(self, variant: str) -> float:
        """Return the width of a variant's soft edge as a share of the image, 0 for none."""
        return self.config["variant_edge"] if variant in EDGED else 0.0

    def pack(self, variant: str) -> Path:
        """Return the description of a variant's packed array."""
        return self.store / "packs" / f"{variant}.{self.pack_fingerprint(variant)}.json"

    def data(self, variant: str) -> dict[str, Any]:
        """Return the data recipes of pretext stages and of the classifier for a variant."""
        split = {**self.config["split"], "seed": self.config["split_seed"]}
        strict = self.config["protocol"] == "strict"
        pack = self.pack_fingerprint(variant)
        # An image whose lungs were not found has no segmented variant.
        masked = variant != "full"
        common = {
            "pack": pack,
            "masked": self.config["lungs"]["implausible"] if masked else False,
            "source": group_hash("split"),
        }
        everything = {**common, "train": "all", "normalise": "all"}
        chosen = {**common, "split": split, "train": "train", "normalise": "train"}
        pretext = {**(chosen if strict else everything), "validate": "val" if strict else None}
        if PRETRAINING in self.cohorts:
            # The split says which patients of that archive are held back.
            pretext |= {"also": PRETRAINING, "split": split}
        classify = {
            **chosen,
            "normalise": pretext["normalise"],
            "validate": "val" if strict else self.reported,
            "classes": self.config["classes"],
        }
        if self.config["label_share"] < 1:
            classify["labels"] = {
                "share": self.config["label_share"],
                "seed": self.config["split_seed"],
            }
        return {"pretext": pretext, CLASSIFY: classify}

    @cached_property
    def curricula(self) -> list[str]:
        """Return the names of the study's curricula."""
        given = self.config["curricula"]
        return preset_curricula(given) if isinstance(given, str) else list(given)

    @cached_property
    def root_identities(self) -> dict[str, str]:
        """Return what identifies the weights of each root that a curriculum may start from."""
        return root_names.identities(self.config["roots"], self.config["backbone"]["name"])

    def root_file(self, root: str) -> Path | None:
        """Return where the weights of a root lie in the store, None for random initialisation."""
        if root == SCRATCH:
            return None
        identity = fingerprint([self.root_identities[root], self.config["backbone"]])
        return self.store / "roots" / f"{root}.{identity}.safetensors"

    @cached_property
    def trie(self) -> Trie:
        """Return the trie of the study's curricula; `models` adds the nodes."""
        stages, search = self.config["stages"], self.config["search"]
        if search["method"] != "grid":
            stages = {task: {**settings, "search": search} for task, settings in stages.items()}
        common = {
            "backbone": self.config["backbone"],
            "image_size": self.config["image"]["size"],
            "precision": self.config["training"]["precision"],
        }
        if self.config["batch_statistics"] == "estimated":
            # Not where it is what all stages had before there was a choice: they are found again.
            common["batch_statistics"] = group_hash("batch statistics")
        return Trie(
            self.curricula,
            stages=stages,
            rules=self.config["learning_rate_rules"],
            common=common,
            roots=self.root_identities,
        )

    @cached_property
    def models(self) -> dict[tuple[str, str, int], Node]:
        """Return the classifier node of each (variant, curriculum, seed)."""
        data = {variant: self.data(variant) for variant in self.variants}
        return {
            (variant, name, seed): self.trie.add(name, variant, seed, data[variant])
            for variant in self.variants
            for seed in self.seeds
            for name in self.curricula
        }

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Return all nodes by fingerprint, parents before children."""
        return self.trie.nodes if self.models else {}

    def pointer(self, fingerprint_: str) -> Path:
        """Return the pointer file of a node."""
        return self.store / "recipes" / self.nodes[fingerprint_].pointer

    def image_files(self) -> int:
        """Return how many images the main archive has, about that many where it is synthetic."""
        if self.layout == "phantom":
            return round(self.config["dataset"]["phantom"]["patients"] * PHANTOM_IMAGES)
        return sum(not name.endswith(".csv") for name, _ in self._listings[MAIN][0])

    @property
    def sources(self) -> list[str]:
        """Return the groups of source code that make what stages are trained on."""
        lungs = self.config["lungs"]["source"]
        return [
            *(["phantom"] if self.layout == "phantom" else []),
            "images",
            *(["segmenter"] if lungs == "train" else []),
            "masks given" if lungs == "masks" else "masks predicted",
            "packs",
            "split",
        ]

    def outline(self) -> dict[str, Any]:
        """Return what ``sscdl.planning.plan`` is told of the study, as plain data."""
        roots = self.config["roots"]
        return {
            "nodes": [asdict(node) for node in self.nodes.values()],
            "store": str(self.store),
            "images_csv": str(self.results / "images.csv"),
            "image_files": self.image_files(),
            "split": {**self.config["split"], "seed": self.config["split_seed"]},
            "training": self.config["training"],
            "roots": {name: root["file"] for name, root in roots.items() if root.get("file")},
            "curricula": self.curricula,
            "sources": self.sources,
            "table": str(self.results / "plan.csv"),
        }

    def check(self) -> None:
        """Raise InputError for what only the files and the curricula together can tell."""
        root_names.check_roots(self.config["roots"])
        self.nodes  # noqa: B018  names unknown tasks, missing files and folders


def _description(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return what the readers of archives are told about a block such as ``dataset``."""
    return {"layout": dataset["layout"], **dataset[dataset["layout"]]}


def _meaning(description: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of an archive but for where it lies: moving it changes nothing."""
    return {key: value for key, value in description.items() if key not in ("root", "table")}
