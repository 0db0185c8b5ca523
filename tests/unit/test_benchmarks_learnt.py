"""The study by which table trainings is tried, and what is printed of it."""

from __future__ import annotations

from benchmarks import learnt
from sscdl.stages.stage import run_stage
from sscdl.study.config import check_config, load_schema
from sscdl.study.reference import SCHEMA
from tests.unit.real_stage import real_stage


def test_each_task_is_tried_at_its_own_rate_and_at_next_to_none(tmp_path):
    study = learnt.study(tmp_path, tmp_path / "work", ["moco", "rotation"], 5)
    checked = check_config(study, load_schema(SCHEMA))
    for task in ("moco", "rotation"):
        rates = checked["stages"][task]["learning_rates"]
        assert rates == [0.03, 0.03 * learnt.PLANTED]
        assert checked["stages"][task]["search_epochs"] == 5
    assert checked["dataset"]["table"]["root"] == str(tmp_path)


def test_what_is_finished_is_told_rate_by_rate(tmp_path):
    stage = real_stage(tmp_path, learning_rates=(0.03, 1e-9))
    run_stage(stage)
    table = learnt.told(stage.store)
    assert table["rate"].tolist() == ["0.03", "1e-09"]
    assert set(table["task"]) == {"rotation"}
    assert table["learnt"].tolist()[1] == "not shown"
    assert (table["chance"] == "1.386").all()
    assert (table["floor, last"] == "").all()
