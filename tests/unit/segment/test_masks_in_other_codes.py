"""Masks that people made with other programs: what is clear is taken, all else is named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sscdl.errors import InputError
from sscdl.files import read_json, write_json
from sscdl.recipe import file_hash
from sscdl.segment.given import copy_given_masks
from sscdl.segment.maskcodes import read_given_mask as read_mask
from sscdl.segment.networks.checkpoint import Architecture
from sscdl.segment.training.compact import load_fields
from tests.unit.records import OF_ROWS

SIZE = 64
LUNGS = np.zeros((SIZE, SIZE), np.uint8)
LUNGS[10:50, 5:25], LUNGS[10:50, 35:60] = 1, 2


def coded(*values: int) -> np.ndarray:
    """Return two lungs on a ground: ground, left and right have these values."""
    return np.array(values, np.uint8)[LUNGS]


def see_through(colour: tuple[int, ...], ground: tuple[int, ...]) -> np.ndarray:
    """Return a picture of colours and opacity: lungs of ``colour`` on ``ground``."""
    return np.where((LUNGS > 0)[..., None], np.uint8(colour), np.uint8(ground)).astype(np.uint8)


def written(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(
    "values",
    [coded(0, 255, 255), coded(0, 1, 1), coded(0, 2, 2), coded(0, 100, 100), coded(0, 128, 255),
     coded(0, 200, 200).astype(np.uint16) * 256, coded(0, 1, 1).astype(np.uint16) * 257,
     coded(0, 255, 255).astype(np.uint16)],
)  # fmt: skip
def test_what_is_clear_is_taken(tmp_path: Path, values: np.ndarray) -> None:
    assert np.array_equal(read_mask(written(tmp_path / "m.png", values)), LUNGS > 0)


def test_smooth_edges_are_cut_at_the_half(tmp_path: Path) -> None:
    small = Image.fromarray(coded(0, 255, 255))
    smooth = np.asarray(small.resize((150, 140), Image.Resampling.BICUBIC))
    assert len(np.unique(smooth)) > 20
    assert np.array_equal(read_mask(written(tmp_path / "m.png", smooth)), smooth > 127)
    edge = coded(0, 255, 255)
    edge[10, 5:25] = 90  # a few pixels are an edge, whatever their number of values
    assert np.array_equal(read_mask(written(tmp_path / "m.png", edge)), edge > 127)


def test_smooth_edges_of_16_bits_are_cut_at_their_half(tmp_path: Path) -> None:
    small = Image.fromarray(coded(0, 255, 255))
    smooth = np.asarray(small.resize((150, 140), Image.Resampling.BICUBIC))
    deep = written(tmp_path / "m.png", smooth.astype(np.uint16) * 257)
    assert np.array_equal(read_mask(deep), smooth > 127)


def test_shares_from_0_to_1_are_cut_at_the_half(tmp_path: Path) -> None:
    values = coded(0, 255, 255).astype(np.float32) / 255
    values[10, 5:25], values[11, 5:25] = 0.3, 0.7
    Image.fromarray(values).save(tmp_path / "m.png", format="TIFF")
    assert np.array_equal(read_mask(tmp_path / "m.png"), values > 0.5)


@pytest.mark.parametrize(
    ("colour", "ground"),
    [
        ((255, 255, 255, 255), (255, 255, 255, 0)),  # transparency alone tells
        ((0, 0, 0, 255), (0, 0, 0, 0)),
        ((255, 0, 0, 128), (0, 0, 0, 0)),  # both tell the same
        ((255, 255, 255, 200), (0, 0, 0, 200)),  # colour alone tells
        ((255, 255), (255, 0)),
    ],
)
def test_lungs_in_the_transparency_are_seen(
    tmp_path: Path, colour: tuple[int, ...], ground: tuple[int, ...]
) -> None:
    path = written(tmp_path / "m.png", see_through(colour, ground))
    assert np.array_equal(read_mask(path), LUNGS > 0)


def test_a_palette_may_be_transparent(tmp_path: Path) -> None:
    picture = Image.fromarray(LUNGS.clip(0, 1), mode="P")
    picture.putpalette([255, 255, 255] * 2)
    picture.save(tmp_path / "m.png", transparency=0)
    assert np.array_equal(read_mask(tmp_path / "m.png"), LUNGS > 0)


def test_colour_and_transparency_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "m.png", see_through((0, 0, 0, 255), (255, 255, 255, 0)))
    told = r"m.png: its colours .* different things \(56.1 % .* not black, 43.9 % .* transparent\)"
    with pytest.raises(InputError, match=told):
        read_mask(path)


def test_smooth_edges_in_the_transparency_are_cut_at_the_half(tmp_path: Path) -> None:
    values = see_through((255, 255, 255, 255), (0, 0, 0, 0))
    values[10, 5:25] = (255, 255, 255, 90)
    assert np.array_equal(read_mask(written(tmp_path / "m.png", values)), values[..., 3] > 127)


def test_empty_and_full(tmp_path: Path) -> None:
    for value in (0, 1, 255):
        values = np.full((9, 9), value, np.uint8)
        assert read_mask(written(tmp_path / "m.png", values)).all() == (value > 0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (coded(0, 1, 2), r"0 \(56.1 %\), 1 \(19.5 %\), 2 \(24.4 %\)"),
        (coded(0, 85, 170), r"0 \(56.1 %\), 85 \(19.5 %\), 170"),
        (coded(1, 2, 2), r"1 \(56.1 %\), 2"),
        (coded(0, 1, 2).astype(np.uint16) * 257, r"0 \(56.1 %\), 1 \(19.5 %\), 2"),
        (coded(0, 1, 2).astype(np.uint16) * 256, r"0 \(56.1 %\), 1 \(19.5 %\), 2"),
        (
            np.dstack([coded(9, 9, 9)] * 3 + [coded(0, 85, 170)]),
            r"0 \(56.1 %\), 85 \(19.5 %\), 170",
        ),
    ],
)
def test_labels_are_named_with_what_they_would_mean(
    tmp_path: Path, values: np.ndarray, told: str
) -> None:
    path = written(tmp_path / "m.png", values)
    with pytest.raises(
        InputError,
        match=rf"m.png(, reduced to 8 bits)?: holds the values {told}.* ITK-SNAP .*write 0",
    ):
        read_mask(path)


def test_colours_of_labels_are_no_half_a_mask(tmp_path: Path) -> None:
    """Red is darker than the half, green brighter: one lung would be left."""
    picture = Image.fromarray(LUNGS, mode="P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(tmp_path / "m.png")
    with pytest.raises(InputError, match=r"holds the values 0 .*, 76 .*, 150 "):
        read_mask(tmp_path / "m.png")


def given(folder: Path, masks: list[np.ndarray]) -> tuple[Path, Path]:
    """Write images, their manifest, and masks; return what `copy_given_masks` takes."""
    rows = []
    for number, mask in enumerate(masks):
        png = written(folder / f"png/{number}.png", np.full((SIZE, SIZE), 9, np.uint8))
        written(folder / f"given/{number}.png", mask)
        row = {**OF_ROWS["images"], "image_id": str(number), "png": png.name}
        rows.append({**row, "sha256": file_hash(png)})
    manifest = folder / "images.json"
    write_json(manifest, {"images": rows, "rejected": [], "failed": [], "problems": []})
    return manifest, folder / "given"


def test_a_folder_of_empty_masks_ends_the_run(tmp_path: Path) -> None:
    empty, lungs = coded(0, 0, 0), coded(0, 1, 1)
    for name, masks in (("all", [empty] * 3), ("most", [empty, empty, lungs])):
        manifest, folder = given(tmp_path / name, masks)
        count = sum(mask is empty for mask in masks)
        with pytest.raises(InputError, match=rf"given: {count} of 3 masks hold no lung"):
            copy_given_masks(
                manifest, tmp_path / name / "png", folder, tmp_path / name / "out",
                tmp_path / name / "masks.json", hull=False,
            )  # fmt: skip
        assert not (tmp_path / name / "masks.json").exists()
    manifest, folder = given(tmp_path / "few", [empty, lungs, lungs])
    out = tmp_path / "few/masks.json"
    copy_given_masks(manifest, tmp_path / "few/png", folder, out.parent / "out", out, hull=False)
    assert [mask["empty"] for mask in read_json(out)["masks"]] == [True, False, False]


def test_whoever_takes_masks_of_others_sees_transparency(tmp_path: Path) -> None:
    mask = see_through((255, 255, 255, 255), (255, 255, 255, 0))
    manifest, folder = given(tmp_path, [mask])
    copy_given_masks(
        manifest, tmp_path / "png", folder, tmp_path / "out", tmp_path / "m.json", hull=False
    )
    share = (LUNGS > 0).mean()
    assert read_json(tmp_path / "m.json")["masks"][0]["area"] == pytest.approx(share, abs=1e-3)
    shape = Architecture(4, 4, 128, 128, unet=False, per_image=True, border=0)
    _, fields = load_fields([(tmp_path / "png/0.png", folder / "0.png", "train")], shape)
    assert fields.mean().item() == pytest.approx(share, abs=0.02)


def test_a_network_learns_nothing_of_empty_masks(tmp_path: Path) -> None:
    _, folder = given(tmp_path, [coded(0, 0, 0)] * 3 + [coded(0, 1, 1)])
    pairs = [(tmp_path / f"png/{n}.png", folder / f"{n}.png", "train") for n in range(4)]
    shape = Architecture(4, 4, 128, 128, unet=False, per_image=True, border=6)
    with pytest.raises(InputError, match=r"segmenter data .*given: 3 of 4 masks hold no lung"):
        load_fields(pairs, shape)
    assert len(load_fields(pairs[2:], shape)[1]) == 2


RECTANGLE = np.zeros((SIZE, SIZE))
RECTANGLE[10:40, 10:30] = 1


def smooth() -> np.ndarray:
    """Return shares from 0 to 1 whose half is the edge of the rectangle, but for its corners."""
    return cv2.GaussianBlur(RECTANGLE, (0, 0), 1.5)


@pytest.mark.parametrize("white", [255, 257 * 255, 256 * 255, 1023, 4095, 32767, 60000])
def test_smooth_masks_of_any_depth_are_cut_at_the_half_of_their_white(tmp_path, white):
    shades = np.round(smooth() * white).astype(np.uint8 if white == 255 else np.uint16)
    inside = read_mask(written(tmp_path / "m.png", shades))
    assert np.abs(inside.sum() - RECTANGLE.sum()) < 40
    assert (inside == (RECTANGLE > 0)).mean() > 0.99


@pytest.mark.parametrize("value", [0.001, 1, 1000, 1e6])
def test_numbers_with_two_values_are_a_mask(tmp_path, value):
    Image.fromarray((RECTANGLE * value).astype(np.float32)).save(tmp_path / "m.tif")
    assert np.array_equal(read_mask(tmp_path / "m.tif"), RECTANGLE > 0)


def test_numbers_that_are_none_and_shades_without_white_are_named(tmp_path):
    numbers = RECTANGLE.astype(np.float32)
    numbers[0, 0] = np.nan
    Image.fromarray(numbers).save(tmp_path / "m.tif")
    with pytest.raises(InputError, match="not finite"):
        read_mask(tmp_path / "m.tif")
    labels = (RECTANGLE * np.arange(64)[:, None] * 5).astype(np.uint16)  # up to 195
    labels[0, 0] = 300
    with pytest.raises(InputError, match="neither labels nor shades up to white"):
        read_mask(written(tmp_path / "m.png", labels))


@pytest.mark.parametrize(
    "codes", [(100, 200, 300), (1, 65535, 65535), (257, 514, 514), (1, 2, 900)]
)
def test_labels_of_16_bits_are_labels_whatever_they_were_multiplied_by(tmp_path, codes):
    labels = (RECTANGLE * codes[0]).astype(np.uint16)
    labels[20:40, 10:30], labels[0, 0] = codes[1:]
    with pytest.raises(InputError, match="labels of ITK-SNAP"):
        read_mask(written(tmp_path / "m.png", labels))


@pytest.mark.parametrize("outside", [255, 128, 1])
@pytest.mark.parametrize("inside", [255, 128])
def test_partly_transparent_masks_are_what_is_seen(tmp_path, inside, outside):
    alpha = np.where(RECTANGLE > 0, inside, outside)
    alpha[:5] = 0  # a border that is not there
    values = np.stack([RECTANGLE * 255] * 3 + [alpha], axis=-1).astype(np.uint8)
    assert np.array_equal(read_mask(written(tmp_path / "m.png", values)), RECTANGLE > 0)
