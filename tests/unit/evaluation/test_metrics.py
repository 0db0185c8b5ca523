"""Confusion matrices and chance against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from sscdl.errors import InputError
from sscdl.evaluation import measures, metrics
from tests.unit.evaluation.made_up_scores import CLASSES, made_up


@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES])
def test_confusion_and_recall_agree_with_scikit_learn(classes):
    table = made_up(300, classes)
    true, guess = table["label"], table["predicted"]
    matrix = metrics.confusion_matrix(true, guess, classes)
    assert (matrix == reference.confusion_matrix(true, guess, labels=classes)).all()
    recall = reference.recall_score(true, guess, labels=classes, average=None)
    assert metrics.per_class_accuracy(matrix) == pytest.approx(recall)
    rare = table[table["label"] != classes[-1]]
    lost = metrics.confusion_matrix(rare["label"], rare["predicted"], classes)
    assert np.isnan(metrics.per_class_accuracy(lost)[-1]), "a class without images has no recall"


def test_guessing_among_three_is_right_once_in_three_where_two_occur():
    """Also where a class of the model has no image, it can be guessed."""
    classes = CLASSES[:3]
    table = made_up(6000, classes)
    assert metrics.chance(table) == pytest.approx(1 / 3)
    table = table[table["label"].isin(classes[:2])].copy()
    table["predicted"] = np.random.default_rng(0).choice(classes, size=len(table))
    guessed = measures.value(table, measures.balanced_accuracy)
    assert metrics.chance(table) == pytest.approx(1 / 3)
    assert guessed == pytest.approx(metrics.chance(table), abs=0.02)
    assert np.isnan(metrics.chance(table[["label", "predicted"]]))


def test_columns_of_another_tables_classes_are_none_of_this_ones():
    tables = [made_up(20, CLASSES[:2]), made_up(20, CLASSES[:3])]
    joined = pd.concat([table.assign(study=k) for k, table in enumerate(tables)])
    assert metrics.class_names(joined[joined["study"] == 0]) == CLASSES[:2]
    assert metrics.class_names(joined) == CLASSES[:3]


def test_unlabelled_rows_are_left_out():
    table = made_up(100, CLASSES[:2])
    table.loc[:29, "label"] = ""
    table.loc[30:39, "label"] = None
    assert metrics.labelled(table).index.tolist() == list(range(40, 100))


def test_prediction_outside_the_classes_is_refused():
    with pytest.raises(InputError, match="predicted class"):
        metrics.confusion_matrix(["negative"], ["other"], CLASSES)
    table = made_up(10, CLASSES[:2])
    table.loc[3, "predicted"] = "other"
    for measure in (measures.balanced_accuracy, measures.macro_f1):
        with pytest.raises(InputError, match="predicted class"):
            measures.value(table, measure)
