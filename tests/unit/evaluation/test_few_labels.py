"""Predictions of the trainings of a model by their number of labels."""

from __future__ import annotations

import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.evaluation import predict as module
from sscdl.evaluation.few_labels import _fewest, predict_few, repeated
from sscdl.images.rows import Rows
from tests.unit.evaluation.test_predict import NAMED, Study


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def made(study, *pointers) -> pd.DataFrame:
    out = study.folder / "few.csv"
    predict_few(pointers, study.folder / "full.json", study.images, out, **NAMED)
    return pd.read_csv(out, dtype=str, keep_default_na=False)


def test_each_training_predicts_what_it_does_by_itself(study):
    """Eight patients train, four of them of one class."""
    frame = pd.read_csv(study.images, dtype=str, keep_default_na=False)
    study.write_list(frame.assign(split=frame["split"].replace("val", "train")))
    study.pointer = study.classifier("whole")
    few = study.classifier("few", labels={"share": 0.5, "seed": 3, "draw": 1})
    lines = made(study, few, study.pointer)
    assert lines[["share", "draw"]].drop_duplicates().to_numpy().tolist() == [
        ["0.5", "1"], ["1.0", "0"],
    ]  # fmt: skip
    own, _ = study.predict()
    shared = [name for name in own if name in lines]
    assert {"variant", "curriculum", "seed", "image_id", "predicted", "prob_typical"} <= set(shared)
    for _, part in lines.groupby("share"):
        assert part[shared].to_numpy().tolist() == own[shared].to_numpy().tolist()
    counts = lines.groupby("share")[["n_labels", "n_fewest"]].first().to_numpy().tolist()
    assert counts == [["6", "2"], ["8", "2"]]


def test_shares_that_take_what_a_larger_one_takes_are_left_out(study, caplog):
    """Two patients of each class at least: of so few, a share and a larger one are all of them."""
    rows = {
        **{(0.01, 0): [1], (0.01, 1): [2], (0.1, 0): [1], (0.1, 1): [2]},
        **{(0.5, 0): [1, 3], (0.5, 1): [2, 3]},
        **dict.fromkeys([(0.9, 0), (0.9, 1), (1.0, 0)], [1, 2, 3]),
    }
    assert repeated(rows) == {0.9: 1.0, 0.01: 0.1}
    few = study.classifier("few", labels={"share": 0.5, "seed": 3, "draw": 0})
    lines = made(study, few, study.pointer)
    assert set(lines["share"]) == {"1.0"}
    assert "few_labels.shares: 0.5 is left out: it has the same images as 1" in caplog.text


@pytest.mark.parametrize("several", [False, True])
def test_of_the_rarest_patients_are_counted_and_not_images(several):
    """Row 4 is of the second patient, too; what is unknown counts not, nor who does not train."""
    alone = [0, 1, 0, 1, 1, 0]
    findings = [[1, 0], [0, 1], [1, -1], [1, 1], [0, 1], [1, 1]]
    rows = Rows(
        train=[0, 1, 2, 3, 4], validate=[], normalise=[], labels=findings if several else alone,
        patients=[0, 1, 2, 1, 1, 5], known=[], digest="",
    )  # fmt: skip
    data = {"findings" if several else "classes": ["a", "b"]}
    assert _fewest(rows, data) == 1


def test_a_training_with_another_list_of_images_is_refused(study):
    study.write_list(study.frame.assign(split="test"))
    with pytest.raises(InputError, match="another list of images|images.csv"):
        made(study, study.pointer)


def test_a_gpu_is_lent_for_each_training(study, lends):
    held = lends(module)
    out = study.folder / "few.csv"
    pack = study.folder / "full.json"
    named = NAMED | {"device": "cuda"}
    predict_few([study.pointer] * 2, pack, study.images, out, **named)
    assert held == [("cuda", 1), "given back"] * 2
