"""Which masks are reported and drawn, and how."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageColor

from sscdl.errors import InputError
from sscdl.figures.charts import SKY, VERMILION
from sscdl.figures.mask_sheet import choose_masks, draw_outline, mask_sheet
from sscdl.images.vouched import describe_list
from sscdl.segment.maskfiles import record_mask
from sscdl.tables.masks import MEASURES, mask_quality, write_implausible_masks
from tests.unit.records import write_manifest


def two_lungs() -> np.ndarray:
    """Return a plausible mask (96, 80)."""
    mask = np.zeros((96, 80), np.uint8)
    for centre in (22, 58):
        cv2.ellipse(mask, (centre, 48), (13, 30), 0, 0, 360, 1, -1)
    return mask.astype(bool)


@pytest.fixture
def masks(tmp_path):
    """Return images.csv and the manifests of masks: good, one lung (b), none (c), not given (d)."""
    good = two_lungs()
    one = good.copy()
    one[:, 40:] = False
    made = {name: good for name in "aefghij"} | {"b": one, "c": good & False}
    rows, lines = {0: [], 1: []}, ["image_id,split,png"]
    for number, name in enumerate("jihgfedcba"):
        png = tmp_path / f"{name}.png"
        cv2.imwrite(str(png), np.full((96, 80), 90, np.uint8))
        lines.append(f"{name},train,{png}")
        record = {"image_id": name, "png": None, "faults": ["no lung"], "empty": True, "area": 0.0}
        if name in made:
            record = record_mask(name, made[name], tmp_path / "masks/png", "", hull=False)
        rows[number % 2].append(record)
    (tmp_path / "images.csv").write_text("\n".join(lines))
    describe_list(tmp_path / "images.csv", split={}, source="")
    manifests = [tmp_path / f"masks/shard-{number}.json" for number in rows]
    for manifest, part in zip(manifests, rows.values(), strict=True):
        write_manifest(manifest, "masks", part)
    return tmp_path / "images.csv", manifests


@pytest.mark.parametrize(
    ("policy", "used"), [("keep", "as found"), ("drop", "no"), ("hull", "convex hulls")]
)
def test_faults_measures_and_use_of_every_mask(masks, policy, used):
    found = mask_quality(*masks, implausible=policy).set_index("image_id")
    assert list(found.index) == list("abcdefghij")
    assert found.loc[["b", "c", "d"], "faults"].tolist() == [
        "a single component", "no lung", "no mask given",
    ]  # fmt: skip
    assert found.loc[["a", "b", "c", "d"], "used"].tolist() == ["as found", used, "no", "no"]
    assert (found.drop(index=["b", "c", "d"])["faults"] == "").all()
    assert found.loc["a", "area"] == pytest.approx(two_lungs().mean())
    assert found.loc["a", "components"] == 2
    assert np.isnan(found.loc["d", "area"])


def test_the_table_has_the_implausible_ones_alone(masks, tmp_path):
    write_implausible_masks(*masks, tmp_path / "t.csv", implausible="drop")
    table = pd.read_csv(tmp_path / "t.csv")
    assert list(table.columns) == ["image_id", "split", "faults", "used", *MEASURES]
    assert table["image_id"].tolist() == ["b", "c", "d"]
    assert "3 of 10" in (tmp_path / "t.md").read_text()
    assert (tmp_path / "t.tex").exists()


def test_copies_with_another_mark_are_listed_but_not_counted(masks, tmp_path):
    images = pd.read_csv(masks[0])
    sets = {"b": "mark_trained", "c": "mark_removed", "a": "mark_reversed"}
    images["split"] = images["image_id"].map(sets).fillna("train")
    images.to_csv(masks[0], index=False)
    describe_list(masks[0], split={}, source="")
    write_implausible_masks(*masks, tmp_path / "t.csv", implausible="keep")
    assert pd.read_csv(tmp_path / "t.csv")["image_id"].tolist() == ["b", "c", "d"]
    assert "2 of 8" in (tmp_path / "t.md").read_text()
    assert "marked test sets" in (tmp_path / "t.md").read_text()


def test_a_study_without_faults_has_an_empty_table(masks, tmp_path):
    images = pd.read_csv(masks[0])
    images[~images["image_id"].isin(list("bcd"))].to_csv(masks[0], index=False)
    describe_list(masks[0], split={}, source="")
    write_implausible_masks(*masks, tmp_path / "t.csv", implausible="keep")
    assert pd.read_csv(tmp_path / "t.csv").empty
    assert "0 of 7" in (tmp_path / "t.md").read_text()


def test_implausible_masks_come_first_and_a_seeded_sample_follows(masks):
    quality = mask_quality(*masks, implausible="keep")

    def drawn(number: int, seed: int = 0) -> list[str]:
        return choose_masks(quality, number=number, seed=seed)["image_id"].tolist()

    assert drawn(5)[:2] == ["b", "c"]
    assert len(drawn(5)) == 5
    assert drawn(5) == drawn(5)
    assert len({tuple(drawn(5, seed)) for seed in range(5)}) > 1
    assert drawn(100) == ["b", "c", *"aefghij"], "d has no mask to draw"
    assert drawn(1) == ["b", "c"], "all implausible ones, however many"


def test_outlines_frames_and_captions_are_drawn(masks, tmp_path):
    quality = mask_quality(*masks, implausible="keep")
    (page,) = mask_sheet(quality, tmp_path / "sheet", number=100, seed=0)
    assert page.name == "sheet.png"
    pixels = np.asarray(Image.open(page))
    framed, outlined = (
        (pixels == ImageColor.getrgb(color)).all(axis=-1) for color in (VERMILION, SKY)
    )
    rows, columns = np.nonzero(framed)
    assert rows.min() < 60, "in the first row"
    assert 2 * 232 < columns.max() + 1 < 3 * 232, "two tiles"
    assert outlined.sum() > 5 * framed.sum() / 4
    below = pixels[rows.max() + 1 : rows.max() + 80]
    assert (below[:, :232] == 255).any(), "a caption below the first image"


def test_many_masks_fill_several_sheets(masks, tmp_path):
    quality = mask_quality(*masks, implausible="keep")
    many = pd.concat([quality] * 6, ignore_index=True)
    pages = mask_sheet(many, tmp_path / "sheet", number=50, seed=0)
    assert [page.name for page in pages] == ["sheet-1.png", "sheet-2.png"]


def test_no_mask_at_all_is_named(masks, tmp_path):
    quality = mask_quality(*masks, implausible="keep")
    with pytest.raises(InputError, match="no image has a lung mask"):
        mask_sheet(quality[quality["image_id"] == "d"], tmp_path, number=9, seed=0)


@pytest.mark.parametrize("shape", [(40, 100), (1000, 400)])
def test_an_outline_lies_at_the_border_of_the_mask_and_keeps_proportions(shape):
    mask = np.zeros(shape, bool)
    mask[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
    drawn = np.asarray(draw_outline(np.full(shape, 50, np.uint8), mask, 200))
    scale = 200 / max(shape)
    assert drawn.shape == (round(shape[0] * scale), round(shape[1] * scale), 3)
    rows, columns = np.nonzero((drawn == ImageColor.getrgb(SKY)).all(axis=-1))
    for found, length in ((rows, drawn.shape[0]), (columns, drawn.shape[1])):
        assert found.min() == pytest.approx(length / 4, abs=3)
        assert found.max() == pytest.approx(length / 2, abs=3)
