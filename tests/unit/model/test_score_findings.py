"""A model of findings on another data set, compared with what is known of each finding."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sscdl.errors import InputError
from sscdl.model.command import main
from sscdl.model.score import score

FINDINGS = ["Effusion", "Edema", "Hernia"]  # in the order of the model


@pytest.fixture
def files(tmp_path):
    """Return a folder with predictions and labels of 60 images, and both as tables."""
    draw = np.random.default_rng(0)
    shown = draw.random((60, 3)) < [0.5, 0.3, 0.0]
    chance = np.clip(0.3 * shown + 0.7 * draw.random((60, 3)), 0, 1)
    predictions = pd.DataFrame({"file": [f"a/{n}.dcm" for n in range(60)]})
    labels = pd.DataFrame({"file": [f"{n}.dcm" for n in range(60)]})
    labels["patient"] = [f"p{n // 2}" for n in range(60)]
    known = draw.random((60, 3)) < 0.8
    for place, name in enumerate(FINDINGS):
        predictions[f"prob_{name}"] = chance[:, place]
        labels[name] = np.where(known[:, place], shown[:, place].astype(int).astype(str), "")
    for place, name in enumerate(FINDINGS):
        called = chance[:, place] >= 0.5
        predictions[f"called_{name}"] = "" if name == "Edema" else called.astype(int).astype(str)
    predictions["error"] = ""
    unread = pd.DataFrame({"file": ["broken.dcm"], "error": ["damaged"]})
    pd.concat([predictions, unread]).to_csv(tmp_path / "predictions.csv", index=False)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path, predictions, labels


def scored(folder):
    table = score(folder / "predictions.csv", folder / "labels.csv", folder / "out/scores")
    return table.set_index("finding")


def test_scores_are_those_of_scikit_learn_on_what_is_known(files):
    folder, predictions, labels = files
    table = scored(folder)
    assert list(table.index) == ["mean", *FINDINGS]
    for name in FINDINGS[:2]:
        known = labels[name] != ""
        true, chance = labels.loc[known, name] == "1", predictions.loc[known, f"prob_{name}"]
        assert table.loc[name, "auc"] == pytest.approx(roc_auc_score(true, chance))
        assert table.loc[name, "average_precision"] == pytest.approx(
            average_precision_score(true, chance)
        )
        assert table.loc[name, "n_images"] == known.sum()
        assert table.loc[name, "n_positive"] == true.sum()
        assert table.loc[name, "n_patients"] == labels.loc[known, "patient"].nunique()
        assert table.loc[name, "auc_low"] < table.loc[name, "auc"] < table.loc[name, "auc_high"]
    assert table.loc["mean", "auc"] == pytest.approx(table.loc[FINDINGS[:2], "auc"].mean())
    again = pd.read_csv(folder / "out/scores.csv")
    assert again["auc"].to_numpy() == pytest.approx(table["auc"].to_numpy(), nan_ok=True)


def test_calls_are_counted_on_either_side(files, caplog):
    folder, predictions, labels = files
    table = scored(folder)
    called = predictions["called_Effusion"] == "1"
    for measure, side, right in (("sensitivity", "1", called), ("specificity", "0", ~called)):
        expected = 100 * right[labels["Effusion"] == side].mean()
        low, high = table.loc["Effusion", [f"{measure}_low", f"{measure}_high"]]
        assert table.loc["Effusion", measure] == pytest.approx(expected)
        assert low < expected < high
    # Nobody shows it: what it costs those who do not have it is known all the same.
    assert pd.isna(table.loc["Hernia", ["auc", "average_precision", "sensitivity"]]).all()
    silent = predictions["called_Hernia"] == "0"
    assert table.loc["Hernia", "specificity"] == pytest.approx(
        100 * silent[labels["Hernia"] == "0"].mean()
    )
    assert "Hernia: fewer than two patients show it, or do not" in caplog.text
    # No threshold, no calls.
    assert pd.isna(table.loc["Edema", ["sensitivity", "specificity", "specificity_low"]]).all()
    assert pd.isna(table.loc["mean", ["sensitivity", "specificity"]]).all()


def test_tables_that_another_program_wrote_are_read(files):
    folder, predictions, labels = files
    expected = scored(folder)
    # As pandas writes whole numbers where some are missing.
    for name in ("predictions", "labels"):
        pd.read_csv(folder / f"{name}.csv").to_csv(folder / f"{name}.csv", index=False, sep=";")
    assert "1.0" in (folder / "labels.csv").read_text()
    pd.testing.assert_frame_equal(scored(folder), expected)


def test_columns_that_do_not_fit_are_named(files, caplog):
    folder, _, labels = files
    labels.drop(columns="Edema").assign(Fracture="1").to_csv(folder / "labels.csv", index=False)
    with caplog.at_level("INFO", logger="sscdl"):
        table = scored(folder)
    assert list(table.index) == ["mean", "Effusion", "Hernia"]
    assert "Edema: has no column in labels.csv and is not scored" in caplog.text
    assert "labels.csv: no findings of the model: Fracture" in caplog.text


def test_an_image_of_which_nothing_is_known_does_not_count(files, caplog):
    folder, _, labels = files
    labels.loc[:9, FINDINGS] = ""
    labels.to_csv(folder / "labels.csv", index=False)
    with caplog.at_level("INFO", logger="sscdl"):
        scored(folder)
    silent = (labels[FINDINGS] == "").all(axis=1).sum()
    assert f"{60 - silent} images scored; {silent} with a prediction but no label" in caplog.text


def test_a_labelled_image_that_was_not_read_is_told(files, capsys, caplog):
    folder, _, labels = files
    extra = pd.DataFrame({"file": ["broken.dcm"], "patient": [""], "Edema": ["1"]})
    pd.concat([labels, extra]).to_csv(folder / "labels.csv", index=False)
    names = [str(folder / name) for name in ("predictions.csv", "labels.csv", "out/scores")]
    assert main(["score", *names]) == 1
    assert "broken.dcm: is labelled, and has no prediction" in caplog.text
    assert "average_precision" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.replace({"Edema": {"1": "-1"}}),
            r"labels.csv, line \d+, column Edema: '-1' is neither 1 \(shown\) nor 0 .* not known",
        ),
        (lambda t: t.replace({"Edema": {"0": "no"}}), "column Edema: 'no' is neither"),
        (
            lambda t: t.drop(columns=FINDINGS).assign(label="Edema"),
            r"has a column for none of the model's findings, Effusion, Edema, Hernia "
            r"\(columns there: file, patient, label\)",
        ),
        (lambda t: t.drop(columns="patient"), "column 'patient' is missing"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "line 62: 0.dcm is there twice"),
        (lambda t: t.iloc[:0], "no image with a prediction has a label"),
    ],
)
def test_labels_that_do_not_fit_are_named(files, change, message):
    folder, _, labels = files
    change(labels).to_csv(folder / "labels.csv", index=False)
    with pytest.raises(InputError, match=message):
        scored(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(called_Edema="yes"), "column 'called_Edema' holds what is neither 1"),
        (lambda t: t.assign(prob_Edema="x"), "column 'prob_Edema' holds texts that are no numbers"),
        (lambda t: t.drop(columns="prob_Edema"), "column 'prob_Edema' is missing"),
        (lambda t: t.drop(columns=[f"called_{n}" for n in FINDINGS]), "'predicted' is missing"),
    ],
)
def test_predictions_that_are_none_of_findings_are_named(files, change, message):
    folder, predictions, _ = files
    change(predictions).to_csv(folder / "predictions.csv", index=False)
    with pytest.raises(InputError, match=message):
        scored(folder)
