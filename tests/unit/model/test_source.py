"""A model is exported with the images that it was trained on, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sscdl.errors import InputError
from sscdl.model.source import check_same
from sscdl.study.identity import settle
from sscdl.study.study import Study
from tests.unit.study.test_identity import earlier_images, image, write
from tests.unit.study.test_study import siim, study, write_siim


def test_images_of_an_earlier_identity_are_compared_first(tmp_path):
    write_siim(tmp_path / "archive")
    new = study(siim(tmp_path / "archive"))
    old = write(tmp_path / "store/images" / earlier_images(new), [image("a")])
    one = Study(new.config)
    pointer = Path("classify.json")
    lineage = {"variant": "full", "recipe": {"data": {"pack": one.pack_fingerprint("full")}}}
    with pytest.raises(InputError, match="classify.json: it is not known yet whether its images"):
        check_same(one, lineage, pointer)
    made = write(one.image_identity.made(one.store), [image("a")])
    settle("images", old, made, one.records()[0], made_of="archive")
    check_same(Study(new.config), lineage, pointer)
    with pytest.raises(InputError, match="classify.json: was trained on images made in another"):
        check_same(new, lineage | {"recipe": {"data": {"pack": "0" * 12}}}, pointer)
