"""Results are those that the configuration asks for: no more is taken for them, and no less."""

from __future__ import annotations

import re
import shutil

from sscdl.__main__ import main
from sscdl.study.outputs import Outputs
from sscdl.study.reading import read_config
from tests.workflow.conftest import Runner

# What commands of their own, and other targets, leave there.
BESIDE = ("logs/", "plan.csv", "report.zip", "contact_sheet/", "mask_sheet/")


def test_a_finished_study_has_what_its_names_say(study):
    results = study.results
    files = (path.relative_to(results) for path in results.rglob("*") if path.is_file())
    found = {str(path) for path in files if not str(path).startswith(BESIDE)}
    # Of monitors the folder of a stage is named.
    found = {"/".join(name.split("/")[: 3 if name.startswith("monitors") else 9]) for name in found}
    study.command()  # writes the configuration
    assert found == Outputs(read_config([study.folder / "study.yaml"])).asked


def test_what_lies_between_is_made_again(copy):
    for name in ("predictions", "attention"):
        shutil.rmtree(copy.results / name)
    for name in ("tables/seeds.html", "images.json"):
        (copy.results / name).unlink()
    output = copy("--dry-run", "--quiet", "rules")
    jobs = dict(re.findall(r"^(\S+) +(\d+)$", output, re.M))
    wanted = {"predict": 4, "faithfulness": 4, "probe": 2, "probe_random": 2, "table_seeds": 1,
              "predict_untrained": 2, "metadata_baseline": 1, "list_images": 1}  # fmt: skip
    assert {name: int(jobs.get(name, 0)) for name in wanted} == wanted
    assert not {"finetune", "pretext_stage"} & set(jobs)
    output = copy("figures", "--dry-run", "--quiet", "rules")
    assert re.search(r"^predict +4$", output, re.M)


def test_what_is_dropped_is_listed_by_the_plan_and_moved_aside(copy, monkeypatch):
    smaller = Runner(copy.folder, copy.config | {"variants": ["full"], "curricula": ["rotation"]})
    own = copy.results / "predictions" / "of-mine.csv"
    own.write_text("")
    output = smaller("plan")
    assert "Outdated: " in output
    assert "  predictions/segmented_black.rotation.s0.csv\n" in output
    assert "of-mine" not in output
    monkeypatch.chdir(copy.folder)
    assert main(["results", "tidy", "--configfile", str(copy.folder / "study.yaml")]) == 0
    assert own.exists()
    left = {path.name for path in (copy.results / "predictions").glob("*.csv")}
    assert left == {"full.rotation.s0.csv", "metadata.csv", "of-mine.csv"}
    assert "Outdated" not in smaller("plan")
