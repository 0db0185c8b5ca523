"""What a user sees of a run: its steps, what came out, and what went wrong."""

from __future__ import annotations

import re

import pandas as pd

from tests.conftest import ROOT
from tests.workflow.conftest import Runner

STEP = re.compile(r"^\d\d:\d\d:\d\d  (\d+) of (\d+)  (.*): [\d:]+ (?:s|min)(; about .* left)?$")
MOST = 150  # lines


def test_a_run_has_a_line_for_each_step_and_ends_with_what_came_out(told, study):
    lines = told.splitlines()
    assert len(lines) < MOST
    steps = [found for line in lines if (found := STEP.match(line))]
    assert [int(one[1]) for one in steps] == list(range(1, len(steps) + 1))
    assert {int(one[2]) for one in steps} == {len(steps)}
    titles = {one[3] for one in steps}
    assert {"phantom", "pretext_stage rotation full s0", "predict full scratch s0"} <= titles
    assert steps[-2][4], "the time that is left"
    assert " epoch " not in told  # each is over in less than the time between two such lines
    table = pd.read_csv(study.results / "tables/4.14_accuracy_overview.csv").set_index("curriculum")
    end = told[told.index("What came out of tiny:") :]
    for curriculum in ("scratch", "rotation"):
        row = table.loc[curriculum]
        scores = [
            f"{row[v]:.1f} ({row[f'{v}_low']:.1f} to {row[f'{v}_high']:.1f})"
            for v in ("full", "segmented_black")
        ]
        assert re.search(rf"^  {curriculum} +{re.escape('  '.join(scores))}$", end, re.MULTILINE)
    assert "Without the planted mark, models on full fall by" in " ".join(end.split())
    assert lines[-3:] == [
        "Summary: results/tiny/summary.html",
        "Tables: results/tiny/tables    figures: results/tiny/figures",
        "Logs: results/tiny/logs and .snakemake/log",
    ]


def test_log_files_have_what_the_terminal_has_not(told, study):
    logs = sorted((study.results / "logs/pretrain").glob("rotation.*.log"))
    assert "lr 0.01 epoch 1/1" in logs[0].read_text()
    first = min((study.folder / ".snakemake/log").glob("*.log"))
    assert "reason: Missing output files" in first.read_text()
    assert "reason: " not in told


def test_all_is_shown_to_who_asks(copy):
    (copy.results / "summary.html").unlink()
    output = copy()
    assert "Job stats:" in output
    assert "1 of 2 steps (50%) done" in output
    assert "\nWhat came out of tiny:\n" in output


def test_a_part_of_a_study_ends_with_where_it_lies(copy):
    (copy.results / "tables/dataset.md").unlink()
    told = Runner(copy.folder, copy.config, terminal="")("tables").splitlines()
    assert STEP.match(told[-2])[3] == "table_dataset"
    assert told[-1] == "Results: results/tiny    logs: results/tiny/logs and .snakemake/log"


def test_a_failure_is_told_last(copy):
    path = copy.results / "predictions/full.scratch.s0.csv"
    path.write_text("")
    output = Runner(copy.folder, copy.config, terminal="")("tables", ok=False)
    end = output[output.index("\nWhat failed (") :]
    assert "full.scratch.s0.csv: " in end
    assert re.search(r"^  log: results/tiny/logs/tables/\S+\.log$", end, re.MULTILINE)
    assert "Error in rule table_" in output
    assert "Complete log(s): " in output
    assert len(output.splitlines()) < MOST


def test_with_keep_going_the_rest_is_made_and_what_cannot_be_is_counted(copy):
    """And a job that is tried again is told as failed when it has failed for good."""
    (copy.results / "predictions/full.scratch.s0.csv").write_text("")
    (copy.results / "tables/dataset.md").unlink()
    asked = [f"results/tiny/{name}" for name in ("tables/dataset.md", "figures/comparisons.png")]
    again = ("--keep-going", "--retries", "1")
    output = Runner(copy.folder, copy.config, terminal="")(*asked, *again, ok=False)
    lines = output.splitlines()
    assert "table_dataset" in [found[3] for line in lines if (found := STEP.match(line))]
    failed = [line.split("  ")[1] for line in lines if "failed; " in line]
    assert failed == ["table_comparisons failed; 1 step that needs it will be left out"]
    assert output.count("Error in rule table_comparisons") == 2, "it was tried twice"


def test_a_setting_of_the_terminal_that_is_none_is_named(study):
    output = Runner(study.folder, study.config, terminal="more")("images", ok=False)
    assert "SSCDL_TERMINAL: 'more' in the environment; 'all' shows" in output


def test_a_dry_run_shows_what_snakemake_shows(study):
    assert "Nothing to be done" in Runner(study.folder, study.config, terminal="")("-n")
    output = Runner(study.folder, study.config, terminal="")("-n", "-f", "tables")
    assert "reason: Forced execution" in output


def test_a_finished_study_says_where_it_lies(study):
    told = Runner(study.folder, study.config, terminal="")("tables").splitlines()
    assert told[1] == "tiny: results lie in results/tiny, trained stages in ../store"
    assert told[2].startswith("Nothing to be done")
    assert told[3:] == ["Results: results/tiny"]


def test_quiet_runs_say_what_came_out_and_no_steps(copy):
    (copy.results / "tables/dataset.md").unlink()
    told = Runner(copy.folder, copy.config, terminal="")("tables", "--quiet").splitlines()
    assert not [line for line in told if STEP.match(line)]
    assert told[-1].startswith("Results: results/tiny ")
    (copy.results / "tables/dataset.md").unlink()
    told = Runner(copy.folder, copy.config, terminal="")("tables", "--quiet", "all").splitlines()
    assert len(told) == 1, "the profile, which Snakemake names whatever it is told"


def test_quiet_runs_say_why_they_end(copy):
    run = Runner(copy.folder, {**copy.config, "seeds": []}, terminal="")
    assert "seeds: " in run("tables", "--quiet", "all", ok=False)
    (copy.results / "predictions/full.scratch.s0.csv").write_text("")
    told = Runner(copy.folder, copy.config, terminal="")("tables", "--quiet", "all", ok=False)
    end = told[told.index("\nWhat failed (") :]
    assert "full.scratch.s0.csv: " in end
    assert "RuleException" not in told
    assert "At least one job" not in told


def test_what_is_touched_is_not_told_as_made(copy):
    told = Runner(copy.folder, copy.config, terminal="")("tables", "--touch", "--forceall")
    lines = told.splitlines()
    assert not [line for line in lines if STEP.match(line)]
    assert re.fullmatch(r"tiny: the files of \d+ steps are marked as new; .*", lines[-1])


def test_a_workflow_that_has_this_one_as_a_module_keeps_its_terminal(copy):
    text = f"""
configfile: "study.yaml"
module cxr:
    snakefile: "{ROOT / "Snakefile"}"
    config: config
use rule * from cxr
"""
    (copy.folder / "Snakefile").write_text(text)
    (copy.results / "tables/dataset.md").unlink()
    run = Runner(copy.folder, copy.config, snakefile=str(copy.folder / "Snakefile"), terminal="")
    told = run("tables")
    assert "rule table_dataset:" in told
    assert "Finished jobid: " in told


def test_a_plan_is_not_followed_by_words_about_results(study):
    told = Runner(study.folder, study.config, terminal="")("plan")
    assert "6 finished" in told
    assert STEP.match(told.splitlines()[-1])[3] == "plan"
