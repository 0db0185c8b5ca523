"""A study of several findings: from a table of them to scores, and what is refused on the way."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sscdl.finding_labels import read_label
from sscdl.phantom.archive import write_archive
from sscdl.store.nodes import read_nodes
from sscdl.study.outputs import OF_FINDINGS
from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner

FINDINGS = ["Opacity", "Device"]


def with_table(root):
    """Write a synthetic archive and a table of two findings, one of them not always known."""
    write_archive(root, patients=36, size=96, seed=5, classes={"negative": 0.5, "typical": 0.5})
    studies = pd.read_csv(root / "train_study_level.csv").set_index("id")["Typical Appearance"]
    lines = ["path,patient,findings,device"]
    for number, path in enumerate(sorted((root / "train").rglob("*.dcm"))):
        study = path.parent.parent.name
        opacity = studies[f"{study}_study"]
        findings = "Opacity|Else" if opacity else "No Finding"
        # A device is mostly in those who are ill, so that both findings are often together.
        device = ("0.0", "1.0", "-1.0")[number % 3] if opacity else ("0.0", "")[number % 2]
        lines.append(f"{path.relative_to(root)},{study},{findings},{device}")
    (root / "table.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Runner, str]:
    """Return a finished study of findings, and what was said on the terminal."""
    place = tmp_path_factory.mktemp("findings")
    with_table(place / "archive")
    config = copy.deepcopy(TINY)
    config["dataset"] = {
        "layout": "table",
        "table": {
            "root": str(place / "archive"), "table": "table.csv", "ids": "file",
            "columns": {"file": "path", "patient": "patient"},
            "labels": {
                "Opacity": {"column": "findings", "values": ["Opacity"], "separator": "|"},
                "Device": {"column": "device", "values": [1], "unknown": [-1]},
            },
        },
    }  # fmt: skip
    config["stages"]["findings"] = config["stages"].pop("classify")
    config |= {"study": "findings", "findings": FINDINGS, "store": "store", "seeds": [0, 1]}
    config |= {"variants": ["full"], "results": {"patient_images": True, "random_networks": 3}}
    config["few_labels"] = {"shares": [0.5], "draws": 1, "epochs": 2}
    # Synthetic pictures are alike; that is another matter.
    config["split"] = {"test": 0.4, "near_duplicates": "ignore"}
    runner = Runner(place / "run", config)
    return runner, runner()


def predictions(runner, seed):
    path = runner.results / f"predictions/full.rotation.s{seed}.csv"
    rows = pd.read_csv(path, keep_default_na=False)
    return rows[rows["split"] == "test"]


def test_scores_are_those_of_scikit_learn_on_what_is_known(finished):
    runner, _ = finished
    table = pd.read_csv(runner.results / "tables/finding_scores.csv")
    rows = table[table["curriculum"] == "rotation"].set_index("finding")
    for name, place in (("Opacity", 0), ("Device", 1)):
        found = []
        for seed in (0, 1):
            tested = predictions(runner, seed)
            states = np.array([read_label(label, FINDINGS)[place] for label in tested["label"]])
            known, scores = states >= 0, tested[f"prob_{name}"].astype(float)
            found.append([measure(states[known], scores[known])
                          for measure in (roc_auc_score, average_precision_score)])  # fmt: skip
        means = np.mean(found, axis=0)
        assert rows.loc[name, ["auc", "average_precision"]].to_list() == pytest.approx(means)
        assert rows.loc[name, "n_images"] == known.sum()
    assert rows.loc["mean", "auc"] == pytest.approx(rows.loc[FINDINGS, "auc"].mean())
    assert (states == -1).any(), "nothing was unknown: the test is empty"


def test_what_came_out_is_told_and_checked(finished):
    runner, said = finished
    assert "val mean AUC" in said
    assert "AUC" in (runner.results / "summary.txt").read_text()
    page = (runner.results / "summary.html").read_text()
    assert "Opacity and Device" in page
    assert "Balanced accuracy" not in page
    assert "alanced accuracy" not in (runner.results / "summary.txt").read_text()
    tables = {path.stem for path in (runner.results / "tables").glob("*.csv")}
    assert {*OF_FINDINGS, "finding_few_labels"} <= tables
    assert not any(name[0].isdigit() for name in tables - {"3.1_backbones", "4.1_normalisation"})
    done = sscdl(runner, "tables", "check", str(runner.results))
    assert done.returncode == 0, done.stderr


def test_attention_is_told_beside_untrained_networks_and_curves_are_drawn(finished):
    runner, _ = finished
    table = pd.read_csv(runner.results / "tables/finding_attention.csv")
    assert set(table["finding"]) == set(FINDINGS)
    assert table[["ail_random", "ail_random_std", "floor"]].notna().all(axis=None)
    networks = pd.read_csv(runner.results / "predictions/untrained/full.csv")["network"]
    assert networks.nunique() == 3
    for name in ("roc", "precision_recall"):
        assert (runner.results / f"figures/{name}.png").stat().st_size > 10_000


def test_few_labels_are_trained_with_beside_all_of_them(finished):
    runner, _ = finished
    rows = pd.read_csv(runner.results / "predictions/few_labels/full.rotation.s1.csv",
                       keep_default_na=False)  # fmt: skip
    trainings = rows.groupby(["share", "draw"])["n_labels"].first().to_dict()
    assert list(trainings) == [(0.5, 0), (1.0, 0)]
    assert trainings[0.5, 0] < trainings[1.0, 0]
    # That with all labels is the one that all other tables are of.
    own = predictions(runner, 1)
    whole = rows[(rows["share"] == 1) & (rows["split"] == "test")]
    for name in FINDINGS:
        assert whole[f"prob_{name}"].to_list() == pytest.approx(own[f"prob_{name}"].to_list())
    table = pd.read_csv(runner.results / "tables/finding_few_labels.csv")
    assert table["label_share"].to_list() == [0.5, 1.0] * 2
    assert table["n_seeds"].eq(2).all()
    assert (runner.results / "figures/few_labels.png").stat().st_size > 10_000
    assert "findings l0.5d0" in runner("plan")
    trained = pd.read_csv(runner.results / "tables/trainings.csv")
    assert not trained.duplicated(["variant", "stage", "seed"]).any()
    monitors = {path.name for path in (runner.results / "monitors/full").iterdir()}
    assert {"findings.s0", "findings.s0.l0.5d0"} <= monitors


def test_the_list_of_images_has_every_finding(finished):
    images = pd.read_csv(finished[0].results / "images.csv", keep_default_na=False)
    assert {"-", "Opacity", "Device|Opacity", "Device?|Opacity"} == set(images["label"])
    shown = images[images["label"].str.contains("Opacity")]
    assert {"train", "val", "test"} <= set(shown["split"])


def test_a_finished_study_is_not_made_again(finished):
    runner, _ = finished
    assert "Nothing to be done" in runner("--dry-run")


def documented(runner, labels) -> list[list[str]]:
    """Return the commands of the page on finished models that are about findings, on this study."""
    block = re.search(
        r"## Several findings\n.*?```bash\n(.*?)```",
        (ROOT / "docs/finished-models.md").read_text(), re.DOTALL,
    )[1]  # fmt: skip
    places = {
        "mine.yaml": "study.yaml", "results/mine": "results/findings",
        "--node rotation": f"--node {pointer(runner, 0)}",
        "/data/new-images/labels.csv": str(labels),
        "/data/new-images": str(runner.folder.parent / "archive/train"),
    }  # fmt: skip
    for theirs, ours in places.items():
        assert theirs in block
        block = block.replace(theirs, ours)
    return [line.split()[3:] for line in block.splitlines() if line.startswith("python -m sscdl ")]


@pytest.fixture(scope="module")
def exported(finished) -> tuple[Runner, dict[str, str]]:
    """Return the study after its model went through all documented commands, and what they said."""
    runner, _ = finished
    images = pd.read_csv(runner.results / "images.csv", keep_default_na=False)
    rows = [
        {"file": row["image_id"], "patient": row["patient_id"]}
        | dict(zip(FINDINGS, (str(state).replace("-1", "") for state in
                              read_label(row["label"], FINDINGS)), strict=True))
        for _, row in images[images["split"] == "test"].iterrows()
    ]  # fmt: skip
    labels = runner.folder / "labels.csv"
    pd.DataFrame(rows).to_csv(labels, index=False)
    said = {}
    commands = documented(runner, labels)
    assert [command[1] for command in commands] == ["export", "predict", "score"]
    for command in commands:
        done = sscdl(runner, *command)
        assert done.returncode == 0, done.stderr
        said[command[1]] = done.stdout + done.stderr
    return runner, said


def test_an_exported_model_says_what_the_study_says(exported):
    runner, _ = exported
    described = json.loads((runner.folder / "models/findings/model.json").read_text())
    assert described["version"] == 2
    assert described["several"] is True
    chosen = described["thresholds"]
    assert (chosen["rule"], chosen["chosen_on"]) == ("sensitivity 90 %", "val")
    found = pd.read_csv(runner.folder / "out/new-images/predictions.csv")
    found["image_id"] = found["file"].str.removesuffix(".dcm")
    both = predictions(runner, 0).merge(found, on="image_id", suffixes=("", "_found"))
    assert len(both) > 10
    for name in FINDINGS:
        values = both[f"prob_{name}_found"]
        assert both[f"prob_{name}"].astype(float).to_numpy() == pytest.approx(values, rel=1e-4)
        assert both[f"ail_of_{name}"].replace("", "nan").astype(float).to_numpy() == pytest.approx(
            both[f"ail_of_{name}_found"], abs=1e-4, nan_ok=True
        )
        called = values >= chosen["values"][name]
        assert (both[f"called_{name}"] == called).all()
    # Thresholds keep what the rule asks for, on the images that chose them.
    path = runner.results / "predictions/full.rotation.s0.csv"
    val = pd.read_csv(path, keep_default_na=False).query("split == 'val'")
    for place, name in enumerate(FINDINGS):
        shown = np.array([read_label(label, FINDINGS)[place] for label in val["label"]]) == 1
        assert chosen["images"][name][0] == shown.sum() > 0
        above = val[f"prob_{name}"].astype(float) >= chosen["values"][name]
        assert above[shown].mean() >= 0.9


def test_its_card_and_its_scores_are_those_of_the_study(exported):
    runner, said = exported
    card = (runner.folder / "models/findings/README.md").read_text()
    assert "| tells, each by itself, whether an image shows | Opacity, Device |" in card
    assert "with a sensitivity of 90 % or more" in card
    tested = predictions(runner, 0)
    places = {name: place for place, name in enumerate(FINDINGS)}
    table = pd.read_csv(runner.folder / "out/new-images/scores.csv").set_index("finding")
    for name, place in places.items():
        states = np.array([read_label(label, FINDINGS)[place] for label in tested["label"]])
        chances = tested[f"prob_{name}"].astype(float)[states >= 0]
        area = roc_auc_score(states[states >= 0], chances)
        assert table.loc[name, "auc"] == pytest.approx(area, abs=1e-6)
        row = next(line for line in card.splitlines() if line.startswith(f"| {name} | 0."))
        assert f"{area:.4g}" in row
    assert "sensitivity" in said["score"]


def test_a_model_is_exported_with_predictions_of_its_own_alone(finished):
    runner, _ = finished
    for more, told in (
        (["--node", "rotation"], "fits 2 classifiers"),
        (["--node", pointer(runner, 0)], "with --predictions"),
        (
            ["--node", pointer(runner, 0), "--predictions",
             str(runner.results / "predictions/full.rotation.s1.csv")],
            "are not those of this model",
        ),
    ):  # fmt: skip
        done = sscdl(runner, "model", "export", "store", "refused", *more,
                     "--configfile", "study.yaml")  # fmt: skip
        assert done.returncode == 2
        assert told in done.stderr
        assert "Traceback" not in done.stderr
        assert not (runner.folder / "refused").exists()


def pointer(runner, seed) -> str:
    """Return the name of the pointer of the last curriculum's model, for ``--node``."""
    (path,) = (
        node.path
        for node in read_nodes(runner.folder / "store")[0]
        if (node.called, node.seed) == ("rotation+findings", seed)
    )
    return path.name.removesuffix(".json")


def sscdl(runner, *arguments):
    command = [sys.executable, "-m", "sscdl", *arguments]
    environment = {**runner.environment, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=runner.folder, env=environment, text=True, capture_output=True, check=False
    )
