"""``sscdl new`` for images that may show several findings each."""

from __future__ import annotations

from pathlib import Path

import pytest

from sscdl.errors import InputError
from sscdl.front import new
from tests.unit.own_images import archive, written

pytestmark = pytest.mark.usefixtures("here")

CELLS = ["No Finding", "Edema", "Edema|Effusion", "Mass"]


@pytest.fixture
def many(tmp_path):
    rows = [f"images/{n}.png,p{n // 2},{CELLS[n % 4]}" for n in range(40)]
    return archive(tmp_path / "mine", rows=rows)


def test_findings_that_are_named_are_told_each_by_itself(many, capsys):
    new.main([str(many), "--findings", "Edema", "water=Effusion"])
    config = written("mine.yaml")
    assert config["findings"] == ["edema", "water"]
    assert config["dataset"]["table"]["labels"]["water"] == {
        "column": "finding", "values": ["Effusion"], "separator": "|",
    }  # fmt: skip
    said = capsys.readouterr().out
    assert "edema: 20 images of 20 patients" in said
    assert "water: 10 images of 10 patients" in said
    text = Path("mine.yaml").read_text()
    assert "  findings: {learning_rates:" in text
    assert "classify" not in text


def test_one_finding_is_enough(many):
    new.main([str(many), "--findings", "Mass", "--quick"])
    assert written("mine.yaml")["findings"] == ["mass"]


def test_cells_of_several_labels_are_told_of_where_nothing_is_chosen(many):
    with pytest.raises(InputError, match="or --findings VALUE .* if an image may have several"):
        new.main([str(many)])


def test_what_is_no_finding_is_refused_by_its_flag(many):
    with pytest.raises(InputError, match="--findings Oedema: 'finding' has no such value"):
        new.main([str(many), "--findings", "Oedema"])
    with pytest.raises(SystemExit):
        new.main([str(many), "--findings", "Edema", "--classes", "Mass"])


def test_paths_tell_one_label_each(tmp_path):
    for number in range(40):
        file = tmp_path / f"mine/{('normal', 'ill')[number % 2]}/p{number // 2}_{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match="--findings: need a table"):
        new.main([str(tmp_path / "mine"), "--findings", "ill"])
