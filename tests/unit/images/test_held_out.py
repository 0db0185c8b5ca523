"""The images that models are tested on, as the list of images names them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.images.held_out import held_out, prediction_columns, read_images
from sscdl.images.vouched import describe_list

LIST = """image_id,patient_id,label,split,mask,sex,age
01,007,0,train,x,F,061
02,008,1,test,x,M,
03,009,None,val,x,,70
04,010,1,test,,F,50
05,011,,test,x,F,50
06,012,1,pretraining,x,F,50
07,013,1,unlisted,x,F,50
"""


def test_ids_and_classes_are_texts_whatever_they_look_like(tmp_path):
    (tmp_path / "images.csv").write_text(LIST)
    describe_list(tmp_path / "images.csv", split={}, source="")
    images = read_images(tmp_path / "images.csv")
    assert images["label"].tolist() == ["0", "1", "None", "1", "", "1", "1"]
    assert images["patient_id"][0] == "007"
    assert images["age"].tolist()[:2] == ["061", ""]
    tested = held_out(images, ["0", "1", "None"])
    assert tested["image_id"].tolist() == ["02", "03"], (
        "on a side, reported, labelled, and with lungs"
    )
    assert held_out(images, ["0", "None"])["image_id"].tolist() == ["03"]
    with pytest.raises(InputError, match="no labelled image"):
        held_out(images, ["0"])


def test_images_of_which_a_finding_is_known_are_tested_on():
    labels = {"a": "A|B?", "b": "B?", "c": "", "d": "-", "e": "A?|B?", "f": "C"}
    images = pd.DataFrame(
        {"image_id": labels.keys(), "label": labels.values(), "split": "test", "mask": "m"}
    )
    images.loc[5, "mask"] = ""
    tested = held_out(images, ["A", "B"], several=True)
    assert list(tested["image_id"]) == ["a", "b", "d"]
    assert list(held_out(images, ["B"], several=True)["image_id"]) == ["d"]
    with pytest.raises(InputError, match="no labelled image"):
        held_out(images[images["label"] == "A?|B?"], ["A", "B"], several=True)


def test_probabilities_of_rare_findings_keep_their_order():
    tested = pd.DataFrame(dict.fromkeys(("image_id", "patient_id", "split", "label"), ["a", "b"]))
    tested = tested.assign(view="", sex="", age="")
    chances = np.array([[1.23456789e-9, 0.5], [1.23456788e-9, 0.25]])
    found = prediction_columns(tested, chances, ["A", "B"], several=True)
    assert found["prob_A"].to_list() == [1.23456789e-9, 1.23456788e-9]
    assert prediction_columns(tested, chances, ["A", "B"])["prob_A"].to_list() == [0, 0]
