"""What pairs of near-duplicates change: who is in one group, and when a recipe says so."""

from __future__ import annotations

import random

from sscdl.images.near_pairs import Effect, effect


def pair(one, other, cohorts=("main", "main")):
    """Return a pair of images, each called like its patient and a digit."""
    return {
        "image_ids": [one, other],
        "patient_ids": [one[0], other[0]],
        "cohorts": list(cohorts),
        "correlation": 0.9,
    }


def test_patients_are_joined_by_any_way_and_in_any_order():
    pairs = [pair("a1", "b1"), pair("c1", "d1"), pair("d2", "b2"), pair("e1", "f1")]
    expected = {"a": "a", "b": "a", "c": "a", "d": "a", "e": "e", "f": "e"}
    for seed in range(10):
        random.Random(seed).shuffle(pairs)
        assert effect(pairs, "together", "patient") == Effect("together", expected, {})


def test_pictures_of_one_patient_matter_where_they_are_divided_or_set_aside():
    pairs = [pair("a1", "a2"), pair("a2", "a3")]
    pictures = {"a1": "a1", "a2": "a1", "a3": "a1"}
    assert effect(pairs, "together", "patient").recipe() is None
    assert effect(pairs, "together", "image").pictures == pictures
    assert effect(pairs, "aside", "patient").pictures == pictures
    assert effect(pairs, "aside", "patient").patients == {}


def test_patients_of_other_archives_matter_by_those_of_the_main_one():
    other = ("pretraining", "pretraining")
    assert effect([pair("a1", "b1", other)], "together", "patient").recipe() is None
    both = [pair("a1", "b1", other), pair("b2", "c1", ("pretraining", "main"))]
    assert effect(both, "together", "patient").patients == {"a": "a", "b": "a", "c": "a"}
    assert effect(both, "together", "image").pictures == {}


def test_the_recipe_tells_outcomes_apart_and_nothing_else():
    one, other = [pair("a1", "b1")], [pair("a1", "b1"), pair("c1", "d1")]
    again = [pair("b1", "a1") | {"correlation": 0.99}]
    recipe = effect(one, "together", "patient").recipe()
    assert recipe == effect(again, "together", "patient").recipe()
    assert recipe != effect(other, "together", "patient").recipe()
    assert recipe != effect(one, "aside", "patient").recipe()
    assert effect(one, "ignore", "patient").recipe() is None
    assert effect([], "together", "image").recipe() is None
