"""Predictions of the trainings of a model by their number of labels."""

from __future__ import annotations

import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.evaluation import few_labels as module
from sscdl.evaluation.few_labels import predict_few
from tests.unit.evaluation.test_predict import NAMED, Study


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def made(study, *pointers) -> pd.DataFrame:
    out = study.folder / "few.csv"
    predict_few(pointers, study.folder / "full.json", study.images, out, **NAMED)
    return pd.read_csv(out, dtype=str, keep_default_na=False)


def test_each_training_predicts_what_it_does_by_itself(study):
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
    # Four patients train: of one of the classes two, of the others one each.
    assert set(lines["n_labels"]) == {"4"}
    assert set(lines["n_fewest"]) == {"1"}


def test_a_training_with_another_list_of_images_is_refused(study):
    study.write_list(study.frame.assign(split="test"))
    with pytest.raises(InputError, match="another list of images|images.csv"):
        made(study, study.pointer)


def test_a_gpu_is_lent_once(study, lends):
    held = lends(module)
    out = study.folder / "few.csv"
    pack = study.folder / "full.json"
    named = NAMED | {"device": "cuda"}
    predict_few([study.pointer] * 2, pack, study.images, out, **named)
    assert held == [("cuda", 1), "given back"]
