"""What a study is made of: archives, images and masks, each with its fingerprint and its place.

Imports neither torch nor pandas: it runs each time the workflow is read.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from sscdl.archives.cohorts import MAIN, MARKED, PRETRAINING
from sscdl.archives.digests import Digests
from sscdl.archives.sides import DRAWN
from sscdl.equivalence import group_hash
from sscdl.images import near_pairs
from sscdl.images.limits import LATER_ACCEPT
from sscdl.recipe import file_hash, fingerprint
from sscdl.segment.networks import default
from sscdl.segment.networks.published import GIT_BLOB as PUBLISHED_BLOB
from sscdl.source import PAIRING, source_hash
from sscdl.study import root_names
from sscdl.study.identity import EARLIER_SOURCES, IMAGES, MASKS, Identity, complete, decide
from sscdl.study.inputs import Inputs, asked, description, meaning
from sscdl.study.split_settings import all_given

PHANTOM_IMAGES = 1.49  # of a synthetic patient, on average


class Material:
    """The archives, images and masks of one configuration."""

    def __init__(self, config: dict[str, Any], found: dict[str, Any] | None = None) -> None:
        """Take a checked configuration.

        ``found`` is what another study's attribute of that name said of the same files: the
        processes of a run's jobs need not read them again, nor see what has changed since.
        """
        self.config = config
        self.store = Path(config["store"])
        self.layout = config["dataset"]["layout"]
        self._told = found
        self._digests = Digests(self.store / "digests")

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
        blocks = {MAIN: self.config["dataset"], PRETRAINING: self.config["pretraining_dataset"]}
        found = {name: one for name, one in blocks.items() if one["layout"] != "none"}
        return {
            name: description(one, several=bool(self.config["findings"]))
            for name, one in found.items()
        }

    @cached_property
    def _asked(self) -> str:
        return asked(self.cohorts, self.config)

    @cached_property
    def _found(self) -> dict[str, Any]:
        told = self._told
        return told if told is not None and told.get("asked") == self._asked else {}

    @cached_property
    def _inputs(self) -> Inputs:
        # A synthetic archive may not be there yet, and its settings say all about it.
        archives = {} if self.layout == "phantom" else self.cohorts
        return Inputs(archives, self.config["lungs"], self._digests)

    @cached_property
    def found(self) -> dict[str, Any]:
        """Return what the files hold that the configuration names, as plain data."""
        return {
            "asked": self._asked,
            "contents": self.contents,
            "given": self._given,
            "roots": self.root_identities,
            "image_files": self.image_files,
            "near": self.near_duplicates,
            "given split": self.split_read,
            IMAGES: self.image_identity,
            MASKS: self.mask_identity,
        }

    @cached_property
    def contents(self) -> dict[str, str]:
        """Return a fingerprint of what lies in each archive, by cohort."""
        if self.layout == "phantom":
            return dict.fromkeys(self.cohorts, self.phantom)
        return self._found.get("contents") or self._inputs.archives

    @cached_property
    def _given(self) -> Any:
        return self._found["given"] if self._found else self._inputs.given

    @cached_property
    def image_identity(self) -> Identity:
        """Return what the ingested images are called in the store."""
        if self._found:
            return Identity(*self._found[IMAGES])
        accept = self.config["ingest"]["accept"]
        kept = {key: accept[key] for key in accept if accept[key] != LATER_ACCEPT.get(key, ...)}
        own = self._images(self.contents, kept, group_hash("images"))
        shards = self.config["ingest"]["shards"]
        return decide(self.store, IMAGES, own, self.earlier_images, shards)

    def earlier_images(self) -> list[str]:
        """Return the fingerprints that earlier versions gave the images, the latest first."""
        accept = self.config["ingest"]["accept"]
        known = {key: accept[key] for key in accept if key not in LATER_ACCEPT}
        if any(accept.get(key, value) not in (0, value) for key, value in LATER_ACCEPT.items()):
            return []  # limits that nobody had before: their images are others
        if self._inputs.parts:
            return []  # nobody had the layout folders before
        contents = [self.contents]
        if self.layout != "phantom":
            contents.append(self._inputs.earlier_archives())
        ways = (*EARLIER_SOURCES["images"], group_hash("images"))
        return [self._images(of_files, known, way) for of_files in contents for way in ways]

    def _images(self, contents: dict[str, str], accept: dict[str, Any], source: str) -> str:
        settings = {key: value for key, value in self.config["ingest"].items() if key != "shards"}
        parts = self._inputs.parts
        archives = {name: meaning(one, parts.get(name)) for name, one in self.cohorts.items()}
        made_of = [archives, contents, settings | {"accept": accept}, source]
        if parts:
            made_of.append(group_hash("folders"))
        return fingerprint(made_of)

    @property
    def images(self) -> str:
        """Return the fingerprint under which the ingested images lie."""
        return self.image_identity.used

    @property
    def shards(self) -> int:
        """Return the number of jobs, and manifests, that images and masks are divided into."""
        known = self.image_identity.shards or self.mask_identity.shards
        return known or self.config["ingest"]["shards"]

    @cached_property
    def segmenter(self) -> str:
        """Return the fingerprint of what says where the lungs are."""
        return self._segmenter(self._given)

    def _segmenter(self, given: Any, way: str | None = None) -> str:
        lungs = self.config["lungs"]
        source, content = lungs["source"], given
        if source == "checkpoint":
            content = given or PUBLISHED_BLOB
        elif source == "default":
            content = file_hash(default.PATH)
        elif source == "train":
            settings = {k: v for k, v in lungs["train"].items() if k != "folder"}
            content = [given, settings, way or group_hash("segmenter")]
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
    def mask_identity(self) -> Identity:
        """Return what the lung masks are called in the store."""
        if self._found:
            return Identity(*self._found[MASKS])
        own = self._masks(self.segmenter, group_hash(self._masking))
        if self._given is None and self.config["lungs"]["source"] != "train":
            return Identity(MASKS, own, own)
        images = self.image_identity
        shards = images.shards or self.config["ingest"]["shards"]
        others = images.shards is None
        return decide(self.store, MASKS, own, self.earlier_masks, shards, other_numbers=others)

    @property
    def _masking(self) -> str:
        """Return the group of sources that makes the masks."""
        return "masks given" if self.config["lungs"]["source"] == "masks" else "masks predicted"

    def earlier_masks(self) -> list[str]:
        """Return the fingerprints that earlier versions gave the masks, the latest first."""

        def ways(group: str) -> tuple[str, ...]:
            return (*EARLIER_SOURCES.get(group, ()), group_hash(group))

        trained = ways("segmenter") if self.config["lungs"]["source"] == "train" else (None,)
        segmenters = [
            self._segmenter(given, way)
            for given in (self._given, self._inputs.earlier_given())
            for way in trained
        ]
        return [self._masks(one, way) for one in segmenters for way in ways(self._masking)]

    def _masks(self, segmenter: str, source: str) -> str:
        hull = self.config["lungs"]["implausible"] == "hull"
        return fingerprint([self.images, segmenter, source, hull])

    @property
    def masks(self) -> str:
        """Return the fingerprint under which the lung masks lie."""
        return self.mask_identity.used

    @property
    def near_treatment(self) -> str:
        """Return what becomes of near-duplicates: nothing where pictures are synthetic.

        Those are variations of one drawing, and no radiograph among them was exported twice. Where
        all sides are given, and nothing else is pretrained on, nothing can come together.
        """
        treatment = self.config["split"]["near_duplicates"]
        fixed = all_given(self.config["split"]) and PRETRAINING not in self.cohorts
        if self.layout == "phantom" or (fixed and treatment == near_pairs.TOGETHER):
            return near_pairs.IGNORE
        return treatment

    @cached_property
    def near_record(self) -> Path | None:
        """Return the file that lists the near-duplicates among the images.

        None for a synthetic archive, in which nobody looks for them.
        """
        if self.layout == "phantom":
            return None
        name = f"{self.images}.{source_hash(*PAIRING)}.json"
        return self.store / "near_duplicates" / name

    @cached_property
    def near_duplicates(self) -> dict[str, Any] | None:
        """Return what near-duplicates change in the split, as it stands in recipes.

        None where they change nothing, and as long as nobody has looked for them: who lists the
        images then ends the run if they do change it.
        """
        if self._found:
            return self._found["near"]
        if self.near_record is None or not self.near_record.exists():
            return None
        pairs = near_pairs.read_pairs(self.near_record)
        by = self.config["split"]["by"]
        return near_pairs.effect(pairs, self.near_treatment, by).recipe()

    @cached_property
    def split_read(self) -> dict[str, Any] | None:
        """Return what ``Inputs.given_split`` says of a split that is given, None where drawn."""
        split = self.config["split"]
        if split["source"] == DRAWN:
            return None
        return self._found["given split"] if self._found else self._inputs.given_split(split)

    @property
    def given_split(self) -> str | None:
        """Return what stands in recipes of a split that is given, None where it is drawn."""
        return self.split_read["recipe"] if self.split_read else None

    def near_sentence(self) -> str | None:
        """Return what a plan says where images are there and nobody has looked for pairs yet."""
        ignored = self.near_treatment == near_pairs.IGNORE
        folder = self.store / IMAGES / self.images
        if ignored or self.near_record is None or self.near_record.exists() or not complete(folder):
            return None
        return (
            f"Undecided: nobody has looked for near-duplicates among the images {self.images} yet; "
            "the next run does. If some join patients, it ends and says so: the split is then "
            "another, and stages that were trained by it are trained anew"
        )

    @property
    def identities(self) -> list[Identity]:
        """Return what images and masks are called in the store."""
        return [self.image_identity, self.mask_identity]

    def records(self) -> list[Path]:
        """Return the files that say that earlier images and masks are those of this study.

        Nothing may be reported before they are there.
        """
        return [file for one in self.identities if (file := one.record(self.store))]

    def image_manifests(self, *, made: bool = False) -> list[Path]:
        """Return the manifests of the ingested images, one per shard.

        With ``made``, those that are written: beside earlier ones where these are undecided.
        """
        one = self.image_identity
        return self._shards(one.made(self.store) if made else self.store / IMAGES / one.used)

    def mask_manifests(self, *, made: bool = False) -> list[Path]:
        """Return the manifests of the lung masks, one per shard; ``made`` as for images."""
        one = self.mask_identity
        return self._shards(one.made(self.store) if made else self.store / MASKS / one.used)

    def _shards(self, folder: Path) -> list[Path]:
        return [folder / f"shard-{k}-of-{self.shards}.json" for k in range(self.shards)]

    @cached_property
    def root_identities(self) -> dict[str, str]:
        """Return what identifies the weights of each root that a curriculum may start from."""
        if self._found:
            return self._found["roots"]
        roots, network = self.config["roots"], self.config["backbone"]["name"]
        return root_names.identities(roots, network, self._digests.of_file)

    @cached_property
    def image_files(self) -> int:
        """Return how many images the main archive has, about that many where it is synthetic."""
        if self.layout == "phantom":
            return round(self.config["dataset"]["phantom"]["patients"] * PHANTOM_IMAGES)
        return self._found["image_files"] if self._found else self._inputs.image_files()
