"""The plan says what is new about a stage, compared with the nearest one that is trained."""

from __future__ import annotations

import json

import pytest

from sscdl.planning import reasons as plan_reasons
from sscdl.planning.reasons import reasons, with_lineage
from sscdl.store.nodes import read_nodes
from sscdl.store.store import Store
from sscdl.study import trie
from tests.unit.plan_helpers import data_recipes, make_nodes, train
from tests.unit.small_store import small_store  # noqa: F401


def why(store, nodes) -> dict[str, plan_reasons.Reason]:
    """Return the reasons of the unfinished nodes, by name."""
    trained, _ = read_nodes(store.folder)
    finished = {
        one.fingerprint: one.object for one in trained if Store(store.folder).finished(one.path)
    }
    found = reasons(nodes, finished, with_lineage(store.folder, trained))
    return {node.name: found[node.fingerprint] for node in nodes if node.fingerprint in found}


@pytest.fixture
def trained(small_store):  # noqa: F811
    """Return a store with moco, moco+swav and their classifiers."""
    train(small_store.folder, make_nodes("moco", "moco+swav"))
    return small_store


def test_an_empty_store_has_nothing_like_it(small_store):  # noqa: F811
    found = why(small_store, make_nodes("moco", "scratch"))
    assert found["moco"].text == found["classify"].text == plan_reasons.NOTHING
    assert found["moco+classify"].text == "parent moco is to be trained"


def test_finished_nodes_have_no_reason(trained):
    assert why(trained, make_nodes("moco", "moco+swav")) == {}
    found = why(trained, make_nodes("moco", "moco+relloc"))
    assert found["moco+relloc"].text == plan_reasons.NOTHING
    assert set(found) == {"moco+relloc", "moco+relloc+classify"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"batch_size": 16}, "settings.batch_size 8 -> 16"),
        ({"decay": "constant"}, "settings.decay cosine -> constant"),
        ({"options": {"epsilon": 0.03}}, "settings.options.epsilon none -> 0.03"),
        ({"learning_rates": [0.1, 0.2, 0.3]}, "new: learning rate 0.3"),
        ({"learning_rates": [0.2]}, "without learning rate 0.1"),
        (
            {"learning_rates": [0.3, 0.4], "batch_size": 16},
            "new: learning rates 0.3, 0.4; without learning rates 0.1, 0.2; "
            "settings.batch_size 8 -> 16",
        ),
        ({"search": {"method": "halving"}}, "settings.search.method none -> halving"),
    ],
)
def test_a_changed_setting_is_named(trained, change, expected):
    found = why(trained, make_nodes("moco", "moco+swav", stages={"swav": change}))
    assert found["moco+swav"].text == expected
    assert set(found) == {"moco+swav", "moco+swav+classify"}


@pytest.mark.parametrize("now", [["b" * 12, "1.0"], ["a" * 12, "1.1"]])
def test_another_version_of_timm_is_named_with_the_source_for_it(small_store, now):  # noqa: F811
    train(small_store.folder, make_nodes("moco", timm=["a" * 12, "1.0"]))
    found = why(small_store, make_nodes("moco", timm=now))
    assert found["moco"].text == "timm or the source code for its networks has changed"


def test_what_all_stages_have_in_common_is_named(trained):
    found = why(trained, make_nodes("moco", image_size=64))
    assert found["moco"].text == "image_size 32 -> 64"
    assert found["moco+classify"].text == "parent moco is to be trained; image_size 32 -> 64"
    changed = data_recipes(pack="c" * 12)
    assert why(trained, make_nodes("moco", data=changed))["moco"].text == (
        "data: pack (images, masks) changed"
    )
    changed = data_recipes(source="c" * 12)
    assert "source code of the split" in why(trained, make_nodes("moco", data=changed))["moco"].text


def test_other_code_for_a_given_split_is_named_where_both_are_given(small_store):  # noqa: F811
    given = data_recipes(given_source="c" * 12)
    train(small_store.folder, make_nodes("moco", data=given))
    changed = why(small_store, make_nodes("moco", data=data_recipes(given_source="d" * 12)))
    assert changed["moco"].text == "data: source code that takes a given split changed"
    drawn = data_recipes(split={"by": "patient"})
    text = why(small_store, make_nodes("moco", data=drawn))["moco"].text
    assert "data.split" in text
    assert "given" not in text


def test_a_new_seed_and_a_new_variant_are_the_whole_reason(trained):
    found = why(trained, make_nodes("moco", seeds=(1,)))
    assert found["moco"].text == "seed 0 -> 1"
    assert found["moco+classify"].text == "parent moco is to be trained"
    other = data_recipes(pack="c" * 12, masked="drop")
    found = why(trained, make_nodes("moco", variants=("inverted",), data=other))
    assert found["moco"].text == "variant full -> inverted"


def test_below_a_new_learning_rate_training_depends_on_the_winner(trained):
    more = {"moco": {"learning_rates": [0.1, 0.2, 0.3]}}
    found = why(trained, make_nodes("moco", "moco+swav", stages=more))
    assert found["moco"].only_rates
    assert found["moco+swav"].text == "only if the best learning rate of moco changes"
    assert found["moco+swav+classify"].text == "only if the best learning rate of moco+swav changes"
    assert all(found[name].conditional for name in found if name != "moco")
    other = {"moco": {"learning_rates": [0.1, 0.2, 0.3], "batch_size": 16}}
    found = why(trained, make_nodes("moco", "moco+swav", stages=other))
    assert not any(one.conditional or one.only_rates for one in found.values())
    assert found["moco+swav"].text == "parent moco is to be trained"


def test_a_search_by_averages_is_named_once_and_may_choose_the_same(trained):
    nodes = make_nodes("moco", "moco+swav", averaged=True)
    found = why(trained, nodes)
    assert set(found) == {"moco+classify", "moco+swav+classify"}  # pretext tasks are as before
    assert found["moco+classify"].text == "search.weights last -> averaged"
    assert found["moco+classify"].only_rates
    train(trained.folder, nodes)
    assert why(trained, nodes) == {}
    # Both kinds of nodes share objects, and so one lineage; the nearest is that of this kind.
    more = {"classify": {"learning_rates": [0.1, 0.2, 0.3]}}
    for averaged in (False, True):
        again = make_nodes("moco", stages=more, averaged=averaged)
        assert why(trained, again)["moco+classify"].text == "new: learning rate 0.3"


def test_of_one_rate_nothing_is_said_about_how_it_is_compared(small_store):  # noqa: F811
    one, two = {"classify": {"learning_rates": [0.2]}}, {"classify": {"learning_rates": [0.1, 0.2]}}
    nodes = [make_nodes("scratch", stages=rates, averaged=True) for rates in (one, two)]
    train(small_store.folder, nodes[0])
    assert why(small_store, nodes[1])["classify"].text == "new: learning rate 0.1"
    train(small_store.folder, nodes[1])
    (small_store.folder / "recipes" / nodes[0][0].pointer).unlink()
    assert why(small_store, nodes[0])["classify"].text == "without learning rate 0.1"


def test_a_stage_on_another_parent_does_not_depend_on_the_winner(trained):
    train(trained.folder, make_nodes("moco", stages={"moco": {"batch_size": 16}})[:1])
    # The nearest moco has this batch size, but moco+swav was trained on the other one.
    wanted = {"moco": {"batch_size": 16, "learning_rates": [0.1, 0.2, 0.3]}}
    found = why(trained, make_nodes("moco", "moco+swav", stages=wanted))
    assert found["moco"].text == "new: learning rate 0.3"
    assert found["moco+swav"].text == "parent moco is to be trained"
    assert not found["moco+swav"].conditional


def test_another_winner_is_another_parent(trained):
    # The stand-in's accuracy grows with the rate, so that 0.3 wins.
    more = {"moco": {"learning_rates": [0.1, 0.2, 0.3]}}
    nodes = make_nodes("moco", "moco+swav", stages=more)
    train(trained.folder, nodes[:1])
    found = why(trained, nodes)
    assert found["moco+swav"].text == "parent moco has other weights"
    assert not found["moco+swav"].conditional


def test_the_nearest_of_several_is_compared_with(trained):
    train(trained.folder, make_nodes("moco", stages={"moco": {"batch_size": 16}}))
    for batch in (8, 16):
        wanted = {"moco": {"batch_size": batch, "weight_decay": 0.1}}
        found = why(trained, make_nodes("moco", stages=wanted))
        assert found["moco"].text == "settings.weight_decay none -> 0.1"
        assert found["moco"].nearest.recipe["settings"]["batch_size"] == batch


def test_changed_modules_are_named(trained, monkeypatch):
    real = plan_reasons.module_hashes

    def edited(*modules):
        found = real(*modules)
        return found | {
            name: "new"
            for name in found
            if name in ("sscdl.tasks.clusters.swav", "sscdl.training.loop")
        }

    monkeypatch.setattr(trie, "group_hash", lambda group: "0" * 12)
    monkeypatch.setattr(plan_reasons, "module_hashes", edited)
    nodes = make_nodes("moco", "moco+swav")
    found = why(trained, nodes)
    assert found["moco"].text == "source code of sscdl.training.loop has changed"
    assert (
        "source code of sscdl.tasks.clusters.swav, sscdl.training.loop has changed"
        in found["moco+swav"].text
    )
    for path in trained.folder.glob("recipes/*.json"):
        pointer = json.loads(path.read_text())
        del pointer["sources"]
        path.write_text(json.dumps(pointer))
    assert why(trained, nodes)["moco"].text == "source code of the training has changed"


def test_the_pointer_names_its_modules_but_not_those_edited_since(small_store, monkeypatch):  # noqa: F811
    nodes = make_nodes("swav")
    train(small_store.folder, nodes[:1])
    pointer = json.loads((small_store.folder / "recipes" / nodes[0].pointer).read_text())
    assert {"sscdl.tasks.clusters.swav", "sscdl.training.loop"} <= set(pointer["sources"])
    assert "sscdl.tasks.views.moco" not in pointer["sources"]
    monkeypatch.setattr(trie, "group_hash", lambda group: "as it was before an edit")
    nodes = make_nodes("swav")
    train(small_store.folder, nodes[:1])
    pointer = json.loads((small_store.folder / "recipes" / nodes[0].pointer).read_text())
    assert pointer["sources"] is None


def test_lost_weights_are_said_to_be_lost(trained):
    nodes = make_nodes("moco")
    pointer = json.loads((trained.folder / "recipes" / nodes[0].pointer).read_text())
    (trained.folder / "objects" / pointer["object"] / "weights.safetensors").unlink()
    assert why(trained, nodes)["moco"].text == plan_reasons.GONE


def test_roots(small_store):  # noqa: F811
    train(small_store.folder, make_nodes("mine+moco", roots={"mine": "one"}))
    found = why(small_store, make_nodes("mine+moco", roots={"mine": "two"}))
    assert found["mine+moco"].text == "root: other weights to start from"
