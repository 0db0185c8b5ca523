"""Charts and image panels: what is drawn, and that it reaches the file whole."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from sscdl.errors import InputError
from sscdl.figures import charts, drawing, panels
from sscdl.files import write_json


def overview(curricula: list[str], *, floor: bool = False) -> pd.DataFrame:
    rows = len(curricula)
    table = pd.DataFrame({"curriculum": curricula, "chance": 50.0})
    for place, variant in enumerate(("full", "segmented_black")):
        table[variant] = np.linspace(60, 80, rows) + place
        table[f"{variant}_low"] = table[variant] - 5
        table[f"{variant}_high"] = table[variant] + 4
        if floor:
            table[f"{variant}_floor"] = 25.0 + place
    return table


def mark_table() -> pd.DataFrame:
    records = [
        {
            "variant": variant,
            "curriculum": curriculum,
            "split": split,
            "balanced_accuracy": 90.0 - 30 * place + row,
            "balanced_accuracy_low": 85.0 - 30 * place,
            "balanced_accuracy_high": 95.0 - 30 * place,
            "chance": 50.0,
            "mark_attention": 10.0 + place,
            "mark_share": 1.0,
        }
        for variant in ("full", "segmented_black")
        for row, curriculum in enumerate(("scratch", "moco"))
        for place, split in enumerate(("mark_trained", "mark_removed", "mark_reversed"))
    ]
    return pd.DataFrame(records)


def curves(models: int, **changes: object) -> list[dict]:
    return [
        {
            "variant": "full",
            "curriculum": f"model{model}",
            "lr": lr,
            "metric": "balanced_accuracy",
            "epochs": range(1, 4),
            "values": [0.5, 0.6, 0.6 + lr],
            "chosen": lr == 0.1,
            **changes,
        }
        for model in range(models)
        for lr in (0.01, 0.1)
    ]


def picture(size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    image = np.full((size, size), 90, np.uint8)
    mask = np.zeros((size, size), bool)
    mask[8:24, 4:12] = mask[8:24, 20:28] = True
    return image, mask


def drawn(axes) -> list[tuple[str, list[float]]]:
    """Return (color, x values) of the markers that an axes holds."""
    return [
        (to_hex(line.get_color()).upper(), [float(x) for x in line.get_xdata()])
        for line in axes.lines
        if line.get_marker() not in ("None", None, "")
    ]


def inside(figure) -> bool:
    """Return whether legends, titles and labels lie on the canvas when drawn."""
    figure.savefig("/dev/null", format="raw")
    canvas = figure.bbox
    boxes = [legend.get_window_extent() for legend in figure.legends]
    for axes in figure.axes:
        boxes += [axes.title.get_window_extent(), axes.get_tightbbox()]
    return all(
        box.x0 > -1 and box.y0 > -1 and box.x1 < canvas.x1 + 1 and box.y1 < canvas.y1 + 1
        for box in boxes
    )


def test_written_file_has_the_figure_size(tmp_path):
    figure = charts.ail_by_model(overview(["scratch", "moco", "mean"], floor=True))
    path = tmp_path / "deep" / "4.3_ail.png"
    charts.write_figure(figure, path, dpi=150)
    with Image.open(path) as written:
        size = np.round(figure.get_size_inches() * 150)
        assert np.abs(np.array(written.size) - size).max() <= 1
        assert written.info["dpi"][0] == pytest.approx(150, abs=1)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("rows", [1, 3, 24])
def test_accuracy_overview_shows_every_model_chance_and_baselines(rows):
    table = overview([f"moco+rotation+task{row}" for row in range(rows)])
    figure = charts.accuracy_overview_figure(table, baselines={"metadata:view": 62.9})
    (axes,) = figure.axes
    points = drawn(axes)
    assert [color for color, _ in points] == [charts.BLUE.upper(), charts.VERMILION.upper()]
    assert points[1][1] == table["segmented_black"].tolist()
    assert [text.get_text() for text in axes.get_yticklabels()] == table["curriculum"].tolist()
    upright = [line.get_xdata()[0] for line in axes.lines if line.get_xdata()[0] in (50, 62.9)]
    assert upright == [50, 62.9]
    assert axes.get_xlabel() == "balanced accuracy (%)"
    assert inside(figure)


def test_overview_leaves_out_a_variant_without_values():
    table = overview(["moco"])
    table[["segmented_black", "segmented_black_low", "segmented_black_high"]] = np.nan
    figure = charts.accuracy_overview_figure(table)
    assert len(drawn(figure.axes[0])) == 1
    with pytest.raises(InputError, match="no values"):
        charts.accuracy_overview_figure(table.assign(full=np.nan))


def test_ail_figure_draws_a_floor_per_variant():
    table = overview(["scratch", "moco", "mean"], floor=True)
    figure = charts.ail_by_model(table)
    segments = [c.get_segments() for c in figure.axes[0].collections]
    floors = [s for s in segments if all(line[0][0] == line[1][0] for line in s)]
    assert [line[0][0] for line in floors[0]] == [25.0] * 3
    assert [line[0][0] for line in floors[1]] == [26.0] * 3
    assert len(figure.legends[0].get_texts()) == 4
    assert inside(figure)


@pytest.mark.parametrize(("models", "shape"), [(1, (1, 1)), (3, (2, 2)), (24, (6, 4))])
def test_validation_curves_have_a_panel_per_model(models, shape):
    figure = charts.validation_curves(curves(models), chance=0.5)
    assert len(figure.axes) == models
    grid = figure.axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    first = figure.axes[0]
    assert len(first.lines) == 3
    thin, chosen, chance = first.lines
    assert chosen.get_linewidth() > 1.5 * thin.get_linewidth()
    assert chosen.get_ydata()[-1] == pytest.approx(70)
    assert chance.get_ydata()[0] == 50
    assert "chosen 0.1" in first.get_title()
    assert inside(figure)


def test_epochs_are_whole_and_one_of_them_is_seen():
    histories = [curve | {"epochs": [1, 2], "values": [0.5, 0.6]} for curve in curves(1)]
    histories[0] = histories[0] | {"epochs": [1], "values": [0.5]}
    axes = charts.validation_curves(histories).axes[0]
    ticks = [tick for tick in axes.get_xticks() if 1 <= tick <= 2]
    assert ticks == [1, 2]
    assert [line.get_marker() for line in axes.lines] == [".", "None"]


def test_loss_curves_keep_their_units_and_metrics_do_not_mix():
    figure = charts.validation_curves(curves(1, metric="loss"))
    assert figure.axes[0].lines[0].get_ydata()[0] == 0.5
    assert figure.get_supylabel() == "loss (nats)"
    with pytest.raises(InputError, match="one metric"):
        charts.validation_curves(curves(1) + curves(1, metric="loss"))
    with pytest.raises(InputError, match="one metric"):
        charts.validation_curves([])


def test_shortcut_figure_pairs_accuracy_with_attention():
    figure = charts.shortcut_figure(mark_table())
    assert len(figure.axes) == 4
    accuracy, attention = figure.axes[:2]
    assert accuracy.get_title(loc="left") == "full"
    assert [values for _, values in drawn(accuracy)] == [[90, 91], [60, 61], [30, 31]]
    assert [text.get_text() for text in accuracy.get_yticklabels()] == ["scratch", "moco"]
    values = [values for _, values in drawn(attention)]
    assert values == [[10, 10], [1, 1], [11, 11], [1, 1], [12, 12], [1, 1]]
    assert inside(figure)
    with pytest.raises(InputError, match="no rows"):
        charts.shortcut_figure(mark_table().iloc[:0])


def test_attention_panel_tells_ail_and_marks_errors():
    image, mask = picture()
    cam = np.zeros(image.shape)
    cam[10, 6] = 2.0
    items = [
        panels.AttentionItem(image, cam - 0.5, mask, 0.423, "typical", "typical", "moco"),
        panels.AttentionItem(image, cam, mask, 0.1, "typical", "negative"),
        panels.AttentionItem(image, cam * 0, None, float("nan"), "typical", ""),
    ]
    figure = panels.attention_panel(items, columns=2)
    assert len(figure.axes) == 5
    right, wrong, blank = figure.axes[:3]
    assert right.get_title() == "moco\nAIL 42.3 %\npredicted typical\ntrue typical"
    assert to_hex(right.title.get_color()).upper() == charts.BLACK
    assert to_hex(wrong.title.get_color()).upper() == charts.VERMILION
    assert "AIL undefined" in blank.get_title()
    assert "true unknown" in blank.get_title()
    assert (len(right.collections), len(blank.collections)) == (1, 0)
    heat = right.images[1].get_array()
    assert (heat.min(), heat.max()) == (0, 1)
    assert np.argmax(heat) == np.argmax(cam)
    assert inside(figure)


def test_class_maps_share_the_scale_of_their_image():
    image, mask = picture()
    cams = np.zeros((2, *image.shape))
    cams[0, 10, 6], cams[1, 20, 22], cams[1, 0, 0] = 1.0, 4.0, -9.0
    heading, classes = "moco\nfull", ["negative", "typical"]
    given = [
        ("typical", "typical", [0.423, float("nan")]),
        ("typical", "negative", [0.5, 0.25]),
        ("negative", "", [0.5, 0.25]),
    ]
    items = [
        panels.ClassMapsItem(image, cams, mask, ails, [0.25, 0.75], predicted, label, heading)
        for predicted, label, ails in given
    ]
    figure = panels.class_maps_panel(items, classes, columns=2)
    assert len(figure.axes) == 7
    right, wrong, unknown = (figure.axes[place : place + 2] for place in (0, 2, 4))
    assert right[0].get_title() == "moco\nfull\ntrue typical\nnegative\np 0.25, AIL 42.3 %"
    assert right[1].get_title() == "→ typical\np 0.75, AIL undefined"
    colours = [to_hex(axes.title.get_color()).upper() for axes in (*right, *wrong, *unknown)]
    assert colours == [charts.BLACK] * 3 + [charts.VERMILION] + [charts.BLACK] * 2
    assert "true unknown" in unknown[0].get_title()
    first, second = (axes.images[1].get_array() for axes in right)
    assert (first.max(), second.max()) == (0.25, 1)
    assert first.min() == second.min() == 0
    assert inside(figure)
    with pytest.raises(InputError, match="no images"):
        panels.class_maps_panel([], classes)


@pytest.mark.parametrize(("variants", "beside"), [(["full", "black"], 2), (["full"] * 3, 1)])
def test_class_maps_are_drawn_from_files_model_by_model(tmp_path, monkeypatch, variants, beside):
    rng = np.random.default_rng(3)
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
        lines[["patient_id", "view", "sex", "age", "seed"]] = ["p", "AP", "F", 50, 0]
        lines[["predicted", "prob_negative", "prob_typical"]] = ["negative", 0.7, 0.3]
        lines[["ail_of_negative", "ail_of_typical"]] = [0.1 * number, 0.5]
        lines.to_csv(tmp_path / f"{number}.csv", index=False)
        models.append((variant, "moco", tmp_path / f"{number}.csv", tmp_path / f"{number}.npz"))
    packs = {v: (tmp_path / f"{v}.json", tmp_path / "lungs.json") for v in variants}
    drawn_ones = []
    monkeypatch.setattr(
        drawing.panels,
        "class_maps_panel",
        lambda items, names, columns: drawn_ones.append((items, names, columns)) or Figure(),
    )
    drawing.draw_class_maps(models, packs, tmp_path / "out.png", split="test", number=2)
    ((items, names, columns),) = drawn_ones
    assert (names, columns) == (classes, 2 * beside)
    # One image of each class, i0 and i2; of the models as many beside each other as fit.
    order = [(0, 0), (1, 0), (0, 2), (1, 2)] if beside == 2 else [
        (model, row) for model in range(3) for row in (0, 2)
    ]  # fmt: skip
    for item, (model, row) in zip(items, order, strict=True):
        shown = arrays[row] // (2 if variants[model] == "black" else 1)
        assert (item.image == shown).all()
        expected = [cv2.resize(cam.astype(np.float32), (24, 24)) for cam in stored[model][row]]
        np.testing.assert_allclose(item.cams, expected)
        assert item.ails == pytest.approx([0.1 * model, 0.5])
        assert item.heading == f"moco\n{variants[model]}"
        assert item.label == ["negative", "negative", "typical"][row]


def test_variants_panel_and_contact_sheet_show_each_image():
    image, mask = picture()
    variants = {"full": image, "segmented_black": image * mask}
    figure = panels.variants_panel(variants, dict.fromkeys(variants, mask))
    assert [axes.get_title() for axes in figure.axes] == ["full", "segmented_black"]
    assert inside(figure)
    sheet = panels.contact_sheet([image] * 7, [mask] * 7, titles=[f"image{i}" for i in range(7)])
    shown = [axes for axes in sheet.axes if axes.images]
    assert len(shown) == 7
    tint = np.asarray(shown[0].images[1].get_array())[..., 3]
    assert ((tint > 0) == mask).all()
    assert inside(sheet)


def test_contact_sheet_accepts_empty_masks_and_refuses_missing_ones():
    image, mask = picture()
    sheet = panels.contact_sheet([image], [mask & False])
    assert not sheet.axes[0].collections
    with pytest.raises(InputError, match="2 images, 1 masks"):
        panels.contact_sheet([image] * 2, [mask])
    with pytest.raises(InputError, match="no images"):
        panels.contact_sheet([], [])
