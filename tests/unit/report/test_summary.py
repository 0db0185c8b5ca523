"""The summary of a study says what its tables say, in words that need no configuration."""

from __future__ import annotations

import re

import docutils.core
import pandas as pd
import pytest

from sscdl.images.vouched import describe_list
from sscdl.report.facts import TOLD, facts
from sscdl.report.findings import ATTENTION, SHORTCUT, TRAININGS, findings, outcome
from sscdl.report.scores import ACCURACY, COMPARISONS
from sscdl.report.summary import write_summary
from sscdl.tables.column_texts import explain

STAGE = {"search_epochs": 2, "final_epochs": 1, "batch_size": 16}
CONFIG = {
    "study": "small",
    "protocol": "strict",
    "classes": ["negative", "typical"],
    "findings": [],
    "label_share": 1,
    "few_labels": {"shares": []},
    "split": {"source": "drawn", "by": "patient"},
    "split_seed": 0,
    "seeds": [0],
    "variants": ["full"],
    "image": {"size": 64},
    "backbone": {"name": "resnet18", "last_stage": 2},
    "search": {"method": "grid"},
    "stages": dict.fromkeys(["moco", "rotation", "classify"], STAGE),
}
TABLES = {
    ACCURACY: pd.DataFrame(
        {
            "curriculum": ["scratch", "moco"],
            **{"full": [60.0, 80.0], "full_low": [50.0, 70.0], "full_high": [70.0, 90.0]},
            **{"full_std": [float("nan")] * 2, "chance": [50.0, 50.0]},
        }
    ),
    ATTENTION: pd.DataFrame(
        {
            **{"variant": "full", "curriculum": ["scratch", "moco"]},
            **{"ail": [30.0, 40.0], "ail_std": 1.0, "ail_low": 20.0, "ail_high": 50.0},
            **{"floor": 28.0, "ail_centre": 47.4, "ail_random": 33.2},
            **{"lift": [2.0, 12.0], "lift_low": [1.0, 11.0], "lift_high": [3.0, 13.0]},
            **{"lift_centre": [-17.4, -7.4], "lift_centre_low": -19.0, "lift_centre_high": -5.0},
            **{"lift_random": [-3.2, 6.8], "lift_random_low": [-4.0, 5.0], "lift_random_high": 8.0},
        }
    ),
    COMPARISONS: pd.DataFrame(
        {
            **{"variant": ["full"], "curriculum": ["moco"], "against": ["scratch"]},
            **{"difference": [20.0], "difference_low": [5.0], "difference_high": [35.0]},
            **{"another_low": [2.0], "another_high": [38.0], "p_holm": [0.01]},
            **{"verdict": ["better"], "margin": [5.0], "seeds_needed": [4.0]},
        }
    ),
    TRAININGS: pd.DataFrame(
        {"variant": "full", "stage": ["moco", "moco+classify"], "seed": 0, "learnt": ["yes", None]}
    ),
}
PLACE = {"origin": "phantom", "masks": "default", "curricula": ["scratch", "moco"]}
RATES = {"moco": [3], "classify": [6, 11]}


def told(**changes) -> dict[str, str]:
    others = {**PLACE, "rates": RATES} | {
        k: changes.pop(k) for k in list(changes) if k not in CONFIG
    }
    return dict(facts({**CONFIG, **changes}, **others))


def test_what_is_told_names_no_path():
    assert set(CONFIG) == set(TOLD)
    assert not {"store", "dataset", "lungs", "roots"} & set(TOLD)


def test_the_protocols_are_told_apart():
    assert "nothing was chosen on" in told()["Protocol"]
    assert "look better than they are" in told(protocol="thesis")["Protocol"]
    assert "both sides" in told(split={"source": "drawn", "by": "image"})["Protocol"]


def test_facts_are_those_of_the_configuration():
    found = told()
    assert found["Curricula"] == "2: scratch, moco."
    assert "MoCo v2" in found["Pretext tasks"]
    assert "rotation" not in found["Pretext tasks"]
    assert found["Network"] == "resnet18, ended after stage 2, 64 x 64 pixels."
    assert "moco: 3 learning rates for 2 epochs" in found["Training"]
    assert "classification: 6 or 11 learning rates" in found["Training"]
    assert "one training" in found["Seeds"]
    assert told(seeds=[0, 1])["Seeds"] == "0, 1."
    assert "25 %" in told(label_share=0.25)["Question"]
    few = {"shares": [0.1, 0.01], "draws": 3, "epochs": 1}
    assert "with 1 % and 10 % of the labels, too." in told(few_labels=few)["Question"]
    assert "too" not in found["Question"]
    assert "Caution" not in found
    halving = told(search={"method": "halving"})["Training"]
    assert "3 learning rates for up to 2 epochs, the better of them going on, the best" in halving
    assert "3 learning rates for 2 epochs each, the best for 1 more" in found["Training"]
    single = told(search={"method": "halving"}, rates={"moco": [1]})["Training"]
    assert single.startswith("moco: 1 learning rate for 2 epochs each, the best for 1 more")
    assert "say nothing" in told(stand_ins=["imagenet"])["Caution"]
    assert told(map_notes=["A coarse map."])["Caution"] == "A coarse map."


def test_findings_are_those_of_the_tables():
    accuracy, attention = findings(TABLES)
    assert "highest with moco, 80.0 % (70.0 to 90.0), lowest with scratch, 60.0 %" in accuracy
    assert "chance is 50.0 %" in accuracy
    assert "over patients and trainings: 1 better. To find a difference of 5 percent" in accuracy
    assert accuracy.endswith("takes 4 seeds a model.")
    assert "30.0 to 40.0 % of the map" in attention
    assert "a map that is the same everywhere 28.0 %" in attention
    assert "a blob in the middle of every picture 47.4 %" in attention
    assert "networks with random weights 33.2 %" in attention
    assert "Above each of the three, by 95 % intervals: 0 of 2 models." in attention


def test_stages_that_are_not_shown_to_have_learnt_are_named_on_page_and_terminal():
    stages = [("moco", 0, "yes"), ("byol", 0, "not shown"), ("byol", 1, "not shown")]
    rows = pd.DataFrame(stages, columns=["stage", "seed", "learnt"]).assign(variant="full")
    tables = TABLES | {TRAININGS: pd.concat([TABLES[TRAININGS], rows])}
    *_, last = findings(tables)
    assert last.startswith("Not shown to have learnt anything of the images of their task")
    assert "(table trainings): byol on full (2 seeds). Other" in last
    assert "byol on full (2 seeds)" in " ".join(outcome(tables).split())
    many = pd.concat([rows[1:].assign(stage=f"byol{number}") for number in range(40)])
    assert len(findings(TABLES | {TRAININGS: many})[-1]) < 700


def test_comparisons_are_counted_by_verdict_and_what_more_would_take_is_said():
    one = TABLES[COMPARISONS]
    verdicts = ["worse", "equivalent", "not shown", "not shown", "one training: not tested"]
    rows = pd.concat([one, *(one.assign(verdict=verdict) for verdict in verdicts)])
    rows["seeds_needed"] = [3, 8, None, None, 12, None]
    text = findings({**TABLES, COMPARISONS: rows})[0]
    assert (
        "1 better, 1 worse, 1 less than 5 percent points apart, 2 without a clear difference, 1 "
        "not tested (one training). To find a difference of 5 percent points four times in five "
        "takes 3 to 12 seeds a model for 3 of 5; more patients than these for the others."
    ) in text
    never = findings({**TABLES, COMPARISONS: one.assign(seeds_needed=float("nan"))})[0]
    assert never.endswith("four times in five takes more patients than these.")
    single = one.assign(verdict="one training: not tested", seeds_needed=float("nan"))
    text = findings({**TABLES, COMPARISONS: single})[0]
    assert "no comparison is tested" in text
    assert "four times in five" not in text


def test_a_map_is_called_above_only_if_it_is_above_all_three():
    above = TABLES[ATTENTION].assign(lift_centre_low=[1.0, 1.0])
    assert "intervals: 1 of 2 models." in findings({**TABLES, ATTENTION: above})[1]
    unknown = above.assign(lift_random_low=float("nan"), ail_random=float("nan"))
    text = findings({**TABLES, ATTENTION: unknown})[1]
    assert "intervals: 0 of 2 models." in text
    assert "random weights" not in text


def test_equal_accuracies_have_no_highest():
    same = TABLES[ACCURACY].assign(full=50.0)
    text = findings({**TABLES, ACCURACY: same})[0]
    assert text.startswith("Balanced accuracy on full: 50.0 % with every curriculum; chance")


def test_all_that_share_a_place_are_named():
    rows = [TABLES[ACCURACY].iloc[:2].assign(curriculum=[f"a{k}", f"b{k}"]) for k in range(4)]
    two = pd.concat([TABLES[ACCURACY], rows[0]])
    text = findings({**TABLES, ACCURACY: two})[0]
    assert "highest with moco and b0, 80.0 %, lowest with scratch and a0, 60.0 %" in text
    three = pd.concat([TABLES[ACCURACY], *rows[:2]])
    assert "highest with moco, b0 and b1, 80.0 %" in findings({**TABLES, ACCURACY: three})[0]
    many = pd.concat([TABLES[ACCURACY], *rows])
    text = findings({**TABLES, ACCURACY: many})[0]
    assert "highest with 5 curricula, 80.0 %, lowest with 5 curricula, 60.0 %" in text


def test_the_planted_mark_is_told_of_with_the_ends_of_all_intervals():
    rows = [
        ("full", "mark_trained", None, None, None),
        ("full", "mark_removed", 5, 2, 8),
        ("full", "mark_removed", 7, 6, 7.5),
        ("full", "mark_reversed", 9, -1, 19),
    ]
    names = ["variant", "split", "drop", "drop_low", "drop_high"]
    found = findings({**TABLES, SHORTCUT: pd.DataFrame(rows, columns=names)})[-1]
    assert "fall by 5.0 to 7.0 percent points (their 95 % intervals: within 2.0 to 8.0)" in found
    assert "by 9.0 percent points (their 95 % intervals: within -1.0 to 19.0)." in found


def test_the_lines_for_the_terminal_have_models_intervals_and_the_finding():
    lines = outcome(TABLES).splitlines()
    assert lines[:4] == [
        "Balanced accuracy in percent, with 95 % intervals (chance: 50.0)",
        "           full",
        "  scratch  60.0 (50.0 to 70.0)",
        "  moco     80.0 (70.0 to 90.0)",
    ]
    assert "and trainings: 1 better." in " ".join(map(str.strip, lines[4:]))
    assert max(map(len, lines)) <= 100
    assert "Attention" not in outcome(TABLES)


def test_variants_are_named_where_what_is_said_of_them_differs():
    accuracy = TABLES[ACCURACY]
    other = {column.replace("full", "inverted"): accuracy[column] for column in accuracy}
    accuracy = accuracy.assign(**other | {"inverted": [float("nan"), 75.0]})
    rows = TABLES[COMPARISONS]
    same = pd.concat([rows, rows.assign(variant="inverted")])
    text = outcome({**TABLES, ACCURACY: accuracy, COMPARISONS: same})
    assert "  scratch  60.0 (50.0 to 70.0)  -\n" in text
    assert text.count("Comparisons with") == 1
    assert "full: " not in text
    same = pd.concat([rows, rows.assign(variant="inverted", verdict="worse")])
    text = outcome({**TABLES, ACCURACY: accuracy, COMPARISONS: same})
    assert "\nfull: Comparisons" in text
    assert "\ninverted: Comparisons" in text


def test_of_many_curricula_the_terminal_has_the_best_and_the_worst():
    many = pd.concat([TABLES[ACCURACY]] * 7).assign(curriculum=[f"c{n}" for n in range(14)])
    text = " ".join(outcome({**TABLES, ACCURACY: many}).split())
    assert "Balanced accuracy on full: highest with 7 curricula, 80.0 %" in text
    assert "c13" not in text


@pytest.fixture
def written(tmp_path):
    rows = [("p1", "train", "negative"), ("p1", "train", "typical"), ("p2", "test", "negative")]
    images = pd.DataFrame(rows, columns=["patient_id", "split", "label"])
    images.to_csv(tmp_path / "images.csv", index=False)
    describe_list(tmp_path / "images.csv", split={}, source="")
    tables = {}
    for name, table in TABLES.items():
        tables[name] = tmp_path / f"{name}.csv"
        table.to_csv(tables[name], index=False)
    picture = tmp_path / "accuracy_overview.png"
    picture.write_bytes(b"\x89PNG")
    page, text = tmp_path / "summary.html", tmp_path / "summary.rst"
    write_summary(
        page, text, tmp_path / "summary.txt", study="small_*x*", facts=list(told().items()),
        tables=tables, images_csv=tmp_path / "images.csv",
        figures=dict.fromkeys(["accuracy_overview", "comparisons-full-scratch"], picture),
    )  # fmt: skip
    assert (tmp_path / "summary.txt").read_text(encoding="utf-8") == outcome(TABLES)
    return page.read_text(encoding="utf-8"), text.read_text(encoding="utf-8")


def test_the_page_has_findings_facts_counts_and_tables(written):
    page = written[0]
    assert page.count('<section class="table">') == 4
    assert page.count("data:image/png;base64,") == 2
    assert 'data-value="training"' in page
    assert 'data-column="patients"' in page
    columns = re.findall(r'data-column="([^"]*)"', page)
    assert [column for column in columns if not explain(column)] == []
    assert "How to read it" in page
    assert "exceeds it is attention" not in page
    assert "thesis" not in page.partition("<script>")[0]
    assert "p1" not in page


def test_the_description_is_valid_and_says_what_the_page_says(written):
    settings = {"halt_level": 2, "report_level": 2}
    html = docutils.core.publish_parts(written[1], writer="html", settings_overrides=settings)
    text = html["html_body"]
    assert "small_*x*" in text
    assert "highest with moco" in text
    assert "<td>training</td>" in text.replace("<p>", "").replace("</p>", "")
