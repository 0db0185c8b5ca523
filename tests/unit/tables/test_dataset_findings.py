"""What the table, the figure and the summary count of images that show several findings."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sscdl.figures.charts import write_figure
from sscdl.figures.dataset import dataset_figure
from sscdl.report.summary import image_counts
from sscdl.tables.column_texts import explain
from sscdl.tables.dataset import by_label, dataset_table
from tests.unit.tables.test_dataset import IMAGES, NOTHING, cells, image, listed

LABELS = ["Edema|Effusion", "Edema?|Effusion", "-", "", "Effusion"]
SEVERAL = listed(
    *(
        image(str(number), label=label, split=("train", "test")[number % 2], sex="FM"[number % 2])
        for number, label in enumerate(LABELS)
    )
)


def test_each_finding_counts_by_itself_and_each_image_once():
    table = dataset_table(SEVERAL, NOTHING)
    assert cells(table, "label") == {
        "Edema": [1, 0, 1],
        "Edema (unknown)": [0, 1, 1],
        "Effusion": [2, 1, 3],
        "none of these": [1, 0, 1],
        "(none)": [0, 1, 1],
    }
    assert list(cells(table, "label"))[-1] == "(none)"
    assert cells(table, "images") == {"all": [3, 2, 5]}
    assert cells(table, "sex") == {"F": [3, 0, 3], "M": [0, 2, 2]}


def test_images_of_classes_have_the_rows_that_they_had():
    assert by_label(IMAGES) is IMAGES


def test_the_summary_counts_findings_by_set():
    counts = image_counts(SEVERAL).set_index("set")
    assert counts.loc["training"].to_dict() == {
        **{"images": 3, "patients": 3, "label Edema": 1, "label Edema (unknown)": 0},
        **{"label Effusion": 2, "label none of these": 1, "without a label": 0},
    }
    assert counts.loc["test", "without a label"] == 1
    assert [column for column in counts if not explain(column)] == []


@pytest.mark.filterwarnings("error")
def test_the_figure_names_findings_by_themselves(tmp_path):
    figure = dataset_figure(SEVERAL, NOTHING, {"train": np.arange(256)})
    panels = {text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))}
    assert {
        "Images by finding (some several times)",
        "View by finding (%)",
        "none of these",
    } < panels
    assert not any("|" in text or "class" in text for text in panels)
    write_figure(figure, tmp_path / "dataset.png")
    with Image.open(tmp_path / "dataset.png") as drawn:
        assert drawn.width == 1300
