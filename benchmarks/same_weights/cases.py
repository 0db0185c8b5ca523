"""The small pieces of work that both revisions do, listed from the options of the tasks.

A case is plain data: a name, the kind of work, the groups of source code that take part in it, and
its settings. The file of cases is written by one revision and read by both.
"""

from __future__ import annotations

from typing import Any

from benchmarks.same_weights.stage_cases import stage_cases
from sscdl.images.variant_kinds import EDGED
from sscdl.images.variants import VARIANTS

Case = dict[str, Any]

ACCEPT = {
    "modality": ["CR", "DX", "RG", ""],
    "body_part": ["CHEST", "OTHER", ""],
    "view": ["AP", "PA", ""],
    "image_type_without": ["LOCALIZER"],
    "colour": False,
    "uniform": 0.95,
}
RENDERING = {"window": "first", "percentiles": [0.5, 99.5], "bits": 8, "max_pixels": 1_000_000}
SEGMENTER = {
    "network": "compact", "folder": None, "phantoms": 6, "behind_heart": True, "validation": 0.25,
    "field": [128, 128], "channels": 4, "latent": 4, "epochs": 1, "phantom_epochs": 1, "seed": 0,
}  # fmt: skip


def cases() -> list[Case]:
    """Return all cases, those that make what others need first."""
    return [
        *_phantoms(), *_images(), *_masks(), *_packs(), *_splits(), *_segmenters(), *_stages(),
    ]  # fmt: skip


def only(chosen: list[Case], groups: list[str]) -> list[Case]:
    """Return the cases that any of ``groups`` takes part in, all if none is named."""
    return [case for case in chosen if not groups or set(groups) & set(case["groups"])]


def _case(kind: str, name: str, groups: list[str], **settings: Any) -> Case:
    return {"kind": kind, "name": f"{kind} {name}", "groups": groups, "settings": settings}


def _phantoms() -> list[Case]:
    four = {"negative": 0.25, "typical": 0.25, "indeterminate": 0.25, "atypical": 0.25}
    plain = {
        "patients": 14, "size": 64, "seed": 0, "classes": {"negative": 0.5, "typical": 0.5},
        "contrast": 1.0, "shortcut": None, "marked_test": 0,
    }  # fmt: skip
    marked = plain | {"seed": 3, "size": 96, "classes": four, "contrast": 2.0, "shortcut": 0.75}
    return [
        _case("phantom", "plain", ["phantom"], **plain),
        _case("phantom", "marked", ["phantom"], **marked | {"marked_test": 4}),
    ]


def _images() -> list[Case]:
    everything = dict.fromkeys(("modality", "body_part", "view", "image_type_without"))
    everything |= {"colour": True, "uniform": 1.0}

    percentiles = {"window": "percentiles", "percentiles": [2, 97]}

    def one(name: str, archive: str, **change: Any) -> Case:
        accept = ACCEPT | change.pop("accept", {})
        rendering = RENDERING | change.pop("rendering", {})
        settings = {"shards": 1, "find_text": False, "time_limit": 60} | change
        return _case(
            "images", name, ["images", "preprocessing"], archive=archive, accept=accept,
            rendering=rendering, **settings,
        )  # fmt: skip

    return [
        one("of the layout siim", "phantom", shards=2),
        one("of all cohorts, with text", "cohorts", find_text=True),
        one("of 16 bits", "phantom", rendering={"bits": 16}),
        one("by percentiles", "phantom", rendering=percentiles),
        one("widest window", "phantom", rendering={"window": "widest"}),
        one("narrowest window", "phantom", rendering={"window": "narrowest"}),
        one("too large", "phantom", rendering={"max_pixels": 100}),
        one("from the front alone", "phantom", accept={"view": ["PA"]}),
        one("of the layout table", "table", find_text=True),
        one("of any kind", "table", accept=everything),
        one("of one gray value", "table", accept={"uniform": 0.01, "modality": ["CR"]}),
    ]  # fmt: skip


def _masks() -> list[Case]:
    given = [
        _case("masks given", f"hull {hull}", ["masks given"], hull=hull) for hull in (False, True)
    ]
    predicted = [
        _case("masks predicted", f"{network}, hull {hull}", ["masks predicted", "preprocessing"],
              network=network, hull=hull, batch_size=batch, samples=samples)
        for network, hull, batch, samples in (
            ("default", False, 1, 0), ("default", True, 2, 0), ("lungvae", False, 2, 2),
            ("unet", True, 1, 0),
        )
    ]  # fmt: skip
    return [*given, *predicted]


def _packs() -> list[Case]:
    found = []
    for variant in VARIANTS:
        for size in (32, 100):
            found.append(_case("packs", f"{variant} {size} px", ["packs", "preprocessing"],
                               variant=variant, size=size, edge=0.0))  # fmt: skip
        if variant in EDGED:
            found.append(_case("packs", f"{variant} with an edge", ["packs", "preprocessing"],
                               variant=variant, size=40, edge=0.08))  # fmt: skip
    return found


def _splits() -> list[Case]:
    drawn = [
        _case("split", f"by {by}, stratified {stratified}, val {val}, seed {seed}", ["split"],
              split={"by": by, "stratified": stratified, "val": val, "test": test}, seed=seed)
        for by in ("patient", "image")
        for stratified in (True, False)
        for val, test, seed in ((0.15, 0.2, 0), (0.0, 0.3, 5), (0.05, 0.1, 2))
    ]  # fmt: skip
    listed = [
        _case("list", f"by {by}, implausible {implausible}", ["split"], implausible=implausible,
              split={"by": by, "stratified": True, "val": 0.2, "test": 0.2}, seed=1)
        for by in ("patient", "image")
        for implausible in ("keep", "drop", "hull")
    ]  # fmt: skip
    given = [
        _case("sides", f"validated {validated}", ["given split"], validated=validated)
        for validated in (True, False)
    ]
    return [*drawn, _case("duplicates", "of all kinds", ["split"]), *listed, *given, *_folders()]


def _folders() -> list[Case]:
    files = ["a/ill/p1_1.png", "a/ill/p1_2.png", "b/well/p2.dcm", "b/unwell/p3.png", "b/well/x.png"]
    patterns = [
        r"(?P<split>a|b)/(?P<label>ill|well)/(?P<patient>p\d+)?",
        r"(?P<label>well)/(?P<patient>p\d+)",
    ]
    return [
        _case("folders", f"ids {ids}", ["folders"], files=[*files, "odd.png"], patterns=patterns,
              labels={"one": ["ill"], "two": ["well"]}, ids=ids)
        for ids in ("hash", "file")
    ]  # fmt: skip


def _segmenters() -> list[Case]:
    changes: dict[str, dict[str, Any]] = {
        "compact on phantoms": {},
        "compact without the heart": {"behind_heart": False, "seed": 4, "channels": None},
        "compact on pairs": {"folder": "pairs", "epochs": 2, "field": [128, 192]},
        "compact on pairs alone": {"folder": "pairs", "phantoms": 0, "validation": 0.5},
        "lungvae on phantoms": {"network": "lungvae", "epochs": 2},
        "unet on pairs": {"network": "unet", "folder": "pairs"},
    }
    return [
        _case("segmenter", name, ["segmenter"], **SEGMENTER | change)
        for name, change in changes.items()
    ]


def _stages() -> list[Case]:
    return [_case("stage", name, groups, **settings) for name, groups, settings in stage_cases()]
