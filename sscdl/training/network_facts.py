"""What a plan, a warning and the start of a run know of a network: its map, its channels, its size.

Imports no torch for torchvision's networks, whose sizes are in a table (tests compare it with the
real ones). Those of timm are looked at once, and what was found is kept in the store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.errors import DamagedFile, InputError
from sscdl.files import write_json
from sscdl.records import NETWORK, read_record
from sscdl.source import source_hash
from sscdl.training.network_names import TORCHVISION, by_timm, torchvision_map_side

FOLDER = "networks"  # in the store
FINE_MAP = 7  # cells on a side, from which on a map tells enough of places
# Bytes of the weights of a backbone without its classifier, and the length of its feature.
SIZES = {
    ("resnet18", 2): (2740048, 128),
    ("resnet18", 3): (11149176, 256),
    ("resnet18", 4): (44744608, 512),
    ("resnet34", 2): (5404544, 128),
    ("resnet34", 3): (32720872, 256),
    ("resnet34", 4): (85207072, 512),
    ("resnet50", 2): (5820352, 512),
    ("resnet50", 3): (34295896, 1024),
    ("resnet50", 4): (94245032, 2048),
    ("densenet121", 4): (28150984, 1024),
}


class Facts(NamedTuple):
    """What is known of a network.

    ``map_side``: cells on a side of its last map. ``channels``: of that. ``bytes``: of its weights
    without a classifier. ``other_sizes``: whether it takes pictures of any size. ``shared_norms``:
    whether several devices can share its batch normalisation, if it has any.
    """

    map_side: int
    channels: int
    bytes: int
    other_sizes: bool = True
    shared_norms: bool = True


def known_facts(backbone: Mapping[str, Any], image_size: int, store: str | Path) -> Facts | None:
    """Return what is known of a network, None for one of timm that nobody has looked at yet.

    ``backbone``: see ``network_of``; ``image_size``: side of its input, pixels.
    """
    name, last_stage = backbone["name"], backbone.get("last_stage", 4)
    if not by_timm(name):
        size, channels = SIZES[name, last_stage]
        return Facts(torchvision_map_side(name, last_stage, image_size), channels, size)
    path = _record(name, image_size, store)
    if not path.exists():
        return None
    try:
        found = read_record(path, NETWORK)
        return Facts(**{field: found[field] for field in Facts._fields})
    except DamagedFile:
        return None  # it is looked at again


def network_facts(backbone: Mapping[str, Any], image_size: int, store: str | Path) -> Facts:
    """Return the same, having looked at the network if nobody has, which imports torch.

    Raises InputError, with the reason, for a network that cannot be a backbone.
    """
    found = known_facts(backbone, image_size, store)
    if found is not None:
        return found
    path = _record(backbone["name"], image_size, store)
    from sscdl.training import timm_checks

    seen = timm_checks.inspect(backbone["name"], image_size)
    with contextlib.suppress(OSError):  # a store that may only be read: somebody else looks again
        write_json(path, seen)
    return Facts(**seen)


def timm_version(name: str) -> str:
    """Return the version of timm, which is to build the network ``name``; InputError without it."""
    try:
        return metadata.version("timm")
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"backbone.name: {name!r} is none of torchvision's networks here "
            f"({', '.join(TORCHVISION)}); timm may have it, but is not installed"
        ) from error


def map_notes(backbone: Mapping[str, Any], image_size: int, store: str | Path) -> list[str]:
    """Return what is to be said wherever attention is, if the last map of a network is coarse."""
    side, name = network_facts(backbone, image_size, store).map_side, backbone["name"]
    if side >= FINE_MAP:
        return []
    return [
        f"The last map of {name} has {side} x {side} cells at {image_size} px, fewer than "
        f"{FINE_MAP} x {FINE_MAP}: attention inside the lungs says little there, as one cell spans "
        "lung and surroundings."
    ]


def _record(name: str, image_size: int, store: str | Path) -> Path:
    """Return the file of what the checks here make of a network of timm."""
    file = f"{name}.{image_size}.timm-{timm_version(name)}.{_checks()}.json"
    return Path(store) / FOLDER / file


@cache
def _checks() -> str:
    """Return what changes with the checks: a network is looked at again once they are mended."""
    modules = (f"sscdl.training.{name}" for name in ("timm_checks", "timm_backbones"))
    return source_hash(*modules)[:8]
