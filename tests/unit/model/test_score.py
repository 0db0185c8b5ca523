"""A model's predictions on another data set, compared with its labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, roc_auc_score

from sscdl.errors import InputError
from sscdl.model.command import main
from sscdl.model.score import score


@pytest.fixture
def files(tmp_path):
    generator = np.random.default_rng(0)
    truth = generator.integers(2, size=40)
    chance = np.clip(truth * 0.3 + generator.random(40) * 0.7, 0, 1)
    predictions = pd.DataFrame(
        {
            "file": [f"a/{n}.dcm" for n in range(40)],
            "prob_negative": 1 - chance,
            "prob_typical": chance,
            "predicted": np.where(chance > 0.5, "typical", "negative"),
            "ail": generator.random(40),
            "lung_share": 0.3,
            "error": "",
        }
    )
    unread = pd.DataFrame({"file": ["broken.dcm"], "predicted": [""], "error": ["damaged"]})
    pd.concat([predictions, unread]).to_csv(tmp_path / "predictions.csv", index=False)
    labels = pd.DataFrame(
        {
            "file": [f"{n}.dcm" for n in range(40)],
            "label": np.array(["negative", "typical"])[truth],
            "patient": [f"p{n // 2}" for n in range(40)],
        }
    )
    labels.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path, predictions, labels


def test_scores_are_those_of_scikit_learn(files):
    folder, predictions, labels = files
    table = score(folder / "predictions.csv", folder / "labels.csv", folder / "scores")
    found = table.set_index("measure")["value"]
    truth, guess = labels["label"], predictions["predicted"]
    assert found["balanced_accuracy"] == pytest.approx(100 * balanced_accuracy_score(truth, guess))
    recalls = recall_score(truth, guess, average=None, labels=["negative", "typical"])
    assert found["accuracy_negative"] == pytest.approx(100 * recalls[0])
    assert found["accuracy_typical"] == pytest.approx(100 * recalls[1])
    assert found["auc"] == pytest.approx(
        roc_auc_score(truth == "typical", predictions["prob_typical"])
    )
    assert found["f1"] == pytest.approx(f1_score(truth, guess, average="macro"))
    assert found["ail"] == pytest.approx(100 * predictions["ail"].mean())
    assert found["ail_floor"] == pytest.approx(30)
    assert set(table["n_patients"]) == {20}
    limits = table.dropna().set_index("measure")
    assert limits.index.tolist() == ["balanced_accuracy", "auc", "f1", "ail"]
    assert (limits["low"] < limits["value"]).all()
    assert (limits["value"] < limits["high"]).all()
    assert pd.read_csv(folder / "scores.csv")["measure"].tolist() == table["measure"].tolist()


def test_tables_that_another_program_wrote_are_read(files):
    folder, _, _ = files
    score(folder / "predictions.csv", folder / "labels.csv", folder / "scores")
    for name in ("predictions", "labels"):
        table = pd.read_csv(folder / f"{name}.csv")
        table.to_csv(folder / f"{name}.csv", index=False, sep=";")
    score(folder / "predictions.csv", folder / "labels.csv", folder / "again")
    assert (folder / "again.csv").read_text() == (folder / "scores.csv").read_text()
    table = pd.read_csv(folder / "predictions.csv", sep=";")
    table.to_csv(folder / "predictions.csv", index=False, sep=";", decimal=",")
    with pytest.raises(InputError, match=r"column 'prob_negative' holds texts .* decimal point"):
        score(folder / "predictions.csv", folder / "labels.csv", folder / "third")


def test_an_image_without_a_patient_stands_for_itself(files):
    folder, _, labels = files
    labels.loc[::2, "patient"] = ""
    labels.to_csv(folder / "labels.csv", index=False)
    table = score(folder / "predictions.csv", folder / "labels.csv", folder / "scores")
    assert set(table["n_patients"]) == {40}


def test_images_without_a_label_are_left_out(files):
    folder, _, labels = files
    labels.loc[:9, "label"] = ""
    labels.iloc[:30].to_csv(folder / "labels.csv", index=False)
    table = score(folder / "predictions.csv", folder / "labels.csv", folder / "scores")
    assert set(table["n_images"]) == {20}


def test_a_score_of_one_class_is_no_accuracy(files):
    folder, predictions, labels = files
    chosen = labels["label"] == "typical"
    labels[chosen].to_csv(folder / "labels.csv", index=False)
    table = score(folder / "predictions.csv", folder / "labels.csv", folder / "scores")
    assert table["measure"].tolist() == ["accuracy_typical", "ail", "ail_floor"]
    right = (predictions.loc[chosen, "predicted"] == "typical").mean()
    assert table["value"][0] == pytest.approx(100 * right)
    assert "a score of one class is no accuracy" in (folder / "scores.md").read_text()


def test_a_labelled_image_that_was_not_read_is_told(files, caplog):
    folder, _, labels = files
    extra = pd.DataFrame({"file": ["broken.dcm"], "label": ["typical"], "patient": [""]})
    pd.concat([labels, extra]).to_csv(folder / "labels.csv", index=False)
    names = [str(folder / name) for name in ("predictions.csv", "labels.csv", "out/scores")]
    assert main(["score", *names]) == 1
    assert "broken.dcm: is labelled, and has no prediction" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.rename(columns={"label": "class"}),
            "column 'label' is missing; the nearest of 3 there is 'file'",
        ),
        (lambda t: t.assign(label="covid"), "labels covid are no .* knows negative, typical"),
        (
            lambda t: t.replace({"label": {"typical": "Typical"}}),
            r"labels Typical are no .* knows negative, typical \(labels there: Typical, negative\)",
        ),
        (lambda t: pd.concat([t, t.iloc[:1]]), "line 42: 0.dcm is there twice"),
        (lambda t: t.iloc[:0], "no image with a prediction has a label"),
    ],
)
def test_labels_that_do_not_fit_are_named(files, change, message):
    folder, _, labels = files
    change(labels).to_csv(folder / "labels.csv", index=False)
    with pytest.raises(InputError, match=message):
        score(folder / "predictions.csv", folder / "labels.csv", folder / "scores")


def test_a_row_that_fits_several_images_is_no_label_of_any(files):
    folder, predictions, labels = files
    two = predictions.iloc[:1].assign(file="b/0.dcm")
    pd.concat([predictions, two]).to_csv(folder / "predictions.csv", index=False)
    table = score(folder / "predictions.csv", folder / "labels.csv", folder / "scores")
    assert set(table["n_images"]) == {39}
    labels.replace("0.dcm", "/data/a/0.dcm").to_csv(folder / "labels.csv", index=False)
    table = score(folder / "predictions.csv", folder / "labels.csv", folder / "scores")
    assert set(table["n_images"]) == {40}, "with its folder the row fits one image alone"


def test_the_command_prints_the_table(files, capsys):
    folder = files[0]
    names = [str(folder / name) for name in ("predictions.csv", "labels.csv", "out/scores")]
    assert main(["score", *names]) == 0
    assert "balanced_accuracy" in capsys.readouterr().out
