"""A study: everything that its configuration implies, computed before anything runs.

Turns a checked configuration into fingerprints and paths. Imports neither torch nor pandas: it runs
each time the workflow is read.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from sscdl.archives.cohorts import MAIN, PRETRAINING
from sscdl.equivalence import group_hash
from sscdl.errors import InputError
from sscdl.images.near_pairs import ASIDE
from sscdl.images.variant_kinds import EDGED
from sscdl.recipe import fingerprint
from sscdl.segment.networks import default
from sscdl.study import root_names
from sscdl.study.inputs import check_given
from sscdl.study.material import Material
from sscdl.study.outputs import Outputs
from sscdl.study.split_settings import all_given
from sscdl.study.trie import SCRATCH, Node, Trie, final_task, preset_curricula
from sscdl.tasks.options import DECLARATIONS
from sscdl.training.network_facts import Facts, known_facts, map_notes, timm_version
from sscdl.training.network_names import by_timm, network_of


class Study(Material):
    """Fingerprints, paths and nodes of one configuration."""

    def __init__(self, config: dict[str, Any], found: dict[str, Any] | None = None) -> None:
        """Take a checked configuration, and perhaps what was found in its files before."""
        super().__init__(config, found)
        self.results = Path("results") / config["study"]
        self.variants: list[str] = config["variants"]
        self.seeds: list[int] = config["seeds"]
        self.reported = "test"

    @property
    def network(self) -> dict[str, Any]:
        """Return what the study's network is built from."""
        return network_of(self.config["backbone"], self.config["image"]["size"])

    @cached_property
    def _timm(self) -> list[str]:
        """Return what decides how a network of timm is built: the source here, timm's version.

        Nothing for a network of torchvision; InputError where timm is not installed.
        """
        name = self.network["name"]
        return [group_hash("timm networks"), timm_version(name)] if by_timm(name) else []

    def network_facts(self) -> Facts | None:
        """Return what is known of the network, None where nobody has looked at it yet."""
        return known_facts(self.network, self.config["image"]["size"], self.store)

    def check_network(self) -> list[str]:
        """Return what is to be said of the network's map, where attention in it is told.

        Raises InputError if tasks or the number of devices do not fit the network.
        """
        found, name = self.network_facts(), self.network["name"]
        if found is None:
            return []
        stages = self.config["stages"]
        used = {node.task for node in self.nodes.values()}
        cropping = [
            task
            for task in stages
            if task in used and DECLARATIONS[task].other_sizes(stages[task]["options"])
        ]
        size = self.config["image"]["size"]
        if cropping and not found.other_sizes:
            raise InputError(
                f"backbone.name: {name} takes pictures of {size} px alone, and "
                f"{', '.join(cropping)} shows it crops of other sizes too; take another network, "
                "or leave that task out"
            )
        devices = self.config["training"]["devices"]
        if devices > 1 and not found.shared_norms:
            raise InputError(
                f"training.devices: {devices}, but {name} has layers that are batch normalisation "
                "and more, whose statistics several devices cannot share; give devices: 1, with "
                "side_by_side for candidates at the same time on one, or take another network"
            )
        return [] if self.config["findings"] else map_notes(self.network, size, self.store)

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

    @cached_property
    def split(self) -> dict[str, Any]:
        """Return the recipe of the split but for its seed.

        What is done with near-duplicates stands there where it changes something, and only there:
        an archive without any keeps what was trained before anyone looked. Of a split that is
        given, its outcome stands in the place of what would be drawn.
        """
        block = self.config["split"]
        drawn = ["by", "stratified", "val", "test"]
        if self.given_split:
            drawn = drawn[:3]
        if all_given(block):
            # Nothing is drawn: by what matters to pictures that are nearly one, if to anything.
            drawn = drawn[:1] if self.near_duplicates else []
        recipe = {key: block[key] for key in drawn}
        recipe |= {"given": self.given_split} if self.given_split else {}
        return recipe | ({"near_duplicates": near} if (near := self.near_duplicates) else {})

    @property
    def seeded_split(self) -> dict[str, Any]:
        """Return the recipe of the split with its seed, where anything is drawn by it."""
        seed = {"seed": self.config["split_seed"]} if "val" in self.split else {}
        return {**self.split, **seed}

    @property
    def split_notes(self) -> list[str]:
        """Return what is odd in a split that is given, for whoever starts the run."""
        return self.split_read["notes"] if self.split_read else []

    @property
    def split_told(self) -> list[str]:
        """Return what a plan says of a split that is given."""
        if self.split_read is None:
            return []
        return list(dict.fromkeys([self.split_read["counted"], *self.split_notes]))

    @property
    def split_findings(self) -> str | None:
        """Return a hash of what is odd in a given split, as it stands among the findings."""
        return self.split_read["problems"] if self.split_read else None

    @property
    def split_read_from(self) -> dict[str, Any] | None:
        """Return what who lists the images reads a given split by, None where it is drawn."""
        if not self.given_split:
            return None
        return {"dataset": self.cohorts[MAIN], "split": self.config["split"]}

    def data(self, variant: str) -> dict[str, Any]:
        """Return the data recipes of pretext stages and of the last one for a variant."""
        split = self.seeded_split
        strict = self.config["protocol"] == "strict"
        pack = self.pack_fingerprint(variant)
        # An image whose lungs were not found has no segmented variant.
        masked = variant != "full"
        common = {
            "pack": pack,
            "masked": self.config["lungs"]["implausible"] if masked else False,
            "source": group_hash("split"),
        }
        if self.given_split:
            common["given_source"] = group_hash("given split")
        everything = {**common, "train": "all", "normalise": "all"}
        if self.near_duplicates and self.near_duplicates["treatment"] == ASIDE:
            everything["near_duplicates"] = self.near_duplicates
        if self.given_split:
            # It says which images are on no side, and which of several copies is used.
            everything["given"] = self.given_split
        chosen = {**common, "split": split, "train": "train", "normalise": "train"}
        pretext = {**(chosen if strict else everything), "validate": "val" if strict else None}
        if PRETRAINING in self.cohorts:
            # The split says which patients of that archive are held back.
            pretext |= {"also": PRETRAINING, "split": split}
        what = "findings" if self.config["findings"] else "classes"
        final = {
            **chosen,
            "normalise": pretext["normalise"],
            "validate": "val" if strict else self.reported,
            what: self.config[what],
        }
        if self.config["label_share"] < 1:
            final["labels"] = {
                "share": self.config["label_share"],
                "seed": self.config["split_seed"],
            }
        return {"pretext": pretext, "final": final}

    @cached_property
    def curricula(self) -> list[str]:
        """Return the names of the study's curricula."""
        given = self.config["curricula"]
        return preset_curricula(given) if isinstance(given, str) else list(given)

    def root_file(self, root: str) -> Path | None:
        """Return where the weights of a root lie in the store, None for random initialisation."""
        if root == SCRATCH:
            return None
        identity = fingerprint([self.root_identities[root], self.network, *self._timm])
        return self.store / "roots" / f"{root}.{identity}.safetensors"

    @cached_property
    def trie(self) -> Trie:
        """Return the trie of the study's curricula; `models` adds the nodes."""
        stages, search = self.config["stages"], self.config["search"]
        if search["method"] != "grid":
            halving = {name: one for name, one in search.items() if name != "weights"}
            stages = {task: {**settings, "search": halving} for task, settings in stages.items()}
        common = {
            "backbone": self.network,
            "image_size": self.config["image"]["size"],
            "precision": self.config["training"]["precision"],
        }
        if self.config["batch_statistics"] == "estimated":
            # Not where it is what all stages had before there was a choice: they are found again.
            common["batch_statistics"] = group_hash("batch statistics")
        if self._timm:
            common["timm"] = self._timm
        return Trie(
            self.curricula,
            stages=stages,
            rules=self.config["learning_rate_rules"],
            common=common,
            roots=self.root_identities,
            final=final_task(self.config),
            averaged=search["weights"] == "averaged",
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
    def few(self) -> dict[tuple[str, str, int], list[Node]]:
        """Return the nodes of each model that learn from few labels, the smallest share first."""
        settings, several = self.config["few_labels"], self.config["training"]["devices"]
        devices = {"devices": several} if several > 1 else {}  # they share each of its batches
        found: dict[tuple[str, str, int], list[Node]] = {model: [] for model in self.models}
        for (variant, name, seed), nodes in found.items():
            data = self.data(variant)
            for share, draw in product(sorted(settings["shares"]), range(settings["draws"])):
                labels = {"share": share, "seed": seed, "draw": draw, **devices}
                few = data | {"final": data["final"] | {"labels": labels}}
                nodes.append(self.trie.add(name, variant, seed, few, longer=settings["epochs"]))
        return found

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Return all nodes by fingerprint, parents before children."""
        return self.trie.nodes if self.few else {}

    @property
    def whole(self) -> dict[str, Node]:
        """Return the nodes that learn from all labels there are, by fingerprint."""
        return {key: node for key, node in self.nodes.items() if not node.draw}

    def pointer(self, fingerprint_: str) -> Path:
        """Return the pointer file of a node."""
        return self.store / "recipes" / self.nodes[fingerprint_].pointer

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
            *(["given split"] if self.given_split else []),
        ]

    def outline(self) -> dict[str, Any]:
        """Return what ``sscdl.planning.plan`` is told of the study, as plain data."""
        roots = self.config["roots"]
        return {
            "nodes": [asdict(node) for node in self.nodes.values()],
            "store": str(self.store),
            "images_csv": str(self.results / "images.csv"),
            "image_files": self.image_files,
            "identities": [
                *filter(None, [*(one.sentence() for one in self.identities), self.near_sentence()]),
                *self.split_told,
            ],
            "split": self.seeded_split,
            "sides": self.split_read["files"] if self.split_read else None,
            "training": self.config["training"],
            "roots": {name: root["file"] for name, root in roots.items() if root.get("file")},
            "curricula": self.curricula,
            "sources": self.sources,
            "table": str(self.results / "plan.csv"),
            "outdated": Outputs(self.config).outdated(),
        }

    def check(self) -> None:
        """Raise InputError for what only the files and the curricula together can tell."""
        root_names.check_roots(self.config["roots"])
        if self._told is None:  # otherwise the process that plans has looked
            check_given(self.config["lungs"])
        self.nodes  # noqa: B018  names unknown tasks, missing files and folders
        self._check_models()
        self.trie.check_rules()

    def _check_models(self) -> None:
        """Raise InputError if two curricula are one model under two names."""
        names: dict[str, str] = {}
        for (_, curriculum, _), node in self.models.items():
            other = names.setdefault(node.fingerprint, curriculum)
            if other != curriculum:
                raise InputError(
                    f"curricula: {curriculum!r} is the same model as {other!r}, which would count "
                    "twice in every table; remove one of the two"
                )
