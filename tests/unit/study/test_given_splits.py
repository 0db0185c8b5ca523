"""What a study makes of a split that is given: contradictions, recipes, and what it tells."""

from __future__ import annotations

import copy
import re

import pytest

from sscdl.archives.straddling import told_of
from sscdl.equivalence import group_hash
from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.planning.plan import plan
from sscdl.report.facts import facts, told
from sscdl.study.config import check_config, load_schema
from sscdl.study.reference import SCHEMA as PATH
from sscdl.study.study import Study
from sscdl.study.trie import Node
from tests.unit.table_archives import archive

SCHEMA = load_schema(PATH)
LISTS = {"train": "train.txt", "test": "test.txt"}
COLUMN = {"name": "part", "train": ["train"], "test": ["test"]}


@pytest.fixture
def config(tmp_path):
    """Return the configuration of an archive of eight patients with a column and lists."""
    rows = [(f"{n}.png", f"p{n}", "ab"[n % 2], "test" if n < 4 else "train") for n in range(8)]
    archive(tmp_path, ("file", "patient", "label", "part"), rows, [row[0] for row in rows])
    for side in ("train", "test"):
        (tmp_path / f"{side}.txt").write_text("\n".join(r[0] for r in rows if r[3] == side))
    labels = {name: {"column": "label", "values": [name]} for name in "ab"}
    table = {"root": str(tmp_path), "table": "table.csv", "labels": labels}
    table["columns"] = {"file": "file", "patient": "patient"}
    return {
        "study": "s", "store": str(tmp_path / "store"), "classes": ["a", "b"],
        "curricula": ["scratch", "rotation"], "dataset": {"layout": "table", "table": table},
    }  # fmt: skip


def study(config, found=None, **split):
    return Study(check_config(copy.deepcopy(config | {"split": split}), SCHEMA), found)


def test_a_split_that_is_drawn_has_the_recipe_that_it_always_had(config):
    plain = {"by": "patient", "stratified": True, "val": 0.15, "test": 0.2}
    assert study(config).split == plain
    nothing = dict.fromkeys(COLUMN)
    unused = study(config, lists=dict.fromkeys(LISTS), column=nothing, straddling="tell")
    assert unused.split == plain
    assert unused.nodes.keys() == study(config).nodes.keys()


def test_a_given_split_stands_in_recipes_by_what_comes_of_it(config):
    drawn = study(config)
    listed, told_by_column = (
        study(config, source="lists", lists=LISTS),
        study(config, source="column", column=COLUMN),
    )
    assert listed.split == told_by_column.split
    assert listed.split.keys() == {"by", "stratified", "val", "given"}
    assert listed.nodes.keys() == told_by_column.nodes.keys()
    assert not listed.nodes.keys() & drawn.nodes.keys()
    assert (listed.images, listed.masks) == (drawn.images, drawn.masks)
    other = study(config, source="lists", lists=LISTS, test=0.5, straddling="tell")
    assert other.nodes.keys() == listed.nodes.keys(), "its share is not drawn, nothing straddles"
    assert study(config, source="lists", lists=LISTS, val=0.3).split != listed.split
    val = LISTS | {"val": "train.txt", "train": None}
    with pytest.raises(InputError, match="split.lists: leaves no image to train on"):
        study(config, source="lists", lists=val).nodes  # noqa: B018


def test_what_pretrains_on_all_images_knows_which_a_given_split_leaves_out(config):
    thesis = config | {"protocol": "thesis"}
    drawn, given = study(thesis), study(thesis, source="lists", lists=LISTS)
    everything = given.data("full")["pretext"]
    assert everything.pop("given") == given.split["given"]
    assert everything.pop("given_source") == group_hash("given split")
    assert everything == drawn.data("full")["pretext"]


def test_with_validation_that_is_given_no_share_is_drawn(config, tmp_path):
    (tmp_path / "val.txt").write_text("7.png\n6.png")
    lists = {"test": "test.txt", "val": "val.txt"}
    made = study(config, source="lists", lists=lists, val=0)
    assert made.split.keys() == {"given"}
    for drawn in ({"val": 0.4}, {"stratified": False}, {"near_duplicates": "ignore"}):
        other = study(config, source="lists", lists=lists, **drawn)
        assert made.nodes.keys() == other.nodes.keys()
    seeded = study(config | {"split_seed": 7}, source="lists", lists=lists)
    assert made.nodes.keys() == seeded.nodes.keys(), "a seed that nothing is drawn by"
    first, second = (
        study(config | {"split_seed": seed}, source="lists", lists=LISTS) for seed in (0, 7)
    )
    assert not first.nodes.keys() & second.nodes.keys(), "validation is drawn by it"


def paired(made):
    """Write a record of one pair of near-duplicates, of two patients."""
    pair = {"image_ids": ["1", "5"], "patient_ids": ["p1", "p5"], "cohorts": ["main"] * 2}
    made.near_record.parent.mkdir(parents=True)
    pairs = [pair | {"correlation": 0.99}]
    write_json(made.near_record, {"pairs": pairs, "compared": 8, "bound": 0.9})


def test_near_duplicates_change_no_split_that_is_given_as_a_whole(config, tmp_path):
    (tmp_path / "val.txt").write_text("7.png\n6.png")
    given = {"source": "lists", "lists": {"test": "test.txt", "val": "val.txt"}}
    before = study(config, **given).nodes.keys()
    assert study(config, **given, near_duplicates="aside").nodes.keys() == before, "none is known"
    paired(study(config))
    assert study(config, **given).nodes.keys() == before
    assert study(config, **given).near_treatment == "ignore"
    aside = study(config, **given, near_duplicates="aside")
    assert aside.split.keys() == {"by", "given", "near_duplicates"}
    drawn = study(config, source="lists", lists=LISTS)
    assert "near_duplicates" in drawn.split, "validation is drawn"
    others = config | {"pretraining_dataset": config["dataset"]}
    pretrained = study(others, **given)
    assert pretrained.near_treatment == "together", "it may be held back from pretraining"
    assert pretrained.split.keys() == {"given"}, "there is none in both"


def test_what_only_the_findings_have_is_known_of_a_given_split(config, tmp_path):
    first = study(config, source="lists", lists=LISTS)
    split, findings = first.split, first.split_findings
    with (tmp_path / "test.txt").open("a") as file:
        file.write("\ngone.png")
    second = study(config, source="lists", lists=LISTS)
    assert split == second.split
    assert findings != second.split_findings
    assert study(config).split_findings is None


def test_the_code_that_takes_a_given_split_is_in_its_recipes_alone(config, monkeypatch):
    kinds = {"drawn": {}, "given": {"source": "lists", "lists": LISTS}}
    before = {kind: study(config, **split).nodes.keys() for kind, split in kinds.items()}
    assert "given split" in study(config, **kinds["given"]).sources
    assert "given split" not in study(config).sources

    def other(group):
        return "another code" if group == "given split" else group_hash(group)

    monkeypatch.setattr("sscdl.study.study.group_hash", other)
    after = {kind: study(config, **split).nodes.keys() for kind, split in kinds.items()}
    assert after["drawn"] == before["drawn"]
    assert not after["given"] & before["given"]


def test_a_plan_in_a_fresh_folder_says_what_is_given(config, tmp_path):
    with (tmp_path / "test.txt").open("a") as file:
        file.write("\ngone.png")
    made = study(config, source="lists", lists=LISTS)
    told = made.outline()
    nodes = [Node(**node) for node in told.pop("nodes")]
    paths = {key: tmp_path / told.pop(key) for key in ("store", "images_csv", "table")}
    assert told["sides"] == {"train": 4, "test": 4}
    text = plan(nodes, **paths, **told)
    assert (
        "The split is given (split.source: lists): of 8 image files 4 to train on, 4 to test on, 0 "
        "on no side; validation is drawn from those that train"
    ) in text
    lost = "split.lists.test: 1 of the 5 names in test.txt lead to no image file (line 5: no such"
    assert lost in text
    assert made.split_notes[0].startswith(lost)
    assert study(config).split_told == study(config).split_notes == []


def test_a_group_for_the_split_makes_no_other_images(config, tmp_path):
    """Neither does another way to write a pattern that finds the same."""

    def images(pattern):
        folders = {"root": str(tmp_path), "patterns": [pattern], "labels": {"a": ["a"], "b": ["b"]}}
        return study(config | {"dataset": {"layout": "folders", "folders": folders}}).images

    for path in ("train/a/p1.png", "test/b/p2.png"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    plain = images(r"(?P<label>a|b)/(?P<patient>p\d+)")
    assert images(r"(?P<split>train|test)/(?P<label>a|b)/(?P<patient>p[0-9]+)") == plain
    assert images(r"(?P<label>a|b)/(?P<patient>p)\d+") != plain
    assert images(r"(?P<label>a|b)/(?P<study>p\d+)") != plain


def test_jobs_are_told_what_was_read(config, tmp_path):
    made = study(config, source="lists", lists=LISTS)
    found = made.found
    (tmp_path / "test.txt").unlink()
    again = study(config, found, source="lists", lists=LISTS)
    assert again.split == made.split
    assert again.split_read_from["split"]["lists"]["test"] == "test.txt"
    assert study(config).split_read_from is None
    with pytest.raises(InputError, match="split.lists.test: .*test.txt cannot be read"):
        # Of another question, what was found says nothing.
        study(config, found, source="lists", lists=LISTS, val=0.3).split  # noqa: B018


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"source": "lists"}, "split.lists.test: missing; the list of the test images"),
        ({"source": "column", "column": {"test": [1]}}, "split.column.name: missing; the column"),
        ({"source": "column", "column": {"name": "part"}}, "split.column.test: missing; its val"),
        (
            {"source": "column", "column": COLUMN | {"val": [" test"]}},
            "split.column.test: 'test' is also val; leave one",
        ),
        (
            {"source": "column", "column": COLUMN | {"train": [1], "test": ["01.0"]}},
            "split.column.test: '1' is also train",
        ),
        ({"source": "lists", "lists": dict.fromkeys(LISTS, "x")}, "test: 'x' is also train"),
        (
            {"lists": LISTS},
            "split.lists.train: given, but split.source is drawn, which does not use it; set "
            "split.source: lists, or null for train, test of split.lists",
        ),
        (
            {"source": "lists", "lists": LISTS, "column": {"pattern": "x"}},
            "split.column.pattern: given, but split.source is lists, which does not use it",
        ),
        ({"source": "lists", "lists": LISTS, "val": 0}, "split.val: 0, but protocol strict"),
        ({"source": "list"}, "'list' is not one of drawn, column, lists; did you mean 'lists'"),
        ({"straddle": "tell"}, "split.straddle: no such key; did you mean 'straddling'"),
    ],
)
def test_contradictions_are_named_with_their_keys(config, split, message):
    with pytest.raises(InputError, match=re.escape(message)):
        study(config, **split)


def test_synthetic_images_and_the_challenges_layout_have_no_column(config):
    phantom = config | {"dataset": {"layout": "phantom"}, "classes": ["negative", "typical"]}
    with pytest.raises(InputError, match="split.source: lists goes with real archives"):
        study(phantom, source="lists", lists=LISTS)
    siim = phantom | {"dataset": {"layout": "siim", "siim": {"root": "/data"}}}
    with pytest.raises(InputError, match="split.source: column, but layout siim has none"):
        study(siim, source="column", column=COLUMN)


def test_an_archive_of_folders_needs_patterns_and_knows_its_labels(config):
    folders = {"root": "/data", "labels": {"a": ["A"], "b": None}}
    dataset = {"layout": "folders", "folders": folders}
    with pytest.raises(
        InputError, match="dataset.folders.patterns: missing; regular expressions that"
    ):
        study(config | {"dataset": dataset})
    folders["patterns"] = ["(?P<label>A|B)"]
    with pytest.raises(InputError, match="classes: 'b' is no label of the data set; .*: a"):
        study(config | {"dataset": dataset})


def test_the_summary_tells_where_the_split_comes_from_and_names_no_file(config, tmp_path):
    def protocol(**split):
        made = study(config, **split)
        text = told(made.config)
        assert str(tmp_path) not in str(text)
        rates = {"rotation": [1], "classify": [1]}
        about = {"origin": "table", "masks": "default", "curricula": made.curricula}
        return dict(facts(text, **about, rates=rates))["Protocol"]

    absolute = {side: str(tmp_path / name) for side, name in LISTS.items()}
    assert protocol().endswith(". Split by patient, seed 0.")
    assert protocol(source="lists", lists=absolute).endswith(
        ". The split is given, by lists of files; of its training side, 15 % were drawn for "
        "validation, by patient, seed 0."
    )
    column = COLUMN | {"val": ["dev"]}
    assert protocol(source="column", column=column).endswith(
        ". The split is given, by what tables or paths say of each image, with its validation "
        "images."
    )


def test_a_note_stands_below_tables_only_where_patients_may_straddle():
    assert told_of({"source": "drawn", "straddling": "tell"}) == []
    assert told_of({"source": "lists", "straddling": "refuse"}) == []
    (note,) = told_of({"source": "lists", "straddling": "tell"})
    assert "patients may be on several sides" in note


def test_a_split_that_is_given_as_a_whole_is_not_refused_for_what_would_be_drawn_by(
    config, tmp_path
):
    (tmp_path / "val.txt").write_text("7.png\n6.png")
    lists = {"test": "test.txt", "val": "val.txt"}
    made = study(config | {"protocol": "strict"}, source="lists", lists=lists, by="image")
    assert made.split.keys() == {"given"}
    with pytest.raises(InputError, match="'image' lets patients straddle"):
        study(config | {"protocol": "strict"}, source="lists", lists=LISTS, by="image")
