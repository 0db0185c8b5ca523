"""Tables made again from the predictions alone: every cell agrees, and a planted one is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import nih_seeds, pediatric
from sscdl.__main__ import main
from sscdl.archives.cohorts import MARKED
from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.report.check import check_tables
from sscdl.study.thesis import FOUR_CLASSES
from sscdl.tables.beside import write_beside
from sscdl.tables.column_texts import explain
from sscdl.tables.findings.tables import FINDING_TABLES
from sscdl.tables.overview import accuracy_overview
from sscdl.tables.predictions import PREDICTION_TABLES
from sscdl.tables.thesis.write import write_thesis_table
from sscdl.tables.write import write_prediction_table
from tests.unit import records
from tests.unit.made_up import CLASSES, THESIS, made_up, made_up_curves, made_up_untrained

TWO = ("4.8_summary_full", "4.10_summary_full", "curriculum_kinds")
FOUR = ("4.5_naive_full",)
MODELS = {"scratch": 0.6, "moco": 0.7, "moco+swav": 0.8}


MADE = [name for name in PREDICTION_TABLES if name not in FINDING_TABLES]


def pointer(folder: Path, name: str, task: str) -> Path:
    """Write the pointer of a stage and return its path."""
    history = [{"epoch": 1, "finite": True, "loss": 1.0, "chance": 2.0}]
    run = records.run(epochs=1, history=history)
    final = {**run, "weights": {"bytes": 1, "sha256": ""}}
    path = folder / f"{name}.f.json"
    write_json(path, records.pointer(node=name, task=task, candidates=[run], final=final))
    return path


def written(folder: Path, thesis_tables, thesis_figures: bool = True, **more) -> Path:
    """Write predictions and all tables of a small study and return its results folder."""
    files = []
    (folder / "predictions").mkdir(parents=True)
    # Not in the order of their names, as the workflow has them in the order of the curricula.
    variants = ("full", "segmented_black")
    for variant in variants:
        for seed in (0, 1) if variant == "full" else (0,):
            for name, right in MODELS.items():
                parts = [made_up(variant, name, right=right, seed=seed, **more)]
                parts += [made_up(variant, name, split=s, seed=seed, **more) for s in MARKED]
                files.append(folder / f"predictions/{variant}.{name}.s{seed}.csv")
                pd.concat(parts).to_csv(files[-1], index=False)
    files.append(folder / "predictions/metadata.csv")
    views = [made_up("metadata", f"metadata:{name}", **more) for name in ("view", "view+sex+age")]
    pd.concat(views).to_csv(files[-1], index=False)
    (folder / "predictions/shown").mkdir()
    shown = [folder / "predictions/shown/full.moco.s0.csv"]
    other = made_up("full", "moco", right=0.6, **more).assign(shown="segmented_black")
    other.to_csv(shown[0], index=False)
    (folder / "predictions/probe").mkdir()
    probe = [folder / "predictions/probe/full.s0.csv"]
    runs = [
        made_up("full", name, seed=draw + 2 * network, **more).assign(
            seed=0, share=0.1, draw=draw, n_labels=9, network=network if name == "scratch" else None
        )
        for name, network in (("scratch", 0), ("scratch", 1), ("moco", 0))
        for draw in (0, 1)
    ]
    # A whole number beside fractions: text in one table, a number in another.
    runs += [run.assign(share=1.0, n_labels=90) for run in runs[::2]]
    pd.concat(runs).to_csv(probe[0], index=False)
    (folder / "predictions/few_labels").mkdir()
    few = [folder / f"predictions/few_labels/full.{name}.s0.csv" for name in MODELS]
    for name, path in zip(MODELS, few, strict=True):
        runs = [
            made_up("full", name, seed=draw, **more).assign(
                seed=0, share=share, draw=draw, n_labels=9, n_fewest=2
            )
            for share, draw in ((0.1, 0), (0.1, 1), (1.0, 0))
        ]
        pd.concat(runs).to_csv(path, index=False)
    (folder / "predictions/untrained").mkdir()
    untrained = [folder / f"predictions/untrained/{variant}.csv" for variant in variants]
    for variant, path in zip(variants, untrained, strict=True):
        splits = ("test", *MARKED)
        made = [made_up_untrained(variant, split=s, rows=more["rows"]) for s in splits]
        pd.concat(made).to_csv(path, index=False)
    (folder / "predictions/faithfulness").mkdir()
    curves = [folder / f"predictions/faithfulness/full.moco.s{seed}.csv" for seed in (0, 1)]
    for seed, path in enumerate(curves):
        made_up_curves("full", "moco", seed=seed, **more).to_csv(path, index=False)
    made_of = {
        **dict.fromkeys(("4.15_ail_overview", "attention", "shortcut"), files + untrained),
        "cross_variants": files + shown + untrained, "linear_probe": probe,
        "faithfulness": curves, "few_labels": few,
    }  # fmt: skip
    nodes = [pointer(folder, "moco+classify", "classify"), pointer(folder, "classify", "classify")]
    alone = [pointer(folder, "moco", "moco")]
    common = {"split": "test", "thesis": THESIS, "stand_ins": [], "map_notes": ["A coarse map."]}
    common["thesis_figures"] = thesis_figures
    for name in MADE:
        out = folder / f"tables/{name}.csv"
        read = made_of.get(name, files)
        write_prediction_table(name, read, out, convention="lungs", margin=5, **common)
    for name in thesis_tables:
        out, stages = folder / f"tables/{name}.csv", alone if "kinds" in name else nodes
        write_thesis_table(name, files, stages, out, batches={"moco": 8}, classes=CLASSES, **common)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Return the results folder of a study of two classes."""
    return written(tmp_path_factory.mktemp("two") / "study", TWO, rows=24)


@pytest.fixture
def results(finished, tmp_path) -> Path:
    """Return a copy of the finished study that a test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / "study"))


def test_every_cell_is_made_again(finished):
    faults, checked = check_tables(finished)
    assert faults == []
    assert set(checked) == {*MADE, *TWO}
    assert min(checked.values()) > 0


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda content: b"", r"is an empty file \(0 bytes\)"),
        (lambda content: content[:-20], "is cut off"),
        (lambda content: content[:30], "is cut off"),
        (lambda content: content.partition(b"\n")[0] + b"\n", "has no rows"),
        (lambda content: b'image_id\n"1\n', "is no table"),
        (lambda content: b"image_id\n\xff\n", "is no table"),
        (lambda content: content.replace(b"label", b"lable", 1), "has no column 'label'"),
    ],
)
@pytest.mark.parametrize("name", ["full.moco.s0", "probe/full.s0"])
def test_predictions_that_are_damaged_are_named(results, damage, told, name, capsys):
    path = results / f"predictions/{name}.csv"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=rf"{name}.csv: {told}.*; delete it and run"):
        check_tables(results)
    assert main(["tables", "check", str(results)]) == 2
    assert f"{name}.csv: " in capsys.readouterr().err


def test_predictions_that_end_between_two_lines_are_named(results):
    path = results / "predictions/full.moco.s1.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]))
    faults, _ = check_tables(results)
    number = len(lines) - 1
    assert faults[0] == (
        f"{path}: has {number - 3} rows, others of its variant {number}; delete it and run the "
        "study again"
    )


def test_a_table_that_is_damaged_is_named(results):
    path = results / "tables/calibration.csv"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"calibration.csv: is cut off"):
        check_tables(results)


def test_the_tables_of_four_classes_are_made_again(tmp_path):
    folder = written(tmp_path / "study", FOUR, False, rows=24, classes=FOUR_CLASSES)
    faults, checked = check_tables(folder)
    assert faults == []
    assert "4.5_naive_full" in checked
    tables = [path for path in (folder / "tables").iterdir() if path.suffix in {".csv", ".md"}]
    assert [path.name for path in tables if "_thesis" in path.read_text()] == []


def test_every_column_is_explained(finished, tmp_path):
    four = written(tmp_path / "study", FOUR, rows=24, classes=FOUR_CLASSES)
    tables = [*finished.glob("tables/*.csv"), four / f"tables/{FOUR[0]}.csv"]
    columns = {column for table in tables for column in pd.read_csv(table, nrows=0)}
    assert {column for column in columns if not explain(column)} == set()
    assert explain("nonsense") == ""
    assert "thesis prints" in explain("accuracy_thesis")


def test_the_benchmark_prints_what_these_tables_hold(finished, capsys):
    makers = [nih_seeds.accuracies, nih_seeds.groups, nih_seeds.comparisons, nih_seeds.attention]
    nih_seeds.print_tables(finished / "tables", [*makers, nih_seeds.shown_others, nih_seeds.probes])
    printed = capsys.readouterr().out
    accuracy = pd.read_csv(finished / "tables/subgroups.csv").iloc[0]
    cells = [f"{accuracy[f'balanced_accuracy{part}']:.1f}" for part in ("", "_low", "_high")]
    assert f"| {cells[0]} [{cells[1]}, {cells[2]}]" in printed
    assert printed.count("| variant ") == 6
    assert "nan" not in printed.partition("segmented_black")[0]


def test_the_pediatric_page_is_printed_from_these_tables(finished, tmp_path, capsys):
    tables = shutil.copytree(finished / "tables", tmp_path / "tables")
    runs = [
        ("full", name, "classification", seed, lr, epochs, lr == 0.1)
        for name in ("scratch", "moco")
        for seed in (0, 1)
        for lr, epochs in ((0.1, 2), (0.3, 2), (0.1, 6))
    ]
    columns = ["variant", "curriculum", "stage", "seed", "lr", "epochs", "chosen"]
    pd.DataFrame(runs, columns=columns).to_csv(tables / "learning_rates.csv", index=False)
    nih_seeds.print_tables(tables, pediatric.MAKERS)
    printed = capsys.readouterr().out
    assert printed.count("| variant ") == len(pediatric.MAKERS)
    assert "above metadata" not in printed
    chosen = pediatric.rates({"learning_rates": pd.read_csv(tables / "learning_rates.csv")})
    assert chosen["0.1"].tolist() == ["2", "2"]
    assert chosen["0.3"].tolist() == ["0", "0"]


def test_a_wrong_cell_is_found_in_every_column_of_every_table(results):
    keys = {
        "variant",
        "curriculum",
        "against",
        "seed",
        "split",
        "group",
        "shown",
        "order",
        "label",
        "predicted",
        "label_share",
        "bin",
        "positive",
        "rule",
        "finding",
    }
    planted = []
    for name in (*MADE, *TWO):
        path = results / f"tables/{name}.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        # Named by what predictions cannot tell, or by what rows are about: tested below.
        columns = [c for c in table if c not in {*keys, "best_lr", "kind", "difficulty"}]
        for place, column in enumerate(columns):
            # The margin of the first row is what all rows are made again with.
            row = len(table) - 1 if column == "margin" else place % len(table)
            value = table.loc[row, column]
            try:
                table.loc[row, column] = f"{float(value) * 1.00001 + 0.00001:.10g}"
            except ValueError:
                table.loc[row, column] = f"{value}x" if any(table[column]) else "7"
            planted.append((name, column))
        table.to_csv(path, index=False)
    faults = check_tables(results)[0]
    missed = [
        (name, column)
        for name, column in planted
        if not any(f.startswith(f"{name}: ") and f", {column}: " in f for f in faults)
    ]
    assert missed == []
    assert len(faults) == len(planted)


def test_a_fault_names_table_row_column_and_both_values(results):
    path = results / "tables/4.14_accuracy_overview.csv"
    table = pd.read_csv(path)
    right = table.loc[1, "full"]
    table.loc[1, "full"] = 99.5
    table.to_csv(path, index=False)
    (fault,) = check_tables(results)[0]
    assert fault.startswith("4.14_accuracy_overview: curriculum moco, full: '99.5' in the table")
    assert f"'{right:.6f}"[:9] in fault


def test_rows_and_columns_that_are_missing_doubled_or_invented_are_found(results):
    path = results / "tables/accuracy_details.csv"
    table = pd.read_csv(path)
    first = table.iloc[[0]]
    for spoiled, message in (
        (table.iloc[1:], "comes from the predictions only"),
        (pd.concat([table, first.assign(curriculum="new")]), "curriculum new, split test comes"),
        (pd.concat([table, first]), "more than once in the table"),
        (table.drop(columns="auc"), "column auc comes from the predictions only"),
        (table.assign(luck=1), "column luck comes from the table only"),
    ):
        spoiled.to_csv(path, index=False)
        (fault,) = check_tables(results)[0]
        assert message in fault
    table.iloc[::-1].to_csv(path, index=False)
    assert check_tables(results)[0] == []


def test_a_changed_untrained_network_is_found_and_a_missing_one_is_named(results):
    path = results / "predictions/untrained/full.csv"
    rows = pd.read_csv(path)
    rows.loc[rows["network"] == 1, "ail_contrast"] += 0.1
    rows.to_csv(path, index=False)
    faults = check_tables(results)[0]
    assert {fault.split(":")[0] for fault in faults} == {"attention"}
    assert {fault.split(",")[3].split(":")[0].strip() for fault in faults} == {
        "ail_contrast_random", "ail_contrast_random_std", "lift_contrast_random",
        "lift_contrast_random_low", "lift_contrast_random_high",
    }  # fmt: skip
    path.unlink()
    with pytest.raises(InputError, match="predictions/untrained: no network of variant full"):
        check_tables(results)
    shutil.rmtree(path.parent)
    assert "attention: no predictions/untrained/*.csv to make it from" in check_tables(results)[0]


def test_a_changed_prediction_is_found(results):
    path = results / "predictions/full.moco.s1.csv"
    rows = pd.read_csv(path)
    rows.loc[0, "predicted"] = {"negative": "typical", "typical": "negative"}[rows["predicted"][0]]
    rows.to_csv(path, index=False)
    tables = {fault.split(":")[0] for fault in check_tables(results)[0]}
    assert {"4.14_accuracy_overview", "4.8_summary_full", "confusions", "comparisons"} <= tables


def test_the_command_says_what_it_found(results, capsys):
    assert main(["tables", "check", str(results)]) == 0
    assert "0 differ" in capsys.readouterr().out
    path = results / "tables/confusions.csv"
    table = pd.read_csv(path)
    table.loc[0, "count"] += 1
    table.to_csv(path, index=False)
    assert main(["tables", "check", str(results)]) == 1
    assert "1 differ" in capsys.readouterr().out


def test_models_that_no_table_names_are_one_fault_each(results):
    stale = made_up("full", "swav", rows=24)
    stale.to_csv(results / "predictions/full.swav.s0.csv", index=False)
    shown = stale.assign(shown="segmented_black")
    shown.to_csv(results / "predictions/shown/full.swav.s0.csv", index=False)
    faults, _ = check_tables(results)
    assert len(faults) == 1
    assert faults[0].startswith("full swav: has predictions, but no table names it")


def test_a_study_beside_that_is_gone_is_a_fault(results):
    other = results.parent / "2023" / "predictions"
    shutil.copytree(results / "predictions", other)
    files = [path for path in sorted((results / "predictions").glob("*.csv"))]
    out = results / "tables/beside.csv"
    write_beside(files, {"2023": sorted(other.glob("*.csv"))}, out, split="test", margin=5)
    assert check_tables(results)[0] == []
    out.write_text(out.read_text().replace("2023", "2024"))
    assert check_tables(results)[0] == ["beside: study 2024 has no predictions"]
    out.write_text(out.read_text().splitlines()[0] + "\n")
    assert check_tables(results)[0] == ["beside: the table has no rows"]


def test_further_variants_stand_in_the_order_of_their_names(tmp_path):
    variants = ("full", "segmented_gray", "inverted")
    rows = pd.concat([made_up(name, "moco", rows=24) for name in variants])
    first = accuracy_overview(rows, "test", thesis_dir=THESIS)
    again = accuracy_overview(rows[::-1], "test", thesis_dir=THESIS)
    assert first.columns.tolist() == again.columns.tolist()
    assert first["best"].tolist() == again["best"].tolist()


def test_folders_without_predictions_or_tables_are_refused(results, tmp_path):
    with pytest.raises(InputError, match="no predictions"):
        check_tables(tmp_path / "nothing")
    shutil.rmtree(results / "tables")
    with pytest.raises(InputError, match="none of the tables"):
        check_tables(results)
