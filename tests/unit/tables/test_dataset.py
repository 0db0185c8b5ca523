"""The table, the figure and the contact sheet that describe a study's images."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sscdl.archives.cohorts import MARKED
from sscdl.errors import InputError
from sscdl.figures.bars import shown
from sscdl.figures.charts import wrapped, write_figure
from sscdl.figures.dataset import contact_sheet, dataset_figure
from sscdl.images.imagelist import COLUMNS
from sscdl.segment.quality import Quality
from sscdl.tables.dataset import (
    copies,
    dataset_table,
    group_reasons,
    reason_counts,
    split_names,
)
from sscdl.tables.files import write_table

NOTHING = pd.DataFrame(columns=["file", "reason"])


def image(name, **changes):
    row = dict.fromkeys(COLUMNS, "") | {
        "image_id": name,
        "study_id": f"study-{name}",
        "patient_id": f"patient-{name}",
        "label": "typical",
        "split": "train",
        "png": f"png/{name}.png",
        "mask": f"masks/{name}.png",
        "cohort": "main",
        "view": "PA",
        "sex": "F",
        "age": 45.0,
        "rows": 200,
        "columns": 100,
        "transfer_syntax": "RLE Lossless",
        "boxes": "[]",
        "mask_area": 0.3,
        "modality": "DX",
        "body_part": "CHEST",
        "photometric": "MONOCHROME2",
        "bits_stored": 12,
    }
    return row | changes


def listed(*rows):
    return pd.DataFrame(list(rows))


def cells(table, group):
    rows = table[table["group"] == group].drop(columns="group").set_index("value")
    return {value: list(row) for value, row in rows.iterrows()}


IMAGES = listed(
    image("a", patient_id="p"),
    image("b", patient_id="p", study_id="study-a", split="test", view="", boxes="[[0, 0, 1, 1]]"),
    image("c", label="", split="mark_removed", age="", sex="", bits_stored="", mask=""),
    image(
        "d",
        label="negative",
        split="val",
        age=9.5,
        rows=300,
        mask_faults="ragged, one lung 0.18 of the other",
    ),
    image("e", age=100, mask_faults="one lung 0.02 of the other"),
)


def test_copies_with_another_mark_count_once():
    """Three sets of the same patients are one more set of images, and straddle nothing."""
    marked = [
        image(f"{patient}{number}", patient_id=patient, study_id=patient, split=name)
        for number, name in enumerate(MARKED)
        for patient in ("x", "y")
    ]
    images = pd.concat([IMAGES[IMAGES["split"] != "mark_removed"], listed(*marked)])
    table = dataset_table(images, NOTHING)
    total = {group: cells(table, group) for group in ("images", "patients", "studies", "view")}
    assert total["images"]["all"] == [2, 1, 1, 2, 2, 2, 6]
    assert total["patients"]["all"][-1] == 5
    assert total["patients"]["in several splits"] == [1, 0, 1, 0, 0, 0, 1]
    assert total["studies"]["all"][-1] == 5
    assert total["view"] == {"PA": [2, 1, 0, 2, 2, 2, 5], "(unknown)": [0, 0, 1, 0, 0, 0, 1]}
    assert copies(["train", "mark_removed", "mark_reversed"]) == {"mark_reversed"}
    assert copies(["train", "mark_removed"]) == set()


def test_table_counts_by_split():
    table = dataset_table(IMAGES, NOTHING)
    assert list(table) == ["group", "value", "train", "val", "test", "mark_removed", "total"]
    assert cells(table, "images") == {"all": [2, 1, 1, 1, 5]}
    assert cells(table, "patients") == {
        "all": [2, 1, 1, 1, 4],
        "in several splits": [1, 0, 1, 0, 1],
    }
    assert cells(table, "studies") == {"all": [2, 1, 1, 1, 4]}
    assert cells(table, "label") == {
        "negative": [0, 1, 0, 0, 1],
        "typical": [2, 0, 1, 0, 3],
        "(none)": [0, 0, 0, 1, 1],
    }
    assert cells(table, "view") == {"PA": [2, 1, 0, 1, 4], "(unknown)": [0, 0, 1, 0, 1]}
    assert cells(table, "bits stored") == {"12": [2, 1, 1, 0, 4], "(unknown)": [0, 0, 0, 1, 1]}
    assert cells(table, "boxes") == {"images with boxes": [0, 0, 1, 0, 1]}
    assert cells(table, "lung mask") == {
        "none used": [0, 0, 0, 1, 1],
        "one lung … of the other": [1, 1, 0, 0, 2],
        "ragged": [0, 1, 0, 0, 1],
    }
    assert list(cells(table, "size (rows x columns)")) == ["200 x 100", "300 x 100"]
    assert cells(table, "set aside") == {}


def test_a_fault_of_a_mask_counts_once_whatever_commas_it_has():
    """Faults stand in one cell with commas between them, and some have one in their own words."""
    worst = Quality(area=0.9, components=1, balance=0.0, solidity=0.5, border=0.4, doubt=0.5)
    unequal = replace(worst, area=0.3, components=2, balance=0.1)
    masks = [worst, unequal, replace(worst, components=0)]
    rows = [image(str(n), mask_faults=", ".join(one.faults())) for n, one in enumerate(masks)]
    assert cells(dataset_table(listed(*rows, image("good")), NOTHING), "lung mask") == {
        "none used": [0, 0],
        "a single component": [1, 1],
        "area … of the image": [1, 1],
        "network in doubt, …": [2, 2],
        "no lung": [1, 1],
        "on … of the image's border": [2, 2],
        "one lung … of the other": [1, 1],
        "ragged shape, solidity …": [2, 2],
    }


def test_ages():
    ages = cells(dataset_table(IMAGES, NOTHING), "age")
    assert list(ages) == [
        "0 to 9",
        "40 to 49",
        "100 to 109",
        "(unknown)",
        "mean (years)",
        "standard deviation (years)",
    ]
    assert ages["mean (years)"] == [72.5, 9.5, 45.0, None, 49.875]
    assert ages["standard deviation (years)"][:4] == [38.8909, None, None, None]


def test_many_sizes_are_rounded():
    rows = [image(str(n), rows=2000 + n, columns=1500 - n) for n in range(20)]
    sizes = cells(dataset_table(listed(*rows), NOTHING), "size (rows x columns)")
    assert sizes == {"about 2000 x 1500": [20, 20]}


def test_row_order_and_types_make_no_difference(tmp_path):
    IMAGES.to_csv(tmp_path / "images.csv", index=False)
    expected = dataset_table(IMAGES, NOTHING)
    for options in ({}, {"dtype": str, "keep_default_na": False}):
        read = pd.read_csv(tmp_path / "images.csv", **options).iloc[::-1]
        pd.testing.assert_frame_equal(dataset_table(read, NOTHING), expected)


REJECTED = pd.DataFrame(
    [
        ("train/s/t/x.dcm", "pixel data are truncated: 12 of 400 bytes"),
        ("train/s/t/y.dcm", "pixel data are truncated: 13 of 400 bytes"),
        ("train/s/t/z.dcm", "3 bits stored in 8 are not supported"),
        ("studies.csv", "line 7: study 12ab again; first row kept"),
        ("studies.csv", "line 9: study 34cd again; first row kept"),
        ("table.csv", "line 7: file of an earlier row; left out (line 3)"),
        ("table.csv", "12 more: file of an earlier row; left out"),
        ("train/k/k/k.dcm", "image id also at train/a b/c/d.dcm; left out"),
        ("images.csv", "image q has no usable file"),
        ("d", "lung mask: one lung; kept"),
        ("e", "lung mask: one lung; kept"),
    ],
    columns=["file", "reason"],
)


def test_reasons_without_ids():
    assert reason_counts(REJECTED) == {
        "file of an earlier row; left out": 13,
        "lung mask: one lung; kept": 2,
        "pixel data are truncated: … of … bytes": 2,
        "study … again; first row kept": 2,
        "3 bits stored in 8 are not supported": 1,
        "image id also at …; left out": 1,
        "image … has no usable file": 1,
    }
    assert group_reasons(REJECTED).index.equals(REJECTED.index)
    assert reason_counts(NOTHING) == {}


def test_reasons_are_counted_once():
    table = dataset_table(IMAGES, REJECTED)
    found = cells(table, "set aside")
    assert len(found) == len(reason_counts(REJECTED))
    assert all(pd.isna(value) for value in found["image … has no usable file"][:-1])
    assert found["file of an earlier row; left out"][-1] == 13


def test_remarks_count_in_their_split():
    images = IMAGES.assign(remark=["", "", "", "perhaps text near the border", ""])
    found = cells(dataset_table(images, NOTHING), "text")
    assert list(found) == ["perhaps burned in"]
    assert found["perhaps burned in"][-1] == 1
    assert cells(dataset_table(images, NOTHING), "near-duplicates") == {}
    images = IMAGES.assign(remark=["nearly the same picture as b of another patient"] + [""] * 4)
    found = cells(dataset_table(images, NOTHING), "near-duplicates")
    assert list(found) == ["images with one"]
    assert found["images with one"][-1] == 1


def test_table_can_be_written(tmp_path):
    written = write_table(dataset_table(IMAGES, REJECTED), tmp_path / "dataset", caption="Images")
    lines = written[0].read_text(encoding="utf-8").splitlines()
    assert lines[1] == "images,all,2,1,1,1,5"
    assert lines[-1].endswith(",,,,,1")


def test_splits_in_their_order():
    names = ["external_10", "external_9", "test", "val"]
    assert split_names(names) == ["val", "test", "external_9", "external_10"]


def test_long_names_keep_both_ends():
    assert [len(shown("x" * 30, longest)) for longest in (19, 20, 30)] == [19, 20, 30]
    assert shown("the hospital of a large city 17", 15) == "the hosp…ity 17"
    assert shown("5 $ and 6 $", 20) == r"5 \$ and 6 \$"


def many(number):
    generator = np.random.default_rng(0)
    return listed(
        *(
            image(
                str(n),
                split="train" if n == 0 else f"a very long name of a cohort {n % number}",
                label=f"class {n % (number + 1)} $" if n % 7 else "",
                view=("AP", "PA", "")[n % 3],
                bits_stored=8 + n % 9,
                transfer_syntax=f"Transfer syntax number {n % number}",
                rows=int(generator.integers(100, 4000)),
            )
            for n in range(4 * number)
        )
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("images", "rejected"),
    [
        (IMAGES, NOTHING),
        (IMAGES, REJECTED),
        (listed(image("a", age="")), NOTHING),
        (many(20), REJECTED),
        (many(40), pd.DataFrame({"file": "f", "reason": [f"{n} words " * 30 for n in range(19)]})),
    ],
)
def test_figure_of_any_number_of_classes_and_splits(images, rejected, tmp_path):
    histograms = {name: np.arange(256) for name in images["split"].unique()}
    histograms["train"] = np.zeros(256)
    write_figure(dataset_figure(images, rejected, histograms), tmp_path / "dataset.png")
    with Image.open(tmp_path / "dataset.png") as figure:
        assert figure.width == 1300
        assert np.asarray(figure.convert("L")).std() > 10


def test_contact_sheet_pages(tmp_path):
    paths = []
    for n in range(205):
        paths.append(tmp_path / f"{n}.png")
        # The first is 8 bits, wide and light, the others 16 bits and gray.
        pixels = np.full((10, 40), 255, np.uint8) if n == 0 else np.full((32, 32), 2**15, np.uint16)
        Image.fromarray(pixels).save(paths[-1])
    names = [path.stem for path in paths]
    pages = contact_sheet(paths, names, tmp_path / "out" / "sheet.png", columns=10, tile=32)
    assert [page.name for page in pages] == ["sheet-1.png", "sheet-2.png"]
    first, second = (np.asarray(Image.open(page)) for page in pages)
    assert first.shape[1] == second.shape[1] * 2 - 4 == 10 * 36 + 4
    tile = first[19 : 19 + 32, 4 : 4 + 32]
    assert (tile[12:20] == 255).all()
    assert (tile[:10] == 0).all()
    assert (first[19 : 19 + 32, 40 : 40 + 32] == 128).all()
    assert first[4:18, 40:72].max() > 128
    (page,) = contact_sheet(paths[:3], names[:3], tmp_path / "few.png", columns=10, tile=32)
    assert page == tmp_path / "few.png"
    assert np.asarray(Image.open(page)).shape[1] == 3 * 36 + 4


def test_captions_of_a_contact_sheet_are_complete(tmp_path):
    png = tmp_path / "a.png"
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(png)

    def sheet(*captions):
        (page,) = contact_sheet(
            [png] * len(captions), captions, tmp_path / "sheet.png", columns=2, tile=64
        )
        return np.asarray(Image.open(page))

    pictures = [sheet("0123\nduplicate negative", "b"),
                sheet("0123\nduplicate\nnegative", "b")]  # fmt: skip
    assert np.array_equal(*pictures), "what is too wide is wrapped"
    drawn = pictures[0]
    assert drawn.shape == (4 + 3 * 15 + 64 + 4, 2 * 68 + 4)
    assert (drawn[49:113, 4:68] == 90).all(), "below the caption lies the picture"
    assert (drawn[49:113, 72:136] == 90).all(), "its neighbour in the row stands as high"
    for top in (4, 19, 34):
        assert drawn[top : top + 15, 4:68].max() > 200
    assert not drawn[4:49, 68:72].any(), "no letter leaves its tile"
    assert not drawn[19:49, 72:].any()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb c", ["a", "b c"]),
        ("duplicate negative", ["duplicate", "negative"]),
        ("0123456789abc x", ["0123456789", "abc x"]),
        ("val 0123456789abc", ["val", "0123456789", "abc"]),
        ("train ", ["train"]),
        ("", [""]),
    ],
)
def test_nothing_is_lost_when_a_text_is_wrapped(text, lines):
    assert wrapped(text, 10, len) == lines
    assert "".join(wrapped(text, 0, len)) == "".join(text.split())


def test_contact_sheet_names_what_is_no_picture(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text(json.dumps({}))
    with pytest.raises(InputError, match=r"broken\.png: is missing or no picture"):
        contact_sheet([broken], ["broken"], tmp_path / "sheet.png", columns=1, tile=32)
    with pytest.raises(InputError, match="no images"):
        contact_sheet([], [], tmp_path / "sheet.png", columns=1, tile=32)


def test_a_duplicate_makes_no_patient_straddle():
    images = listed(image("a", patient_id="p"), image("b", patient_id="p", split="duplicate"))
    assert cells(dataset_table(images, NOTHING), "patients")["in several splits"] == [0, 0, 0]
