"""Labels of several findings: what is written is read again, and no class is taken for one."""

from __future__ import annotations

import pytest

from sscdl.finding_labels import (
    counted,
    holds_findings,
    known,
    positives,
    read_label,
    write_label,
)

FINDINGS = ["Effusion", "Edema", "Pleural_Thickening"]


@pytest.mark.parametrize(
    ("positive", "unknown", "label", "states"),
    [
        (["Effusion"], ["Edema"], "Edema?|Effusion", [1, -1, 0]),
        (["Effusion", "Edema"], [], "Edema|Effusion", [1, 1, 0]),
        ([], ["Pleural_Thickening"], "Pleural_Thickening?", [0, 0, -1]),
        ([], [], "-", [0, 0, 0]),
    ],
)
def test_what_is_written_is_read(positive, unknown, label, states):
    assert write_label(positive, unknown) == label
    assert read_label(label, FINDINGS) == states
    assert positives(label) == sorted(positive)


def test_an_empty_label_says_nothing_and_others_of_what_they_do_not_name_that_it_is_absent():
    assert read_label("", FINDINGS) == [-1, -1, -1]
    assert positives("") == []
    assert not known("", FINDINGS)
    assert read_label("Eff|Edemas?", FINDINGS) == [0, 0, 0], "no name is a part of another"
    assert not known("Edema?", ["Edema"])
    assert known("Edema?", FINDINGS)


@pytest.mark.parametrize(
    ("labels", "several"),
    [
        (["negative", "", "a-b", "(none)"], False),
        (["Edema", "-"], True),
        (["Edema", "Edema|Effusion"], True),
        (["Edema?"], True),
        ([], False),
    ],
)
def test_labels_of_findings_are_told_from_names_of_classes(labels, several):
    assert holds_findings(labels) is several


def test_each_finding_counts_by_itself_and_classes_stay_what_they_are():
    assert counted("Edema?|Effusion") == ["Edema (unknown)", "Effusion"]
    assert counted("-") == ["none of these"]
    assert [counted(label) for label in ("negative", "", "(none)")] == [
        ["negative"], [""], ["(none)"],
    ]  # fmt: skip
