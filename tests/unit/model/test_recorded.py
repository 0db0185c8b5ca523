"""What an export takes from a study's predictions of findings: scores, thresholds, and whose."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from sscdl.errors import InputError
from sscdl.images.held_out import as_written
from sscdl.model import export, recorded
from sscdl.model.recorded import (
    check_made_by,
    choose_thresholds,
    read_predictions,
    scores_of_findings,
)
from sscdl.tables.operating_points import RULES
from tests.unit.made_up_findings import SHARES, made_up_findings

FINDINGS = list(SHARES)


@pytest.fixture
def file(tmp_path):
    """Return a file of one model's predictions of two splits; nobody shows the last finding."""
    parts = [made_up_findings("full", "moco", split=split) for split in ("val", "test")]
    pd.concat(parts).to_csv(tmp_path / "model.csv", index=False)
    return tmp_path / "model.csv"


def sides(rows: pd.DataFrame, finding: str) -> tuple[np.ndarray, np.ndarray]:
    """Return by reading labels anew which rows say something of a finding, and which show it."""
    parts = [set(str(label).split("|")) if label == label else None for label in rows["label"]]
    known = [part is not None and finding + "?" not in part for part in parts]
    return np.array(known), np.array([part is not None and finding in part for part in parts])


@pytest.mark.parametrize("rule", RULES)
def test_thresholds_are_the_best_among_validation_images_of_which_the_finding_is_known(file, rule):
    rows = read_predictions(file, FINDINGS)
    found = choose_thresholds(rows, FINDINGS, rule, "test")
    assert found["chosen_on"] == "val"
    assert found["rule"] == rule
    val = rows[rows["split"] == "val"]
    for name in FINDINGS[:3]:
        known, shown = sides(val, name)
        assert not known.all(), "nothing is unknown: the test is empty"
        assert found["images"][name] == [shown[known].sum(), (~shown[known]).sum()]
        scores, true = val[f"prob_{name}"].to_numpy()[known], shown[known]
        rates = {at: ((scores >= at)[true].mean(), (scores < at)[~true].mean()) for at in scores}
        sensitivity, specificity = rates[found["values"][name]]
        if rule == "Youden":
            assert sensitivity + specificity == pytest.approx(max(map(sum, rates.values())))
        elif rule.startswith("sensitivity"):
            assert specificity == max(pair[1] for pair in rates.values() if pair[0] >= 0.9)
        else:
            assert sensitivity == max(pair[0] for pair in rates.values() if pair[1] >= 0.9)
    assert found["values"]["Hernia"] is None
    assert found["images"]["Hernia"][0] == 0


def test_without_validation_images_the_reported_ones_choose_and_that_is_told(file, caplog):
    rows = read_predictions(file, FINDINGS)
    test = rows[rows["split"] == "test"]
    found = choose_thresholds(test, FINDINGS, "Youden", "test")
    assert found["chosen_on"] == "test"
    renamed = choose_thresholds(test.assign(split="val"), FINDINGS, "Youden", "test")
    assert found["values"] == renamed["values"]
    with caplog.at_level(logging.WARNING, logger="sscdl"):
        export._tell(found)
    assert "there are no validation images" in caplog.text
    assert "Hernia: has no threshold and will not be called: on test, 0 images" in caplog.text
    caplog.clear()
    export._tell(renamed | {"values": {"Edema": 0.5}})
    assert not caplog.text


def test_scores_are_mean_areas_of_what_can_be_told(file):
    found = scores_of_findings(read_predictions(file, FINDINGS))
    assert list(found) == ["test", "val"]
    rows = read_predictions(file, FINDINGS)
    rows = rows[rows["split"] == "test"]
    areas = {}
    for name in FINDINGS[:3]:
        known, shown = sides(rows, name)
        areas[name] = roc_auc_score(shown[known], rows.loc[known, f"prob_{name}"])
    expected = {**areas, "mean": np.mean(list(areas.values()))}
    assert found["test"]["auc"] == pytest.approx(expected, abs=1e-4)
    assert found["test"]["images"] == 120


def test_numbers_are_read_to_the_last_digit(file, tmp_path):
    written = float(as_written(np.array([0.1234567890126])).item())
    rows = pd.read_csv(file).assign(prob_Edema=written)
    rows.to_csv(tmp_path / "one.csv", index=False)
    assert (read_predictions(tmp_path / "one.csv", FINDINGS)["prob_Edema"] == written).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="prob_Mass"), "has no predictions of Edema, Effusion, Mass"),
        (lambda t: t.assign(prob_Mass="much"), "has no predictions of Edema, Effusion, Mass"),
        (lambda t: t.assign(prob_Mass=np.nan), "has no predictions of Edema, Effusion, Mass"),
        (lambda t: t.drop(columns="split"), "has no predictions of Edema, Effusion, Mass"),
        (lambda t: t.iloc[:0], "has no predictions of Edema, Effusion, Mass"),
    ],
)
def test_a_file_of_something_else_is_refused(file, change, message):
    change(pd.read_csv(file)).to_csv(file, index=False)
    with pytest.raises(InputError, match=message):
        read_predictions(file, FINDINGS)


class OneFinding:
    """A model of one rare finding, which says what its logits give."""

    classes, several = ["Hernia"], True

    def __init__(self, logits):
        self.logits = torch.tensor(logits)

    def __call__(self, pictures):
        return self.logits[pictures[:, 0, 0].long(), None].double().sigmoid(), None


def test_predictions_of_a_rare_finding_by_another_model_are_known(tmp_path, monkeypatch):
    logits = np.random.default_rng(0).normal(-10, 1, 20).astype(np.float32)
    pictures = np.arange(20, dtype=np.uint8)[:, None, None]
    ids = [f"i{number}" for number in range(20)]
    monkeypatch.setattr(recorded, "read_pack", lambda pack: (pictures, {"ids": ids}))
    chances, _ = OneFinding(logits)(torch.from_numpy(pictures))
    table = pd.DataFrame({"image_id": ids, "prob_Hernia": as_written(chances.numpy()[:, 0])})
    # Other processors round elsewhere.
    check_made_by(OneFinding(logits + np.float32(1e-4)), table, tmp_path, tmp_path)
    other = OneFinding(logits + np.float32(0.3))
    near, _ = other(torch.from_numpy(pictures))
    assert abs(near - chances).max() < 1e-3, "they are not alike: the test is empty"
    with pytest.raises(InputError, match="are not those of this model; .* and seed$"):
        check_made_by(other, table, tmp_path, tmp_path)
    with pytest.raises(InputError, match="are not those of this model"):
        check_made_by(OneFinding(logits), table.assign(image_id="other"), tmp_path, tmp_path)
