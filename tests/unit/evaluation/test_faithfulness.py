"""Deletion and insertion curves of models whose needs are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from sscdl.errors import InputError
from sscdl.evaluation import faithfulness
from sscdl.evaluation.classifier import Classifier
from sscdl.evaluation.faithfulness import (
    MOST,
    STEPS,
    area,
    blurred,
    curves,
    orders,
    sampled,
    write_faithfulness,
)  # fmt: skip
from tests.unit.evaluation.test_predict import CLASSES, NAMED, Study

SIZE = 32


class Spot:
    """A model whose probability of class 1 is how much of a bright spot is still there."""

    place = (slice(4, 12), slice(20, 28))

    def explain(self, images):
        bright = images[:, *self.place].float().mean(dim=(1, 2)) / 255
        return torch.stack([1 - bright, bright], dim=1), None


def picture() -> torch.Tensor:
    image = torch.zeros(SIZE, SIZE, dtype=torch.uint8)
    image[Spot.place] = 255
    return image


def test_an_order_that_begins_where_the_model_looks_is_found_at_once():
    good = torch.zeros(SIZE, SIZE)
    good[Spot.place] = 1.0
    found = {name: curves(Spot(), picture(), order, 1) for name, order in
             (("good", good), ("bad", -good), ("flat", torch.zeros(SIZE, SIZE)))}  # fmt: skip
    # The spot is a sixteenth of the picture: the first step.
    deletion, insertion = found["good"]
    assert len(deletion) == len(insertion) == STEPS + 1
    soft = float(blurred(picture().float()[None])[0][Spot.place].round().mean() / 255)
    assert deletion.tolist() == pytest.approx([1.0] + [soft] * STEPS, abs=1e-6)
    assert insertion.tolist() == pytest.approx([soft] + [1.0] * STEPS, abs=1e-6)
    deletion, insertion = found["bad"]
    assert deletion.tolist() == pytest.approx([1.0] * STEPS + [soft], abs=1e-6)
    assert insertion.tolist() == pytest.approx([soft] * STEPS + [1.0], abs=1e-6)
    areas = {name: [area(curve) for curve in two] for name, two in found.items()}
    assert areas["good"][0] < areas["flat"][0] < areas["bad"][0]
    assert areas["good"][1] > areas["flat"][1] > areas["bad"][1]
    # Of the other class, whose probability is the rest, everything is the other way round.
    other = [area(curve) for curve in curves(Spot(), picture(), good, 0)]
    assert other == pytest.approx([1 - each for each in areas["good"]], abs=1e-6)


def test_the_area_is_that_of_trapezoids():
    assert area(torch.tensor([1.0, 0.0])) == 0.5
    assert area(torch.tensor([1.0, 1.0, 0.0])) == 0.75
    assert area(torch.full((17,), 0.3)) == pytest.approx(0.3)


def test_blurring_keeps_gray_levels_and_has_no_edge():
    flat = torch.full((2, SIZE, SIZE), 77.0)
    torch.testing.assert_close(blurred(flat), flat)
    soft = blurred(picture().float()[None])[0]
    assert float(soft.max()) < 160
    assert float((soft[:, 1:] - soft[:, :-1]).abs().max()) < 30
    generator = torch.Generator().manual_seed(2)
    noise = 255 * torch.rand(1, SIZE, SIZE, generator=generator)
    assert float(blurred(noise).mean()) == pytest.approx(float(noise.mean()), abs=3)


def test_orders_are_those_of_the_maps_and_the_random_one_of_the_image():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 8, 8, generator=generator)
    found = orders(maps, torch.tensor([1, 2]), ["x", "y"], SIZE)
    assert list(found) == ["map", "contrast", "centre", "random"]
    assert {order.shape for order in found.values()} == {(2, SIZE, SIZE)}
    raised = orders(maps + torch.rand(1, 1, 8, 8, generator=generator), torch.tensor([1, 2]),
                    ["x", "z"], SIZE)  # fmt: skip
    torch.testing.assert_close(raised["contrast"], found["contrast"])
    assert not torch.allclose(raised["map"], found["map"])
    assert torch.equal(raised["random"][0], found["random"][0])
    assert not torch.equal(raised["random"][1], found["random"][1])
    assert float(found["centre"][0].flatten().argmax()) in (15 * 32 + 15, 15 * 32 + 16,
                                                            16 * 32 + 15, 16 * 32 + 16)  # fmt: skip


def test_every_model_is_tried_on_the_same_few_images():
    frame = pd.DataFrame({"image_id": [f"i{row}" for row in range(1000)]})
    few = sampled(frame)
    assert len(few) == MOST
    assert few.index.is_monotonic_increasing
    shuffled = sampled(frame.sample(frac=1, random_state=1).reset_index(drop=True))
    assert set(shuffled["image_id"]) == set(few["image_id"])
    assert len(sampled(frame.head(7))) == 7
    # More images displace some, but those that stay are not drawn anew.
    kept = set(sampled(frame.head(900))["image_id"])
    assert len(kept & set(few["image_id"])) > 150


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def write(study, **more):
    out = study.folder / "curves.csv"
    given = {**NAMED, "split": "test", **more}
    write_faithfulness(study.pointer, study.folder / "full.json", study.images, out, **given)
    return pd.read_csv(out)


def test_each_image_has_the_areas_of_every_order(study, lends):
    held = lends(faithfulness)
    found = write(study, device="cuda")
    assert held == [("cuda", 1), "given back"]
    assert list(found.columns) == [
        "variant", "curriculum", "seed", "image_id", "patient_id", "split", "label", "predicted",
        "order", "deletion", "insertion",
    ]  # fmt: skip
    tested = study.frame[study.frame["split"] == "test"]
    assert found["image_id"].tolist() == [i for i in tested["image_id"] for _ in range(4)]
    assert found["order"].tolist() == ["map", "contrast", "centre", "random"] * len(tested)
    assert found[["deletion", "insertion"]].stack().between(0, 1).all()
    model = Classifier(study.pointer, torch.device("cpu"))
    row = tested.index[1]
    image = torch.from_numpy(study.arrays["full"][[row]])
    chances, maps = model.explain(image)
    chosen = chances.argmax(dim=1)
    own = found[found["image_id"] == f"i{row:02}"].set_index("order")
    assert own["predicted"].unique().tolist() == [CLASSES[int(chosen)]]
    for order, values in orders(maps, chosen, [f"i{row:02}"], image.shape[-1]).items():
        areas = [area(curve) for curve in curves(model, image[0], values[0], int(chosen))]
        np.testing.assert_allclose(own.loc[order, ["deletion", "insertion"]].astype(float), areas,
                                   atol=1e-3)  # fmt: skip


def test_another_list_of_images_is_refused(study):
    frame = pd.read_csv(study.images, dtype=str, keep_default_na=False)
    frame.loc[0, "split"] = "test"
    study.write_list(frame)
    with pytest.raises(InputError, match="test images may be among those"):
        write(study)
