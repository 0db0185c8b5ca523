"""The list of images of which each may show several findings: what is asked of the sets."""

from __future__ import annotations

import logging

import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.images.classes import check_findings
from sscdl.images.imagelist import list_images
from tests.unit.images.test_given_sides import Archive
from tests.unit.images.test_imagelist import THIRDS, image, mask

REJECTED = pd.DataFrame({"reason": ["not a DICOM file"] * 3})
FINDINGS = ["A", "B"]
LEARNT, HELD_BACK = 1, 0  # seeds that put the first image into the training set, and elsewhere


def listed(folder, labels, findings=FINDINGS, split=THIRDS, **changes):
    """List an image of a patient of its own for each label; return ``images.csv``."""
    rows = [
        image(f"i{number}", label=label) | changes.get(f"i{number}", {})
        for number, label in enumerate(labels)
    ]
    write_json(
        folder / "images.json", {"images": rows, "rejected": [], "failed": [], "problems": []}
    )
    write_json(folder / "masks.json", {"masks": [mask(row["image_id"]) for row in rows]})
    out = folder / "images.csv"
    list_images(
        [folder / "images.json"], [folder / "masks.json"], [], out, folder / "rejected.csv",
        implausible="keep", split=split, classes=findings, several=True,
    )  # fmt: skip
    return pd.read_csv(out, dtype=str, keep_default_na=False).set_index("image_id")


def test_images_are_divided_by_their_rarest_finding_and_counted_by_each(tmp_path, caplog):
    labels = ["A|B"] * 6 + ["A|C?"] * 30 + ["-"] * 30 + [""] * 6
    split = {**THIRDS, "stratified": True, "val": 1 / 3, "test": 1 / 3}
    with caplog.at_level(logging.INFO):
        images = listed(tmp_path, labels, split=split)
    assert list(images.loc[[f"i{n}" for n in range(72)], "label"]) == labels
    for label, each in (("A|B", 2), ("A|C?", 10), ("-", 10), ("", 2)):
        sizes = images[images["label"] == label]["split"].value_counts()
        assert sizes.to_dict() == dict.fromkeys(("train", "val", "test"), each)
    said = [line.split() for line in caplog.messages]
    for words in ("A 12", "B 2", "C (unknown) 10", "none of these 10", "(no label) 2"):
        assert ["train", *words.split(), "images"] in said


def test_a_finding_of_one_patient_stops_no_list_while_it_can_be_learnt(tmp_path, caplog):
    labels = ["A|B"] + ["A", "-"] * 20
    images = listed(tmp_path, labels, split={**THIRDS, "seed": LEARNT})
    assert images.loc["i0", "split"] == "train"
    for told in (
        "split val: fewer than one patient shows, or do not, on an image: B; left out",
        "split test: fewer than two patients show, or do not, on an image that has a lung mask: B;",
    ):
        assert told in caplog.text
    with pytest.raises(InputError, match="no image in the split train shows 'B'"):
        listed(tmp_path, labels, split={**THIRDS, "seed": HELD_BACK})


def test_copies_whose_findings_differ_are_set_aside(tmp_path):
    same = {"pixel_hash": "same"}
    images = listed(tmp_path, ["A|B", "A", "A|B", "-"] * 9, i0=same, i1=same)
    assert set(images.loc[["i0", "i1"], "split"]) == {"duplicate"}
    assert "labelled otherwise: both set aside" in images.loc["i0", "remark"]


def in_sets(*rows):
    """Return images, each of a patient, from their (split, label, whether there is a mask)."""
    images = pd.DataFrame(rows, columns=["split", "label", "mask"]).assign(cohort="main")
    images["patient_id"] = [f"p{row}" for row in range(len(images))]
    return images.assign(mask=images["mask"].map({True: "m", False: ""}))


LABELS = ("A|B", "A?|B", "A", "B?", "-")
WHOLE = [(split, label, True) for split in ("train", "val", "test") for label in LABELS]


def check(rows, findings=FINDINGS, masked=True):
    check_findings(in_sets(*rows), REJECTED, findings, masked=masked)


def test_where_each_set_shows_each_finding_and_is_free_of_it_nothing_is_said(caplog):
    check(WHOLE)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("findings", "masked", "changed", "message"),
    [
        (["A", "C"], True, {}, r"shows 'C' \(images that show each: A 6, C 0; 3 lines in rejected"
         r".csv, most often: not a DICOM file\); leave it out"),
        (FINDINGS, True, {("train", "A|B"): "A|B?", ("train", "A?|B"): "-"},
         r"no image in the split train that has a lung mask shows 'B', .* \(4 images show it"),
        (FINDINGS, True, {("train", "A|B"): None, ("train", "A?|B"): None},
         r"no image in the split train that has a lung mask shows 'B'"),
        (FINDINGS, False, {("test", label): None for label in LABELS},
         r"none that patients in the split test tell apart, .* an image that has a lung mask"),
        (["A"], False, {("test", label): "A?" for label in LABELS},
         r"none that patients in the split test tell apart"),
        (FINDINGS, False, {("test", "A|B"): "-", ("test", "A?|B"): "-"},  # one shows A, none B
         r"none that patients in the split test tell apart, of which two show and two do not"),
        (FINDINGS, False, {("val", label): "-" for label in LABELS},
         r"none that patients in the split val tell apart, of which one patient shows"),
        (FINDINGS, False, {("val", label): "A?|B?" for label in LABELS},
         r"none that patients in the split val tell apart"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_or_tested_is_named(findings, masked, changed, message):
    """``changed`` has other labels for images of ``WHOLE``, None for no mask."""
    rows = []
    for split, label, _ in WHOLE:
        new = changed.get((split, label), label)
        rows.append((split, label if new is None else new, new is not None))
    with pytest.raises(InputError, match=message):
        check(rows, findings, masked)


def test_images_without_a_mask_are_learnt_from_where_no_variant_needs_one():
    rows = [(split, label, split == "test") for split, label, _ in WHOLE]
    check(rows, masked=False)  # nor chosen by
    with pytest.raises(InputError, match="split train that has a lung mask shows 'A'"):
        check(rows)


def test_what_a_set_lacks_is_warned_of_by_name(caplog):
    rows = [row for row in WHOLE if row[0] != "test"] + [
        ("test", "A", True), ("test", "-", True), ("test", "A|B?", True), ("test", "B", False),
        ("test", "B", True), ("unlisted", "A?", True),
    ]  # fmt: skip
    check(rows)
    assert caplog.messages == [
        "split test: fewer than two patients show, or do not, on an image that has a lung mask: B; "
        "left out of means there",
    ]


def test_images_of_one_patient_tell_no_finding_apart():
    images = in_sets(*WHOLE)
    images.loc[images["split"] == "test", "patient_id"] = "p"
    with pytest.raises(InputError, match="none that patients in the split test tell apart"):
        check_findings(images, REJECTED, FINDINGS, masked=False)


def test_a_given_split_may_lack_findings_but_to_train_on(tmp_path, caplog):
    rows = [(f"p{n}_0.png", f"p{n}", ("A|B", "A", "-")[n % 3], "train") for n in range(12)]
    rows += [("r.png", "r", "B", "train")]  # alone with this label
    rows += [(f"q{n}_0.png", f"q{n}", ("A", "-")[n % 2], "test") for n in range(6)]
    images, _ = Archive(tmp_path, rows).listed(classes=FINDINGS, several=True)
    assert (images["split"] == "test").sum() == 6
    assert "split test: fewer than two patients show" in caplog.text
    rows = [(*row[:3], {"train": "test", "test": "train"}[row[3]]) for row in rows]
    with pytest.raises(InputError, match="no image in the split train shows 'B'"):
        Archive(tmp_path / "turned", rows).listed(classes=FINDINGS, several=True)
