"""Whether pictures, packed arrays and the list of images are those that they were made from.

What one of them says of another is checked wherever one is made from the other, so that nothing is
trained on a part of the images, or on a file that was replaced. Only refuses and makes nothing; the
standard library alone, as a look-up in the store asks it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.images.rows import read_images
from sscdl.recipe import file_hash
from sscdl.records import IMAGE_LIST, SAME_COMMAND, read_record

SHOWN = 3  # ids that a message names


def listed(picture: Path, sha256: str, manifest: Path) -> Path:
    """Return the path of a PNG that is the one which its ``manifest`` lists.

    Raises InputError if it is missing, or was changed or replaced since.
    """
    try:
        fault = "" if file_hash(picture) == sha256 else "is not the picture that was written"
    except InputError:
        fault = "is missing or cannot be read"
    if fault:
        raise InputError(
            f"{picture}: {fault}, by {manifest}; delete that list and {SAME_COMMAND}: the "
            "pictures of this shard alone are made again"
        )
    return picture


def check_masks(images: Iterable[str], masks: Iterable[str], manifests: list[Path]) -> None:
    """Raise InputError if the masks in ``manifests`` are not those of the images, one each."""
    if difference := _difference(list(images), list(masks)):
        raise InputError(
            f"{manifests[0].parent}: the lists of masks (shard-*.json) are not those of the images "
            f"({difference}); delete them and {SAME_COMMAND}: the masks alone are made again"
        )


def described(images_csv: Path) -> Path:
    """Return the path of the description that lies beside the list of images."""
    return images_csv.with_suffix(".json")


def describe_list(
    images_csv: Path, *, split: dict[str, Any], source: str, given_source: str | None = None
) -> None:
    """Write beside the list of images what it is: its digest, its split and whose code made it.

    ``split`` is the recipe of the split with its seed, if it has one, ``source`` the hash of the
    source that divides the images, ``given_source`` of that which takes a given split, as all stand
    in the recipes of stages.
    """
    about = {"sha256": file_hash(images_csv), "split": split, "source": source}
    about |= {"given_source": given_source} if given_source else {}
    write_json(described(images_csv), about)


def read_list_description(images_csv: Path) -> dict[str, Any]:
    """Return what describes the list of images; InputError if the list is not what was written."""
    about = read_record(described(images_csv), IMAGE_LIST)
    if file_hash(images_csv) != about["sha256"]:
        raise InputError(
            f"{images_csv}: is not the list that was written: it was edited or cut off; delete it "
            f"and {SAME_COMMAND}: it is made from the store in seconds. (Labels belong into the "
            "tables of the archive, the split into the configuration.)"
        )
    return about


def check_list(images_csv: Path, pack: dict[str, Any], data: dict[str, Any]) -> None:
    """Raise InputError if the list of images is not that of a packed array and a data recipe.

    Args:
        images_csv: the list, with its description beside it.
        pack: the description of the packed array; both must have the same images.
        data: the recipe of what is trained on; where it names a split, or what is given of it, and
            the sources of that, the list must have been made with these.
    """
    about = read_list_description(images_csv)
    ids = [line["image_id"] for line in read_images(images_csv)]
    if difference := _difference(ids, pack["ids"]):
        raise InputError(
            f"{images_csv}: lists other images than the packed array ({difference}); delete it and "
            f"{SAME_COMMAND}: it is made from the store in seconds"
        )
    made = {**about, "given": about["split"].get("given")}
    for key, what in (
        ("split", "with another split"),
        ("given", "with another split"),
        ("source", "by other code"),
        ("given_source", "by other code"),
    ):
        if key in data and data[key] != made.get(key):
            raise InputError(
                f"{images_csv}: was made {what} than what is trained now; delete it and "
                f"{SAME_COMMAND}: it is made from the store in seconds"
            )


def _difference(ours: list[str], theirs: list[str]) -> str:
    """Return in words how two lists of ids differ but for their order, "" if they do not."""
    for ids in (ours, theirs):
        if len(set(ids)) < len(ids):
            twice = next(one for one in ids if ids.count(one) > 1)
            return f"{twice} is there twice"
    apart = sorted(set(ours) ^ set(theirs))
    if not apart:
        return ""
    more = f" and {len(apart) - SHOWN} more" if len(apart) > SHOWN else ""
    return f"{len(ours)} and {len(theirs)}; not in both: {', '.join(apart[:SHOWN])}{more}"
