"""Images and masks that an earlier version has made, which may be those of the present one.

Up to version 0.1 an archive was identified by the names and sizes of its files; now it is by their
contents. And sources that read files are mended: what they make of most archives stays the same,
but not of those that had been read wrongly. So what a store holds under an earlier identity is made
anew and compared, once, and a record in the store says that the two are the same:
``identities/<kind>.<own>.json``. Without a record, and with files under the own identity, they are
not.

Imports neither torch nor pandas: it is asked each time the workflow is read.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.records import IDENTITY, IMAGE_MANIFEST, MASK_MANIFEST, read_record

LOGGER = logging.getLogger("sscdl.study")
FOLDER = "identities"
IMAGES, MASKS = "images", "masks"
SHARD = re.compile(r"shard-\d+-of-(\d+)\.json")
# What says which pixels a picture has. The hash of an image's file says less: its
# compression is that of a library's version.
PIXELS = {IMAGES: "pixel_hash", MASKS: "sha256"}
MANIFESTS = {IMAGES: IMAGE_MANIFEST, MASKS: MASK_MANIFEST}


# Hashes of the sources of releases, by group, whose pictures may be those of the present sources.
EARLIER_SOURCES = {
    "images": ("ac543270409b",),
    "masks given": ("c9b3c56224cf",),
    "segmenter": ("400e363ec747",),
}


class Identity(NamedTuple):
    """What images or masks (``kind``) are called in the store.

    ``own`` is the fingerprint of what they are made from, ``used`` the one under which they lie:
    the same, or the earlier one, which is ``decided`` or still to be compared. ``shards`` is the
    number of manifests under an earlier one, None if there are none.
    """

    kind: str
    own: str
    used: str
    decided: bool = True
    shards: int | None = None

    def record(self, store: Path) -> Path | None:
        """Return the file that says that both are the same, None where there is one identity."""
        return None if self.own == self.used else _record(store, self.kind, self.own)

    def made(self, store: Path) -> Path:
        """Return the folder that is filled: where it is still to be compared, one beside it."""
        return store / self.kind / (self.used if self.decided else f"{self.own}.anew")

    def sentence(self) -> str | None:
        """Return what a plan says of an earlier identity, None where there is none."""
        if self.own == self.used:
            return None
        if self.decided:
            return (
                f"Accepted: the {self.kind} {self.used}, which an earlier version made, were "
                "compared with what this one makes of these files, and are the same"
            )
        return (
            f"Undecided: the store has {self.kind} ({self.used}) that an earlier version made; the "
            "next run makes them anew and compares. What is finished stays so only if they are "
            "the same"
        )


def decide(
    store: Path,
    kind: str,
    own: str,
    earlier: Callable[[], Sequence[str]],
    shards: int,
    *,
    other_numbers: bool = True,
) -> Identity:
    """Return the identity of images or masks; ``earlier`` gives the fingerprints of before.

    ``shards`` is the number of manifests that the study asks for; with ``other_numbers``, those of
    another number are taken where earlier ones have it.
    """

    def number(used: str) -> int | None:
        known = complete(store / kind / used)
        others = min(known) if known and other_numbers else None
        return shards if shards in known else others

    record = _record(store, kind, own)
    if record.exists():
        used = _same_as(record)
        return Identity(kind, own, used, shards=number(used))
    if not complete(store / kind / own):
        for used in earlier():
            if used != own and number(used) is not None:
                return Identity(kind, own, used, decided=False, shards=number(used))
    return Identity(kind, own, own)


def complete(folder: Path) -> set[int]:
    """Return the numbers of manifests of which a folder has all."""
    found = [match for path in folder.glob("shard-*") if (match := SHARD.fullmatch(path.name))]
    numbers = [int(match[1]) for match in found]
    return {number for number in numbers if numbers.count(number) == number}


def settle(
    kind: str, earlier: Sequence[Path], anew: Sequence[Path], record: Path, *, made_of: str
) -> None:
    """Compare images or masks of an earlier identity with those made ``anew``: both are manifests.

    If they are the same, ``record`` says so and the new ones are deleted. If not, the new ones get
    their own place in the store, and InputError says so: a plan that counts on the earlier ones
    must end. ``made_of`` is what they are made of, in words.
    """
    used, folder = earlier[0].parent, anew[0].parent
    own = folder.with_suffix("")
    if gone := next((path for path in (*earlier, *anew) if not Path(path).exists()), None):
        raise InputError(
            f"{gone}: has gone; another run has compared the same {kind} meanwhile. Run the same "
            "command again"
        )
    before, now = (_entries(kind, paths) for paths in (earlier, anew))
    names = before.keys() | now.keys()
    both = before.keys() & now.keys()
    same = {
        name
        for name in both
        if _same_facts(before[name], now[name])
        and _same_pixels(PIXELS[kind], before[name], now[name], used / "png", folder / "png")
    }
    others = sorted(names - same)
    if not others:
        write_json(record, {"same_as": used.name, "compared": len(names)})
        shutil.rmtree(folder)
        LOGGER.info("%d %s are those of %s, which are used on", len(names), kind, used)
        return
    _move(folder, own)
    raise InputError(
        f"{made_of}: {used}, which an earlier version made, is not what comes of it now: "
        f"{len(others):,} of {len(names):,} {kind} differ (the first is {others[0]}). Its files "
        "are others with the same names and sizes, or this version reads some of them in another "
        "way (CHANGELOG.md says which). Nothing was lost: what was trained on the earlier ones "
        "stays in the store. Run the same command again, and everything is made of these files, "
        "with an identity of their own"
    )


def _record(store: Path, kind: str, own: str) -> Path:
    return store / FOLDER / f"{kind}.{own}.json"


def _same_as(record: Path) -> str:
    used = read_record(record, IDENTITY)["same_as"]
    if not re.fullmatch("[0-9a-f]{12}", used):
        raise InputError(f"{record}: names nothing of a store; {IDENTITY.again}")
    return used


def _entries(kind: str, manifests: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return what manifests say of each image, by its id."""
    read = (read_record(path, MANIFESTS[kind])[kind] for path in manifests)
    return {row["image_id"]: row for rows in read for row in rows}


def _same_facts(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two entries say the same of an image, the hashes of its pixels apart.

    What only one of them says was no part of the entries when the other was written.
    """
    keys = one.keys() & other.keys() - {"sha256", *PIXELS.values()}
    return all(one[key] == other[key] for key in keys)


def _same_pixels(
    key: str, one: dict[str, Any], other: dict[str, Any], folder: Path, other_folder: Path
) -> bool:
    """Return whether two entries are of the same pixels, by the hash ``key``.

    Where that is of the files, these are compared: they may be compressed in two ways.
    """
    if one[key] == other[key]:
        return True
    if key != "sha256" or None in (one[key], other[key]):
        return False
    from PIL import Image, ImageChops

    files = folder / one["png"], other_folder / other["png"]
    if not all(path.is_file() for path in files):
        return False  # it has gone, or has its own place already: it cannot be said to be the same
    with Image.open(files[0]) as a, Image.open(files[1]) as b:
        return (a.size, a.mode) == (b.size, b.mode) and not ImageChops.difference(a, b).getbbox()


def _move(folder: Path, own: Path) -> None:
    """Give what was made anew its own place, manifests last: whoever finds them finds all."""
    (own / "png").mkdir(parents=True, exist_ok=True)
    for path in [*sorted((folder / "png").iterdir()), *sorted(folder.glob("shard-*.json"))]:
        os.replace(path, own / path.relative_to(folder))
    shutil.rmtree(folder)
