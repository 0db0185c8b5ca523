"""Where models look: what is drawn of which image, and under which words."""

from __future__ import annotations

import hashlib

import cv2
import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from sscdl.errors import InputError
from sscdl.figures import attention, charts, drawing
from sscdl.files import write_json
from tests.unit.figures.looks import inside, picture, texts


def told(figure, axes) -> list[tuple[str, str]]:
    """Return the texts, with their colours, that stand just above an axes' picture."""
    box = axes.get_position()
    return [
        (text.get_text(), to_hex(text.get_color()).upper())
        for text in figure.texts
        if abs(text.get_position()[0] - (box.x0 + box.x1) / 2) < 1e-6
        and 0 <= text.get_position()[1] - box.y1 < 0.02
    ]


def test_attention_panel_has_a_row_a_model_and_marks_errors():
    image, mask = picture()
    cam = np.zeros(image.shape)
    cam[10, 6], cam[20, 22] = 2.0, 1.0
    items = [
        attention.AttentionItem(image, cam - 0.5, mask, 0.423, "typical", "typical"),
        attention.AttentionItem(image, cam, mask, 0.1, "typical", "negative"),
        attention.AttentionItem(image, cam * 0, None, float("nan"), "typical", ""),
    ]
    figure = attention.attention_panel({"moco\nfull": items, "swav\nfull": items})
    right, wrong, blank = figure.axes[:3]
    assert told(figure, right) == [("typical, AIL 42 %", charts.BLACK)]
    assert told(figure, wrong) == [("typical, AIL 10 %", charts.VERMILION)]
    assert told(figure, blank) == [("typical, AIL undefined", charts.BLACK)]
    assert texts(figure)[:3] == ["true typical", "true negative", "true unknown"]
    assert sum(text in ("moco\nfull", "swav\nfull") for text in texts(figure)) == 2
    assert len(figure.axes) == 7  # the colour bar is the last
    assert (len(right.collections), len(blank.collections)) == (1, 0)
    heat, alpha = right.images[1].get_array(), right.images[1].get_alpha()
    assert (heat.min(), heat.max()) == (0, 1)
    assert np.argmax(heat) == np.argmax(cam)
    # The anatomy is seen even under the strongest attention, and more of it under weaker.
    assert alpha.max() < 0.7
    np.testing.assert_allclose(alpha / alpha.max(), heat)
    assert inside(figure)
    with pytest.raises(InputError, match="no images"):
        attention.attention_panel({"moco": []})


@pytest.mark.parametrize(("models", "images"), [(1, 1), (8, 4), (12, 8)])
def test_pictures_of_a_panel_are_square_and_leave_no_strip_blank(models, images, tmp_path):
    image, mask = picture()
    item = attention.AttentionItem(
        image, image.astype(float), mask, 0.5, "indeterminate", "typical"
    )
    names = [f"relloc+rotation+moco\nsegmented_black{n}" for n in range(models)]
    figure = attention.attention_panel({name: [item] * images for name in names})
    width, height = figure.get_size_inches()
    assert width <= charts.PAGE_WIDTH + 0.01
    assert height < 0.6 + models * 1.5
    for axes in figure.axes[:-1]:
        box = axes.get_position()
        assert box.width * width == pytest.approx(box.height * height)
    charts.write_figure(figure, tmp_path / "panel.png", dpi=50)
    filled = (matplotlib.image.imread(tmp_path / "panel.png")[..., :3] < 0.9).any(axis=(1, 2))
    blank = np.diff(np.flatnonzero(np.concatenate([[True], filled, [True]])))
    assert blank.max() < 0.3 * 50
    assert inside(figure)


def test_class_maps_share_the_scale_of_their_image():
    image, mask = picture()
    cams = np.zeros((2, *image.shape))
    cams[0, 10, 6], cams[1, 20, 22], cams[1, 0, 0] = 1.0, 4.0, -9.0
    classes = ["negative", "typical"]
    given = [
        ("typical", "typical", [0.423, float("nan")]),
        ("typical", "negative", [0.5, 0.25]),
        ("negative", "", [0.5, 0.25]),
    ]
    items = [
        attention.ClassMapsItem(image, cams, mask, ails, [0.25, 0.75], predicted, label)
        for predicted, label, ails in given
    ]
    figure = attention.class_maps_panel({"moco\nfull": items}, classes)
    assert len(figure.axes) == 7
    right, wrong, unknown = (figure.axes[place : place + 2] for place in (0, 2, 4))
    above = [told(figure, axes) for axes in (*right, *wrong, *unknown)]
    assert [one[-1] for one in above[:2]] == [
        ("p 0.25, AIL 42 %", charts.BLACK), ("→ p 0.75, AIL undefined", charts.BLACK)
    ]  # fmt: skip
    assert [one[-1][1] for one in above] == [charts.BLACK] * 3 + [charts.VERMILION] + [
        charts.BLACK
    ] * 2
    found = texts(figure)
    assert found[0] == "moco, full"
    for name in (*classes, "true typical", "true negative", "true unknown"):
        assert found.count(name) == 1
    first, second = (axes.images[1].get_array() for axes in right)
    assert (first.max(), second.max()) == (0.25, 1)
    assert first.min() == second.min() == 0
    assert inside(figure)
    with pytest.raises(InputError, match="no images"):
        attention.class_maps_panel({}, classes)


@pytest.mark.parametrize(("models", "beside"), [(1, 1), (2, 2), (3, 1), (4, 2)])
def test_models_stand_beside_each_other_as_far_as_there_is_room(models, beside):
    image, mask = picture()
    cams = np.ones((2, *image.shape))
    item = attention.ClassMapsItem(image, cams, mask, [0.5, 0.5], [0.4, 0.6], "b", "a")
    figure = attention.class_maps_panel({f"m{n}": [item] * 3 for n in range(models)}, ["a", "b"])
    boxes = [axes.get_position() for axes in figure.axes[:-1]]
    assert len(boxes) == models * 3 * 2
    assert len({round(box.x0, 6) for box in boxes}) == 2 * beside
    assert len({round(box.y0, 6) for box in boxes}) == 3 * models // beside
    assert inside(figure)


def test_class_maps_are_drawn_from_files_model_by_model(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    variants = ["full", "black"]
    ids, classes = ["i0", "i1", "i2"], ["negative", "typical"]
    arrays = rng.integers(0, 255, (3, 24, 24)).astype(np.uint8)
    lungs = np.zeros(arrays.shape, np.uint8)
    lungs[:, 4:20, 3:10] = 255
    for name, array in (("full", arrays), ("black", arrays // 2), ("lungs", lungs)):
        np.save(tmp_path / f"{name}.npy", array)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        write_json(tmp_path / f"{name}.json", {
            "ids": ids, "crops": None, "sha256": digest, "size": 1, "sums": [], "squares": [],
        })  # fmt: skip
    models, stored = [], []
    for number, variant in enumerate(variants):
        cams = rng.normal(size=(3, 2, 4, 4)).astype(np.float16)
        stored.append(cams)
        np.savez(tmp_path / f"{number}.npz", class_maps=cams, maps=cams[:, 0], ids=ids)
        lines = pd.DataFrame({"image_id": ids, "split": "test", "label": ["negative"] + classes})
        lines[["variant", "curriculum"]] = [variant, "moco"]
        lines[["patient_id", "view", "sex", "age", "seed"]] = ["p", "AP", "F", 50, 0]
        lines[["predicted", "prob_negative", "prob_typical"]] = ["negative", 0.7, 0.3]
        lines[["ail_of_negative", "ail_of_typical"]] = [0.1 * number, 0.5]
        lines.to_csv(tmp_path / f"{number}.csv", index=False)
        models.append((variant, "moco", tmp_path / f"{number}.csv", tmp_path / f"{number}.npz"))
    packs = {v: (tmp_path / f"{v}.json", tmp_path / "lungs.json") for v in variants}
    drawn_ones = []
    monkeypatch.setattr(
        drawing.attention,
        "class_maps_panel",
        lambda shown, names: drawn_ones.append((shown, names)) or Figure(),
    )
    drawing.draw_class_maps(models, packs, split="test", number=2)
    ((shown, names),) = drawn_ones
    assert names == classes
    assert list(shown) == ["moco\nfull", "moco\nblack"]
    for number, items in enumerate(shown.values()):
        # One image of each class.
        for item, row in zip(items, (0, 2), strict=True):
            assert (item.image == arrays[row] // (1 + number)).all()
            expected = [cv2.resize(m.astype(np.float32), (24, 24)) for m in stored[number][row]]
            np.testing.assert_allclose(item.cams, expected)
            assert item.ails == pytest.approx([0.1 * number, 0.5])
            assert item.label == ["negative", "negative", "typical"][row]
