"""The folders that a configuration must name, and the words that give one that is missing.

The configurations that come with the project name no folder of their user's: those come from the
command line, or from a file of the user's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROOTS = {
    "siim": "the folder with train/ and the two CSV files",
    "table": "the folder that the image files lie in",
    "folders": "the folder that the image files lie in",
}


def missing_folders(config: dict[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return a message for each folder that a configuration needs and does not name.

    ``config`` has the defaults filled in, ``given`` is what the user says. Who says which share of
    the pairs to hold back means a folder of pairs, which a synthetic study could do without.
    """
    found = []
    for block in ("dataset", "pretraining_dataset"):
        layout = config[block]["layout"]
        if layout in _ROOTS and not config[block].get(layout, {}).get("root"):
            found.append(_missing((block, layout, "root"), _ROOTS[layout]))
    source, lungs = config["lungs"]["source"], config["lungs"]
    if source == "masks" and not lungs["masks"].get("folder"):
        what = "a folder with <image_id>.png for every image"
        found.append(_missing(("lungs", "masks", "folder"), what))
    pairs = "validation" in given.get("lungs", {}).get("train", {})
    wanted = pairs or config["dataset"]["layout"] != "phantom"
    if source == "train" and wanted and not lungs["train"].get("folder"):
        what = "a folder with images/, masks/ and index.csv"
        found.append(_missing(("lungs", "train", "folder"), what))
    return found


def _missing(keys: tuple[str, str, str], what: str) -> str:
    outer, inner, last = keys
    given = f"--config '{outer}={{{inner}: {{{last}: <folder>}}}}'"
    return f"{'.'.join(keys)}: missing; {what}. Give it in a configuration file, or {given}"
