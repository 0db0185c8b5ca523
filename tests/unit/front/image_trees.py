"""Images in folders, and what a study file that was written says of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sscdl.archives.given_split import read_given_split
from sscdl.archives.layouts import list_files
from sscdl.archives.reading import read_index
from tests.unit.own_images import PNG, written


def tree(root: Path, paths: Iterable[str]) -> Path:
    """Make image files at these paths below a folder."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(PNG)
    return root


def read(name: str) -> tuple[dict, dict[str, str], dict[str, str]]:
    """Return a configuration, and the label and the patient of each path as a run reads them."""
    config = written(name)
    layout = config["dataset"]["layout"]
    images = read_index({"layout": layout, **config["dataset"][layout]}).images.set_index("path")
    return config, images["label"].to_dict(), images["patient_id"].to_dict()


def sides(config: dict) -> dict[str, str]:
    """Return the side of each path by the split that a configuration is given."""
    layout = config["dataset"]["layout"]
    dataset = {"layout": layout, **config["dataset"][layout]}
    return read_given_split(dataset, config["split"], list_files(dataset).images).sides
