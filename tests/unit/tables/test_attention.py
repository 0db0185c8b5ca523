"""The table of attention: means and paired differences, recomputed by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.evaluation import measures
from sscdl.evaluation.differences import compare, compare_same
from sscdl.tables.attention import attention, beside_untrained, parted
from tests.unit.made_up import made_up, made_up_untrained


def looked(variant: str, curriculum: str, *, seed: int = 0, split: str = "test") -> pd.DataFrame:
    """Return predictions with every column about attention; a quarter of the images has boxes."""
    rows = made_up(variant, curriculum, seed=seed, split=split)
    rng = np.random.default_rng([seed, len(curriculum)])
    known = rng.random(len(rows))
    rows["ail"] = rows["lung_share"] + 0.1 + 0.2 * known
    rows["ail_contrast"] = rows["ail"] + 0.1 * rng.random(len(rows))
    for column in ("ail_centre", "ail_signed", "ail_stretched", "ail_of_negative"):
        rows[column] = rng.random(len(rows))
    rows["ail_of_typical"] = rows["ail"] / 2
    boxed = np.arange(len(rows)) % 4 == 0
    rows["box_share"] = np.where(boxed, 0.1, np.nan)
    rows["box_attention"] = np.where(boxed, 0.3 * known, np.nan)
    rows["box_hit"] = np.where(boxed, (known > 0.5).astype(float), np.nan)
    return rows


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    parts = [looked("full", "moco", seed=seed) for seed in range(3)]
    parts += [looked("lung_box", "moco+swav"), looked("full", "moco", split="val")]
    parts.append(made_up("metadata", "metadata:view"))
    for variant in ("full", "lung_box"):
        parts += [made_up_untrained(variant, split=split) for split in ("test", "val")]
    rows = pd.concat(parts, ignore_index=True)
    rows.loc[rows["variant"] == "lung_box", ["box_share", "box_attention", "box_hit"]] = np.nan
    return rows


def test_means_are_over_seeds_in_percent(predictions):
    table = attention(predictions, "test")
    assert table[["variant", "curriculum"]].to_numpy().tolist() == [
        ["full", "moco"], ["lung_box", "moco+swav"]
    ]  # fmt: skip
    line = table.iloc[0]
    rows, untrained = parted(predictions.query("variant == 'full' and split == 'test'"))
    for name, column in (
        *(("ail", "ail"), ("floor", "lung_share"), ("ail_centre", "ail_centre")),
        *(("ail_contrast", "ail_contrast"), ("ail_signed", "ail_signed")),
        *(("ail_stretched", "ail_stretched"), ("ail_of_negative", "ail_of_negative")),
        *(("ail_of_typical", "ail_of_typical"), ("box_attention", "box_attention")),
        *(("box_share", "box_share"), ("box_hit", "box_hit")),
    ):
        assert line[name] == pytest.approx(100 * rows[column].mean()), name
    assert line["ail_std"] == pytest.approx(100 * rows.groupby("seed")["ail"].mean().std())
    assert (line["n_images"], line["n_boxed"], line["undefined"]) == (80, 20, 0)
    assert line["lift"] == pytest.approx(line["ail"] - line["floor"])
    for column, lift in (("ail", "lift_random"), ("ail_contrast", "lift_contrast_random")):
        means = 100 * untrained.groupby("network")[column].mean()
        assert len(means) == 3
        assert line[f"{column}_random"] == pytest.approx(means.mean())
        assert line[f"{column}_random_std"] == pytest.approx(means.std())
        assert line[lift] == pytest.approx(line[column] - means.mean())
    assert line["lift_centre"] == pytest.approx(line["ail"] - line["ail_centre"])
    without = table.iloc[1]
    assert without["n_boxed"] == 0
    assert without[["box_attention", "box_share", "box_hit", "ail_std"]].isna().all()


def test_lifts_are_paired_over_patients(predictions):
    line = attention(predictions, "test").iloc[0]
    rows, untrained = parted(predictions.query("variant == 'full' and split == 'test'"))
    # The same difference by the other way round: two tables of the same patients.
    mean = measures.mean_of("ail")
    floor = compare_same(rows, rows.assign(ail=rows["lung_share"]), mean)
    random = compare(rows, untrained.assign(seed=untrained["network"]), mean)
    for lift, expected in (("lift", floor), ("lift_random", random)):
        found = line[[lift, f"{lift}_low", f"{lift}_high"]].astype(float).tolist()
        assert found == pytest.approx([100 * value for value in expected.interval()])
    # The lungs' share differs from image to image and is in both: it does not widen the interval.
    one = predictions[predictions["seed"].isna() | (predictions["seed"] == 1)]
    line = attention(one, "test").iloc[0]
    assert line["lift_high"] - line["lift_low"] < line["ail_high"] - line["ail_low"]


def test_maps_without_positive_values_count_nowhere(predictions):
    chosen = predictions.query("variant == 'full' and split == 'test'")
    rows, untrained = (part.copy() for part in parted(chosen))
    rows = rows[rows["seed"] == 0]
    blank = rows.index[:8]
    rows.loc[blank, ["ail", "ail_stretched", "box_attention", "box_hit"]] = np.nan
    rows.loc[blank, "lung_share"] = 0.9
    # One network has nothing to say of some images, and none of them of others.
    some, none = (rows["image_id"][begin : begin + 4] for begin in (8, 12))
    first = untrained["network"] == 0
    untrained.loc[untrained["image_id"].isin(some) & first, "ail"] = np.nan
    untrained.loc[untrained["image_id"].isin(none), "ail"] = np.nan
    line = attention(pd.concat([rows, untrained]), "test").iloc[0]
    left = rows.drop(index=blank)
    assert (line["n_images"], line["undefined"], line["n_boxed"]) == (80, 8, 18)
    assert line["floor"] == pytest.approx(100 * left["lung_share"].mean())
    assert line["lift"] == pytest.approx(100 * (left["ail"] - left["lung_share"]).mean())
    assert line["box_share"] == pytest.approx(10)
    both = left[~left["image_id"].isin(none)]
    random = untrained[untrained["image_id"].isin(both["image_id"])]
    means = random.groupby("network")["ail"].mean()
    assert line["lift_random"] == pytest.approx(100 * (both["ail"].mean() - means.mean()))
    means = random.groupby("network")["ail"].mean()
    assert line["ail_random"] == pytest.approx(100 * means.mean())
    assert set(random["image_id"]) == set(beside_untrained(rows, untrained, "ail")[0]["image_id"])


def test_a_model_whose_maps_are_all_blank_has_a_line_of_blanks(predictions):
    rows = predictions.query("variant == 'full' and split == 'test'")
    rows = rows.assign(ail=rows["ail"].where(rows["network"].notna()))
    line = attention(rows, "test").iloc[0]
    assert line["undefined"] == 240
    blank = ["ail", "ail_low", "lift", "lift_random_high", "ail_random", "floor"]
    assert line[blank].isna().all()
    assert np.isfinite(line["ail_contrast"])


def test_a_variant_without_untrained_networks_is_named(predictions):
    _, untrained = parted(predictions)
    rows = predictions.drop(index=untrained.index[untrained["variant"] == "lung_box"])
    with pytest.raises(InputError, match="no network of variant lung_box on split test"):
        attention(rows, "test")
    with pytest.raises(InputError, match="no network of variant full on split test"):
        attention(rows.drop(columns="network"), "test")


def test_a_split_without_image_models_is_refused(predictions):
    with pytest.raises(InputError, match="no image model has rows of split later"):
        attention(predictions, "later")
