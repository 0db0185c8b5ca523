"""Archives with the same names, sizes and tables are told apart, also in stores of before that."""

from __future__ import annotations

import copy
import os
import shutil

import pandas as pd
import pytest

from sscdl.files import read_json
from sscdl.phantom.archive import write_archive
from sscdl.study.config import check_config, load_schema
from sscdl.study.study import Study
from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner


def invert(root) -> None:
    """Repair headers in place, and put back the times that can be put back."""
    for path in sorted((root / "train").rglob("*.dcm")):
        before, content = path.stat(), path.read_bytes()
        with open(path, "r+b") as file:
            file.write(content.replace(b"MONOCHROME2", b"MONOCHROME1"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size


@pytest.fixture
def runner(tmp_path) -> Runner:
    """Return a study of an archive whose images are ingested, with masks that are given."""
    root = tmp_path / "archive"
    write_archive(root, patients=8, size=64, seed=5, classes={"negative": 0.5, "typical": 0.5})
    config = copy.deepcopy(TINY)
    config["dataset"] = {"layout": "siim", "siim": {"root": str(root)}}
    config["lungs"] = {"source": "masks", "masks": {"folder": str(root / "truth/masks")}}
    config["store"] = str(tmp_path / "store")
    one = Runner(tmp_path / "run", config)
    one("images")
    return one


def planned(runner: Runner) -> Study:
    """Return what the runner's configuration implies now."""
    schema = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
    return Study(check_config(copy.deepcopy(runner.config), schema))


def folders(runner: Runner) -> set[str]:
    """Return the folders that the pictures of images.csv lie in."""
    images = pd.read_csv(runner.results / "images.csv")
    return {path.split("/")[-3] for column in ("png", "mask") for path in images[column]}


def test_a_header_repaired_in_place_is_another_archive(runner):
    before, first = folders(runner), pd.read_csv(runner.results / "images.csv")
    assert "Nothing to be done" in runner("images")
    invert(runner.folder.parent / "archive")
    runner("images")
    second = pd.read_csv(runner.results / "images.csv")
    assert not before & folders(runner), "masks belong to images"
    assert set(second["photometric"]) >= {"MONOCHROME1"}
    assert list(first["image_id"]) == list(second["image_id"])


def test_a_store_of_the_earlier_identity_is_used_on_if_the_pictures_are_the_same(runner):
    one = planned(runner)
    store, own = one.store, (one.images, one.masks)
    assert folders(runner) == set(own)
    earlier = one.earlier_images()[-1]
    (store / "images" / own[0]).rename(store / "images" / earlier)
    between = planned(runner)  # masks are those of these images
    masks = between.earlier_masks()[-1]
    (store / "masks" / own[1]).rename(store / "masks" / masks)
    shutil.rmtree(runner.results)
    output = runner("plan")
    assert f"Undecided: the store has images ({earlier})" in output
    assert f"Undecided: the store has masks ({masks})" in output
    before = sorted(path for path in store.rglob("*") if "digests" not in path.parts)
    runner("images", "--dry-run")
    assert before == sorted(path for path in store.rglob("*") if "digests" not in path.parts)
    runner("images")
    assert folders(runner) == {earlier, masks}
    assert sorted(path.name for path in store.glob("images/*")) == [earlier]
    assert read_json(store / f"identities/images.{own[0]}.json")["same_as"] == earlier
    assert "Nothing to be done" in runner("images")
    assert f"Accepted: the images {earlier}" in runner("plan")

    other = runner.folder.parent / "other"
    shutil.copytree(runner.folder.parent / "archive", other)
    invert(other)
    config = copy.deepcopy(runner.config) | {"study": "other"}
    config["dataset"]["siim"]["root"] = str(other)
    second = Runner(runner.folder, config)
    said = second("images", ok=False)
    assert f"{other}: {store}/images/{earlier}, which an earlier version made, is not" in said
    assert not (second.results / "images.csv").exists(), "nothing is reported"
    second("images")
    assert folders(second).isdisjoint({earlier, masks, *own})
    assert folders(runner) == {earlier, masks}
