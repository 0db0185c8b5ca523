"""The JSON files that stores and studies consist of: what each must hold, checked as it is read.

A file that is cut off, empty or of something else is named, with what makes it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sscdl.errors import DamagedFile, InputError
from sscdl.files import read_json

Check = Callable[[Any], bool]


@dataclass(frozen=True, eq=False)
class Kind:
    """What a file is for people, what makes it again, and the shape of what it must hold.

    A shape is a type (``float`` is any number), None, a list of one shape for each element, a
    dictionary of what its keys must hold (those that end in ``?`` may be missing, others may be
    there), a tuple of shapes of which one must fit, or ``ITSELF`` for the shape of the whole file.
    """

    what: str
    again: str
    shape: Any

    @cached_property
    def fits(self) -> Check:
        """Return what tells quickly whether a value has the shape: pointers have long histories."""
        return _check(self.shape, lambda value: self.fits(value))


ITSELF = object()
SAME_COMMAND = "run the same command again"
_FINDING = {"file": str, "reason": str}
_WEIGHTS = {"bytes": int, "sha256": str}
_RUN = {
    "key": str, "learning_rate": float, "metric": str, "higher_is_better": bool, "epochs": int,
    "value": (float, None), "data": str, "weights?": _WEIGHTS, "task_state?": _WEIGHTS,
    "history": [
        {"epoch": int, "finite": bool, "loss?": (float, None), "chance?": (float, None)}
    ],
}  # fmt: skip

IMAGE_MANIFEST = Kind(
    "the list of the images of a shard",
    f"delete it and {SAME_COMMAND}: the images of this shard alone are rendered again",
    {
        "images": [
            {
                "image_id": str, "cohort": str, "patient_id": str, "label": str, "png": str,
                "sha256": str,
            }
        ],
        "rejected": [_FINDING],
        "failed": [_FINDING],
        "problems": [_FINDING],
    },
)  # fmt: skip
MASK_MANIFEST = Kind(
    "the list of the lung masks of a shard",
    f"delete it and {SAME_COMMAND}: the masks of this shard alone are made again",
    {
        "masks": [
            {
                "image_id": str, "png": (str, None), "sha256": (str, None), "area": float,
                "faults": [str], "empty": bool,
            }
        ]
    },
)  # fmt: skip
IMAGE_LIST = Kind(
    "the description of the list of images",
    f"delete images.csv beside it and {SAME_COMMAND}: both are made from the store in seconds",
    {"sha256": str, "split": dict, "source": str, "given_source?": str},
)
NEAR_DUPLICATES = Kind(
    "the list of near-duplicates",
    f"delete it and {SAME_COMMAND}: the pictures are compared again",
    {
        "pairs": [
            {"image_ids": [str], "patient_ids": [str], "cohorts": [str], "correlation": float}
        ],
        "compared": int,
        "bound": float,
    },
)
NETWORK = Kind(
    "what is known of a network",
    f"delete it and {SAME_COMMAND}: the network is looked at again, in seconds",
    {"map_side": int, "channels": int, "bytes": int, "other_sizes": bool, "shared_norms": bool},
)
PACK = Kind(
    "the description of a packed array",
    f"delete it and {SAME_COMMAND}: the images are packed again",
    {
        "ids": [str], "size": int, "sums": [float], "squares": [float],
        "crops": ([[float]], None), "sha256": str,
    },
)  # fmt: skip
MEASURED_RATES = Kind(
    "the rates that were measured on this machine",
    "delete it, and measure again with `python -m sscdl rate`",
    [
        {
            "task": str, "backbone": str, "last_stage": int, "image_size": int, "batch_size": int,
            "precision": str, "device": str, "threads": (int, None), "images_per_second": float,
            "device_name": str,
        }
    ],
)  # fmt: skip
IDENTITY = Kind(
    "the record of what images or masks were compared with",
    f"delete it and {SAME_COMMAND}: they are compared again",
    {"same_as": str},
)
ANY_DESCRIPTION = Kind("a description", f"delete it and {SAME_COMMAND}", dict)
METRICS = Kind("the record of a run", f"{SAME_COMMAND}: the run is made again", _RUN)
POINTER = Kind(
    "the pointer of a stage",
    f"{SAME_COMMAND}: it is written again from the runs that the store has",
    {
        "node": str, "variant": str, "seed": int, "task": str, "fingerprint": str, "object": str,
        "learning_rate": float, "metric": str, "candidates": [_RUN],
        "final": {**_RUN, "weights": _WEIGHTS}, "parent": (str, None),
        "sources?": (dict, None), "compared?": dict,
    },
)  # fmt: skip
LINEAGE = Kind(
    "the lineage of trained weights",
    f"delete it and {SAME_COMMAND}: it is written again, and nothing is trained",
    {
        "node": str, "variant": str, "object": str, "learning_rate": float, "metric": str,
        "value": float,
        "recipe": {
            "task": str, "seed": int, "root": str, "settings": dict, "backbone": dict,
            "image_size": int, "data": {"train": str, "pack?": str},
        },
        "data": {"rows": str, "mean": float, "std": float},
        "machine": dict,
        "before": (ITSELF, None),
    },
)  # fmt: skip


def read_record(path: str | os.PathLike[str], kind: Kind) -> Any:
    """Return what the JSON file ``path`` holds, checked to be of this ``kind``.

    Raises InputError if it is missing or cannot be read, and DamagedFile, which is one, for
    anything there that is not whole. Both name the file, what it is, and what makes it again.
    """
    try:
        value = read_json(path)
        fault = "" if kind.fits(value) else _fault(value, kind.shape, kind.shape, "")
    except FileNotFoundError:
        again = kind.again if kind is IMAGE_LIST else SAME_COMMAND
        raise InputError(f"{path}: {kind.what} is missing; {again}") from None
    except IsADirectoryError:
        fault = "is a folder"
    except OSError as error:
        raise InputError(
            f"{path}: {kind.what} cannot be read ({error.strerror}); correct its permissions, or "
            "restore it"
        ) from None
    except (ValueError, RecursionError):  # bytes that are no text, among others
        fault = "is not JSON, or only a part of it"
    if fault:
        raise DamagedFile(f"{path}: {kind.what} is damaged ({fault}); {kind.again}")
    return value


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that it is made again and can be looked at; return its new path."""
    aside, number = path.with_suffix(".damaged"), 1
    while aside.exists():
        number += 1
        aside = path.with_suffix(f".{number}.damaged")
    os.replace(path, aside)
    return aside


def _check(shape: Any, whole: Check) -> Check:
    """Return what tells whether a value has ``shape``; ``whole`` does so for that of the file."""
    if shape is ITSELF:
        return whole
    if isinstance(shape, tuple):
        either = [_check(one, whole) for one in shape]
        return lambda value: any(fits(value) for fits in either)
    if isinstance(shape, dict):
        checks = [(key, _check(one, whole)) for key, one in shape.items()]
        needed = [(key, fits) for key, fits in checks if not key.endswith("?")]
        others = [(key.rstrip("?"), fits) for key, fits in checks if key.endswith("?")]
        return lambda value: (
            type(value) is dict
            and all(key in value and fits(value[key]) for key, fits in needed)
            and all(key not in value or fits(value[key]) for key, fits in others)
        )
    if isinstance(shape, list):
        inside = _check(shape[0], whole)
        return lambda value: type(value) is list and all(map(inside, value))
    types = {None: (type(None),), float: (int, float)}.get(shape, (shape,))
    return lambda value: type(value) in types


def _fault(value: Any, shape: Any, whole: Any, place: str) -> str:
    """Return what is wrong with ``value``, at which ``place`` of its file; "" for nothing."""
    shape = whole if shape is ITSELF else shape
    where = place.removeprefix(".") or "it"
    if isinstance(shape, tuple):
        faults = [_fault(value, one, whole, place) for one in shape]
        return "" if "" in faults else faults[0]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where} is {_named(value)} and not an object"
        missing = [key for key in shape if key not in value and not key.endswith("?")]
        if missing:
            return f"{', '.join(missing)} missing in {where}"
        held = {name: one for key, one in shape.items() if (name := key.rstrip("?")) in value}
        found = (_fault(value[key], one, whole, f"{place}.{key}") for key, one in held.items())
        return next(filter(None, found), "")
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is {_named(value)} and not a list"
        found = (_fault(one, shape[0], whole, f"{place}[{k}]") for k, one in enumerate(value))
        return next(filter(None, found), "")
    if shape is None:
        return "" if value is None else f"{where} is {_named(value)} and not null"
    fits = isinstance(value, (int, float) if shape is float else shape)
    if not fits or (isinstance(value, bool) and shape is not bool):
        return f"{where} is {_named(value)} and not {_NAMES[shape]}"
    return ""


_NAMES = {
    bool: "true or false", str: "a text", int: "a whole number", float: "a number",
    dict: "an object", list: "a list", type(None): "null",
}  # fmt: skip


def _named(value: Any) -> str:
    return _NAMES[type(value)]
