"""Trainings with few labels: which nodes they are, and that all others stay what they were."""

from __future__ import annotations

import copy
import shlex

import pytest
import yaml

from sscdl.errors import InputError
from sscdl.study.config import check_config, load_schema
from sscdl.study.outputs import MADE, Outputs
from sscdl.study.reading import read_config
from sscdl.study.study import Study
from tests.conftest import ROOT

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
BASE = {
    "study": "x", "dataset": {"layout": "phantom"}, "curricula": ["scratch", "moco+rotation"],
    "seeds": [0, 7], "variants": ["full", "lung_box"],
}  # fmt: skip


def checked(**changes):
    return check_config(copy.deepcopy(BASE) | changes, SCHEMA)


def test_the_last_stage_alone_is_trained_again_and_the_others_stay():
    before = Study(checked())
    after = Study(checked(few_labels={"shares": [0.1, 0.01], "draws": 3}))
    assert after.whole == before.nodes
    few = [node for node in after.nodes.values() if node.draw]
    models, trainings = len(before.models), 2 * 3
    assert len(few) == models * trainings
    assert {node.task for node in few} == {"classify"}
    own = after.few["lung_box", "moco+rotation", 7]
    assert [node.draw for node in own] == [f"l{s}d{k}" for s in ("0.01", "0.1") for k in range(3)]
    last = after.models["lung_box", "moco+rotation", 7]
    for node in own:
        assert node.recipe["data"]["labels"]["seed"] == 7
        assert node.parent == last.parent
        assert node.recipe["settings"] == last.recipe["settings"]
    # The same patients for all curricula of a seed.
    other = after.few["full", "scratch", 7]
    assert [n.recipe["data"]["labels"] for n in own] == [n.recipe["data"]["labels"] for n in other]


def test_epochs_of_few_labels_may_be_more():
    study = Study(checked(few_labels={"shares": [0.1], "draws": 1, "epochs": 2.5}))
    for model, (node,) in study.few.items():
        whole = study.models[model].recipe["settings"]
        for key in ("search_epochs", "final_epochs"):
            assert node.recipe["settings"][key] == -(-whole[key] * 5 // 2)


def test_they_have_predictions_tables_a_figure_and_monitors_of_their_own(tmp_path):
    plain, few = (
        Outputs(checked(few_labels={"shares": shares, "draws": 2})) for shares in ([], [0.05])
    )
    new = few.asked - plain.asked
    names = {name for name in new if not name.startswith("monitors/")}
    assert names == {
        *(f"predictions/few_labels/{v}.{c}.s{s}.csv" for v, c, s in few.models),
        *(f"tables/few_labels{end}" for end in (".csv", ".md", ".tex", ".html")),
        "figures/few_labels.png",
    }
    assert new - names == {
        f"monitors/{v}/{last}.s{s}.l0.05d{k}"
        for v in few.variants
        for last in ("classify", "moco+rotation+classify")
        for s in few.seeds
        for k in (0, 1)
    }
    assert all(MADE.fullmatch(name) for name in new)
    for name in new:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert plain.outdated(tmp_path) == sorted(new)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"label_share": 0.5, "few_labels": {"shares": [0.1]}}, "few_labels.shares"),
        ({"few_labels": {"shares": [1]}}, "few_labels.shares.0"),
        ({"few_labels": {"shares": [0]}}, "few_labels.shares.0"),
        ({"few_labels": {"shares": [0.1, 0.1]}}, "few_labels.shares"),
        ({"few_labels": {"share": [0.1]}}, "few_labels.share"),
        ({"few_labels": {"shares": [0.1], "draws": 0}}, "few_labels.draws"),
    ],
)
def test_what_makes_no_sense_is_refused_by_key(changes, key):
    with pytest.raises(InputError) as caught:
        checked(**changes)
    assert f"\n  {key}: " in str(caught.value)


def test_what_the_documentation_shows_is_a_valid_study():
    page = (ROOT / "config/README.md").read_text().partition("\n## Few labels\n")[2]
    block = page.partition("```yaml\n")[2].partition("```")[0]
    assert Study(checked(**yaml.safe_load(block))).few
    command = shlex.split(page.partition("```bash\n")[2].partition("\n")[0])
    file, given = (command[command.index(name) + 1] for name in ("--configfile", "--config"))
    study = Study(read_config([ROOT / file], [given], folders=True))
    draws = {node.draw for nodes in study.few.values() for node in nodes}
    assert draws == {"l0.2d0", "l0.2d1"}
