"""Draws of few labels: whole patients, nested, of each class or finding its share."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from sscdl.evaluation.label_draws import label_draws
from sscdl.finding_labels import rarest_finding, write_label
from sscdl.images.rows import _share_of_labels, select_rows

FINDINGS = ["Edema", "Effusion", "Hernia"]
RECIPE = {"train": "train", "validate": None, "normalise": "train", "masked": False}


@pytest.fixture
def listed(tmp_path):
    """Write lists of images, one to three of each patient, and return how to choose from them."""
    draw = np.random.default_rng(4)

    def choose(labels, **data):
        path = tmp_path / "images.csv"
        patients = [f"p{k}" for k, many in enumerate(draw.integers(1, 4, 400)) for _ in range(many)]
        lines = [
            (f"i{k}", patient, labels(draw), "train" if k % 5 else "test", "", "main")
            for k, patient in enumerate(patients)
        ]
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image_id", "patient_id", "label", "split", "mask", "cohort"])
            writer.writerows(lines)
        described = {"ids": [line[0] for line in lines], "sha256": "x"}

        def rows(**labels):
            wanted = {"labels": labels} if labels else {}
            return select_rows(path, described, RECIPE | data | wanted).train

        return lines, rows

    return choose


def test_classifiers_learn_from_the_labels_that_probes_are_fitted_with(listed):
    lines, rows = listed(lambda draw: "abc"[draw.integers(3) ** 2 // 2], classes=["a", "b", "c"])
    every = rows()
    labels, patients = ([lines[row][place] for row in every] for place in (2, 1))
    for seed in (0, 3):
        for one in label_draws(labels, patients, [0.01, 0.1, 0.5], 2, seed):
            found = rows(share=one.share, seed=seed, draw=one.number)
            assert found == [every[place] for place in one.rows]
    # Without a number of a draw it is the one that there was before there were several.
    assert rows(share=0.1, seed=3) not in [rows(share=0.1, seed=3, draw=k) for k in range(5)]


def test_of_findings_a_patient_counts_once_and_small_shares_are_parts_of_larger_ones(listed):
    shares = {"Edema": 0.4, "Effusion": 0.2, "Hernia": 0.02}
    lines, rows = listed(
        lambda draw: write_label([name for name in FINDINGS if draw.random() < shares[name]]),
        findings=FINDINGS,
    )
    every = rows()
    stratum = rarest_finding((lines[row][1], lines[row][2]) for row in every)
    sizes = {name: list(stratum.values()).count(name) for name in set(stratum.values())}
    assert sizes["Hernia"] < 20
    before: set[str] = set()
    for share in (0.01, 0.1, 0.3):
        found = rows(share=share, seed=1, draw=0)
        chosen = {lines[row][1] for row in found}
        assert found == [row for row in every if lines[row][1] in chosen], "whole patients"
        for name, size in sizes.items():
            own = [patient for patient in chosen if stratum[patient] == name]
            assert len(own) == max(2, int(np.ceil(share * size - 1e-9)))
        assert before <= chosen
        before = chosen
        assert found != rows(share=share, seed=1, draw=1)
        assert found != rows(share=share, seed=2, draw=0)
    assert len(before) < 0.32 * len(stratum)


def test_labels_that_are_none_of_the_studys_findings_change_no_draw():
    """All labels of a table stand in the list; one that few show would stand for patients."""
    lines = [
        {"patient_id": f"p{k}", "label": "Effusion" if k % 4 == 0 else "-"} for k in range(200)
    ]
    more = [
        line | {"label": "Effusion|Fracture" if line["label"] != "-" and k % 3 else line["label"]}
        for k, line in enumerate(lines)
    ]
    wanted = {"share": 0.1, "seed": 0, "draw": 0}
    plain = _share_of_labels(lines, wanted, ["Effusion"])
    assert plain == _share_of_labels(more, wanted, ["Effusion"])
    assert plain != _share_of_labels(more, wanted, ["Effusion", "Fracture"])
