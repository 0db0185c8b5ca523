"""The metadata baseline: what it is fitted on, how it encodes, what its table looks like."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.evaluation import measures
from sscdl.evaluation.baselines import metadata_predictions, write_metadata_predictions
from sscdl.images.rows import select_rows
from sscdl.images.vouched import describe_list
from sscdl.tables.write import read_predictions

CLASSES = ["negative", "typical"]


def made_up_images(rows: int = 400) -> pd.DataFrame:
    """Return images whose view tells the label in 80 % of the cases and age a little."""
    generator = np.random.default_rng(0)
    typical = generator.random(rows) < 0.3
    pa = np.where(generator.random(rows) < 0.8, typical, ~typical)
    return pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(rows)],
            "patient_id": [f"p{i}" for i in range(rows)],
            "split": np.where(np.arange(rows) % 4 == 0, "test", "train"),
            "label": np.where(typical, "typical", "negative"),
            "view": np.where(pa, "PA", "AP"),
            "sex": generator.choice(["F", "M", ""], size=rows),
            "age": np.where(generator.random(rows) < 0.1, np.nan, 40 + 8 * typical + rows % 7),
        }
    )


def test_predicts_the_other_splits_and_finds_the_confounder():
    images = made_up_images()
    table = metadata_predictions(images, CLASSES, features=["view"], seed=3)
    assert len(table) == 100
    assert set(table["split"]) == {"test"}
    assert set(table["curriculum"]) == {"metadata:view"}
    assert set(table["variant"]) == {"metadata"}
    assert set(table["seed"]) == {3}
    assert (table["prob_negative"] + table["prob_typical"]).to_numpy() == pytest.approx(1)
    assert (table["predicted"] == np.where(table["view"] == "PA", "typical", "negative")).all()
    assert measures.value(table, measures.balanced_accuracy) > 0.7
    assert table["ail"].isna().all()


def test_a_rare_class_weighs_as_much_as_a_common_one():
    view = ["PA"] * 12 + ["AP"] * 8 + ["PA"] * 72 + ["AP"] * 108
    train = pd.DataFrame({"label": ["typical"] * 20 + ["negative"] * 180, "view": view})
    images = pd.concat([train.assign(split="train"), train.assign(split="test")])
    images["image_id"] = images["patient_id"] = [f"i{i}" for i in range(400)]
    table = metadata_predictions(images, CLASSES, features=["view"], seed=0)
    # Typical is likelier among PA, though still rare there: weighted by counts it would never win.
    assert (table["predicted"] == np.where(table["view"] == "PA", "typical", "negative")).all()


def test_test_labels_and_unlabelled_rows_have_no_influence():
    images = made_up_images()
    features = ["view", "sex", "age"]
    before = metadata_predictions(images, CLASSES, features=features, seed=0)
    changed = images.copy()
    changed.loc[changed["split"] == "test", "label"] = "negative"
    extra = images[images["split"] == "train"].head(50).assign(label="", view="PA")
    after = metadata_predictions(
        pd.concat([changed, extra], ignore_index=True), CLASSES, features=features, seed=0
    )
    assert after["prob_typical"].to_numpy() == pytest.approx(before["prob_typical"].to_numpy())
    assert after["curriculum"].iloc[0] == "metadata:view+sex+age"


def test_missing_and_unseen_values_are_encoded():
    images = made_up_images()
    images.loc[images["split"] == "test", "view"] = "LL"
    images.loc[images.index[images["split"] == "test"][0], "view"] = None
    table = metadata_predictions(images, CLASSES, features=["view"], seed=0)
    assert table["prob_typical"].notna().all()
    assert table["view"].iloc[0] == ""


def test_missing_age_is_not_the_same_as_mean_age():
    images = made_up_images()
    train = images["split"] == "train"
    images["age"] = np.where(images["label"] == "typical", np.nan, 50.0)
    images.loc[~train, "age"] = [np.nan, 50.0] * 50
    table = metadata_predictions(images, CLASSES, features=["age"], seed=0)
    assert table["predicted"].tolist() == ["typical", "negative"] * 50


def test_a_class_without_training_images_gets_no_probability():
    images = made_up_images()
    table = metadata_predictions(images, [*CLASSES, "atypical"], features=["view"], seed=0)
    assert (table["prob_atypical"] == 0).all()


def test_no_other_split_gives_an_empty_table():
    images = made_up_images().assign(split="train")
    table = metadata_predictions(images, CLASSES, features=["view"], seed=0)
    assert table.empty
    assert "prob_typical" in table


@pytest.mark.parametrize("classes", [CLASSES, ["0", "1"], ["01", "02"], ["None", "True"]])
@pytest.mark.parametrize("share", [1, 0.1])
def test_it_learns_from_the_images_that_models_learn_from(tmp_path, classes, share):
    images = made_up_images().replace({"label": dict(zip(CLASSES, classes, strict=True))})
    images["cohort"], images["mask"] = "main", "mask.png"
    images.loc[3, "mask"] = images.loc[7, "label"] = ""
    images.to_csv(tmp_path / "images.csv", index=False)
    describe_list(tmp_path / "images.csv", split={}, source="")
    data = {"train": "train", "validate": "val", "normalise": "train", "masked": False}
    data["classes"] = classes
    if share < 1:
        data["labels"] = {"share": share, "seed": 0}
    write_metadata_predictions(tmp_path / "images.csv", tmp_path / "metadata.csv", data=data)
    table = read_predictions([tmp_path / "metadata.csv"])
    assert set(table["label"]) == set(table["predicted"]) == set(classes)
    kept = images[(images["mask"] != "") & (images["label"] != "")]
    described = {"ids": list(kept["image_id"]), "sha256": ""}
    data["validate"] = None
    chosen = select_rows(tmp_path / "images.csv", described, data).train
    assert len(chosen) == pytest.approx(share * (kept["split"] == "train").sum(), abs=2)
    both = pd.concat([kept.iloc[chosen], kept[kept["split"] == "test"]])
    expected = metadata_predictions(both, classes, features=["view"], seed=0)
    found = table[table["curriculum"] == "metadata:view"]
    column = f"prob_{classes[0]}"
    assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy())


def test_bad_input_is_explained():
    images = made_up_images()
    with pytest.raises(InputError, match="features"):
        metadata_predictions(images, CLASSES, features=["hospital"], seed=0)
    with pytest.raises(InputError, match="age"):
        metadata_predictions(images.drop(columns="age"), CLASSES, features=["age"], seed=0)
    with pytest.raises(InputError, match="number of years"):
        metadata_predictions(images.assign(age="046Y"), CLASSES, features=["age"], seed=0)
    with pytest.raises(InputError, match="fewer than two"):
        metadata_predictions(images.assign(label="typical"), CLASSES, features=["view"], seed=0)
