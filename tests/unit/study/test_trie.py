"""Curricula become nodes that are shared, and whose identity is what determines their weights."""

from __future__ import annotations

import pytest

from sscdl.errors import InputError
from sscdl.study.trie import Trie, split_curriculum, thesis_curricula
from sscdl.tasks.options import DEFAULTS, LATER, LATER_SETTINGS, lasting, whole

STAGE = {"learning_rates": [0.01], "batch_size": 8, "search_epochs": 1}
DATA = {"pretext": {"pack": "a"}, "final": {"pack": "a", "classes": ["x", "y"]}}
RULES = [
    {"variants": ["full"], "stage": "pretext", "tasks": [1, 2], "values": list(range(1, 12))},
    {"variants": ["full"], "stage": "classify", "tasks": [0, 1], "values": list(range(1, 12))},
    {"values": list(range(1, 7))},
]


def make(curricula, *, stages=None, rules=(), seed=0, variant="full", data=DATA, **common):
    tasks = tuple(DEFAULTS)
    stages = {task: dict(STAGE) for task in tasks} | (stages or {})
    trie = Trie(
        curricula, stages=stages, rules=list(rules), common=common, roots={"imagenet": "weights"}
    )
    ends = [trie.add(name, variant, seed, data) for name in curricula]
    return trie, ends


def by_name(trie):
    return {node.name: node for node in trie.nodes.values()}


def test_prefixes_are_shared():
    trie, ends = make(["scratch", "moco", "moco+swav", "moco+swav+rotation", "rotation+moco"])
    names = [node.name for node in trie.nodes.values() if node.task != "classify"]
    assert sorted(names) == ["moco", "moco+swav", "moco+swav+rotation", "rotation", "rotation+moco"]
    nodes = by_name(trie)
    assert nodes["moco+swav"].parent == nodes["moco"].fingerprint
    assert nodes["classify"].parent is None
    assert [end.curriculum for end in ends] == [
        "scratch", "moco", "moco+swav", "moco+swav+rotation", "rotation+moco",
    ]  # fmt: skip


def test_the_thesis_has_24_models_22_stages_and_its_number_of_candidates():
    curricula = thesis_curricula()
    assert len(curricula) == 24
    pretext = classify = 0
    for variant in ("full", "segmented_black"):
        trie, _ = make(curricula, rules=RULES, variant=variant)
        nodes = trie.nodes.values()
        stages = [node for node in nodes if node.task != "classify"]
        assert len(stages) == 22
        assert len(trie.nodes) == 46
        pretext += sum(len(node.learning_rates) for node in stages)
        classify += sum(len(node.learning_rates) for node in nodes if node.task == "classify")
    assert (pretext, classify) == (344, 318)


def changed(before, after):
    """Return the names whose fingerprints differ between two tries."""
    one, two = by_name(before), by_name(after)
    return {name for name in one if one[name].fingerprint != two[name].fingerprint}


CURRICULA = ["scratch", "moco", "moco+swav", "rotation"]


def test_a_changed_stage_changes_the_nodes_at_and_below_it():
    before, _ = make(CURRICULA)
    after, _ = make(CURRICULA, stages={"swav": {**STAGE, "batch_size": 16}})
    assert changed(before, after) == {"moco+swav", "moco+swav+classify"}
    after, _ = make(CURRICULA, stages={"moco": {**STAGE, "learning_rates": [0.01, 0.1]}})
    assert changed(before, after) == {
        "moco", "moco+classify", "moco+swav", "moco+swav+classify",
    }  # fmt: skip


def test_seed_network_and_data_change_every_node():
    before, _ = make(CURRICULA)
    everything = {node.name for node in before.nodes.values()}
    other = {"pretext": {"pack": "b"}, "final": {"pack": "b", "classes": ["x", "y"]}}
    for after in (make(CURRICULA, seed=1), make(CURRICULA, depth=50), make(CURRICULA, data=other)):
        assert changed(before, after[0]) == everything


def test_what_came_later_counts_only_where_it_is_not_what_was_done_before(monkeypatch):
    """A new release finds what was trained without the option, whatever its default is now."""

    def fingerprint(**options):
        stages = {"moco": {**STAGE, "options": {"queue": 8, **options}}}
        return by_name(make(["moco"], stages=stages)[0])["moco"].fingerprint

    before = fingerprint()
    assert fingerprint(symmetric=False) != before, "a value that is written down is a setting"
    monkeypatch.setitem(LATER, "moco", {"symmetric": False})
    for default in (False, True):
        monkeypatch.setitem(DEFAULTS, "moco", {**DEFAULTS["moco"], "symmetric": default})
        assert fingerprint(symmetric=False) == before
        assert fingerprint(symmetric=True) != before


def test_settings_that_came_later_count_only_where_they_change_what_was_done():
    def fingerprint(**settings):
        stages = {"swav": {**STAGE, **settings}}
        return by_name(make(["swav"], stages=stages)[0])["swav"].fingerprint

    before = fingerprint()
    assert fingerprint(**LATER_SETTINGS) == before
    changed = [
        {"warmup_epochs": 1}, {"last_batch": "fill"}, {"lars": {"adapt": "all", "decay": "all"}},
        {"lars": {"adapt": "all", "decay": "weights"}},
        {"adam": {"betas": [0.9, 0.95], "decay": "weights"}}, {"clip_gradients": 1.0},
        {"milestones": {"at": [0.5], "factor": 0.1}},
    ]  # fmt: skip
    assert {next(iter(one)) for one in changed} == set(LATER_SETTINGS)
    assert len({before, *(fingerprint(**one) for one in changed)}) == 1 + len(changed)


@pytest.mark.parametrize("task", list(DEFAULTS))
def test_a_recipe_gives_back_all_settings_of_its_stage(task):
    later = {**LATER_SETTINGS, "options": {**DEFAULTS[task], **LATER.get(task, {})}}
    other = {
        "warmup_epochs": 2.5, "last_batch": "fill", "lars": {"adapt": "all", "decay": "weights"},
        "adam": {"betas": [0.9, 0.95], "decay": "all"}, "clip_gradients": 3.0,
        "milestones": {"at": [0.5], "factor": 0.2},
        "options": {**DEFAULTS[task], "fill": True},
    }  # fmt: skip
    for settings in ({**STAGE, **later}, {**STAGE, **other}):
        assert whole(task, lasting(task, settings)) == settings
    assert lasting(task, {**STAGE, **later}).keys() == {*STAGE, "options"}
    assert whole(task, STAGE) == {**STAGE, **LATER_SETTINGS, "options": LATER.get(task, {})}


def test_other_curricula_do_not_matter():
    before, _ = make(CURRICULA)
    after, _ = make([*CURRICULA, "swav+moco"])
    assert changed(before, after) == set()


def test_roots():
    assert split_curriculum("imagenet", {"imagenet"}) == ("imagenet", ())
    assert split_curriculum("imagenet+moco", {"imagenet"}) == ("imagenet", ("moco",))
    assert split_curriculum("scratch", {"imagenet"}) == ("scratch", ())
    trie, ends = make(["scratch", "imagenet", "moco", "imagenet+moco"])
    assert len(trie.nodes) == 6
    assert ends[0].fingerprint != ends[1].fingerprint
    assert by_name(trie)["imagenet+moco"].recipe["root"] == "weights"


def test_a_misspelt_task_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"'swaw' in 'moco\+swaw'.*did you mean 'swav'"):
        split_curriculum("moco+swaw", {"imagenet"})


def test_a_repeated_curriculum_is_refused():
    with pytest.raises(InputError, match="moco given more than once"):
        make(["moco", "moco"])


def test_averages_of_weights_stand_only_where_rates_are_compared():
    def node(rates, averaged, validate="val"):
        data = {kind: {**one, "validate": validate} for kind, one in DATA.items()}
        stages = {task: {**STAGE, "learning_rates": rates} for task in DEFAULTS}
        trie = Trie(["scratch"], stages=stages, rules=[], common={}, roots={}, averaged=averaged)
        return trie.add("scratch", "full", 0, data)

    assert node([0.1, 0.2], True).fingerprint != node([0.1, 0.2], False).fingerprint
    assert "averaged_weights" in node([0.1, 0.2], True).recipe
    assert node([0.1], True) == node([0.1], False)
    assert node([0.1, 0.2], True, None) == node([0.1, 0.2], False, None)
    # Pretext tasks are compared by their last weights.
    stages = {task: {**STAGE, "learning_rates": [0.1, 0.2]} for task in DEFAULTS}
    trie = Trie(["moco"], stages=stages, rules=[], common={}, roots={}, averaged=True)
    trie.add("moco", "full", 0, {kind: {**one, "validate": "val"} for kind, one in DATA.items()})
    asked = {name: "averaged_weights" in one.recipe for name, one in by_name(trie).items()}
    assert asked == {"moco": False, "moco+classify": True}
