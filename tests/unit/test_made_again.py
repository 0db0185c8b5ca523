"""Which results are made again when code or another file of the project changes.

What the rules declare is read from the workflow itself, once; the rest are hashes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sscdl import source
from tests.conftest import ROOT
from tests.unit.package_copy import MODULES

SCRIPTS = ROOT / "workflow/scripts"
RESULTS = ROOT / "workflow/rules/results.smk"
READ_RULES = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, ResourceSettings
root = Path(sys.argv[1])
with SnakemakeApi() as api:
    read = api.workflow(
        ResourceSettings(cores=1),
        ConfigSettings(configfiles=[root / "config/demo.yaml"]),
        snakefile=root / "Snakefile",
    )
    rules = [
        {
            "name": rule.name,
            "script": Path(rule.script).stem if rule.script else None,
            "code": rule.params.code(None) if "code" in rule.params.keys() else None,
            "outputs": [str(path) for path in rule.output],
        }
        for rule in read._workflow.rules
    ]
print("RULES", json.dumps(rules))
"""
# The groups of source code whose hashes stand in the paths of what a rule's script writes. What
# downloads weights is no part of an identity, which is of the weights themselves.
IN_THE_STORE = {
    "phantom": ["phantom"],
    "ingest": ["images", "folders"],
    "segment": ["masks given", "masks predicted"],
    "pack": ["packs"],
    "train_segmenter": ["segmenter"],
    "stage": list(source.TASK_MODULES),
    "fetch_root": [],
    "fetch_lungvae": [],
    "compare": [],
    "near_duplicates": [],  # a module by itself: `source.PAIRING`
}
# Written down by hand, so that a fault in the search for imports shows.
TABLES = {"prediction_table", "thesis_table", "backbones", "dataset", "normalisation",
          "implausible_masks", "learning_rates", "search", "trainings"}  # fmt: skip
PREDICTING = {
    "predict", "predict_few", "predict_shown", "probe", "probe_random", "metadata_baseline",
    "untrained", "faithfulness",
}  # fmt: skip
PICTURING = {"summary", "figure", "contact_sheet"}
KNOWN = {
    "images.split": {  # whose names of splits tables and figures have in them
        "list_images",
        *PREDICTING,
        "summary",
        "figure",
        "dataset",
        "contact_sheet",
        "implausible_masks",
        "mask_sheet",
    },
    "images.duplicates": {"list_images", *PREDICTING},
    # What the list of images says stands in these.
    "images.held_out": PREDICTING | TABLES | {"beside", "mask_sheet"} | PICTURING,
    "figures.panels": {"figure"},
    "figures.mask_sheet": {"mask_sheet"},
    "tables.masks": {"implausible_masks", "mask_sheet"},
    "report.summary": {"summary"},
    "report.findings": {"summary"},
    "training.batch_statistics": {"probe", "probe_random", "untrained"},
    "planning.plan": set(),
    "upkeep.verify": set(),
    "model.card": set(),
}
# What writes no result and nothing that is kept, or only moves it about.
MAKES_NOTHING = {
    "__main__", "archives.digests", "command_line", "report.check",
    "segment.command", "segment.folder", "segment.networks.published", "segment.processing.reading",
    "segment.training.evaluation", "stages.crew", "stages.node", "stages.roots", "stages.runs",
    "stages.stage", "stages.start", "stages.worker", "store.choice", "store.listing", "store.nodes",
    "study.config", "study.config_files", "study.failures", "study.findings", "study.folders",
    "study.identity", "study.inputs", "study.launch", "study.material", "study.outputs",
    "study.reading", "study.reference",
    "study.study",
    "study.split_settings", "study.stage_settings", "study.terminal", "study.values",
}  # fmt: skip
ONLY_LOOK = ("front.", "model.", "planning.", "upkeep.")  # folders of commands


@pytest.fixture(scope="module")
def rules(tmp_path_factory) -> list[dict]:
    """Return what the rules of the demo declare, read by Snakemake."""
    done = subprocess.run(
        [sys.executable, "-c", READ_RULES, str(ROOT)], cwd=tmp_path_factory.mktemp("rules"),
        stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    (line,) = (one for one in done.stdout.splitlines() if one.startswith("RULES "))
    return [rule for rule in json.loads(line.removeprefix("RULES ")) if rule["outputs"]]


@pytest.fixture(scope="module")
def results(rules) -> set[str]:
    """Return the scripts that write results of a study, as opposed to its store."""
    return {
        rule["script"]
        for rule in rules
        if rule["script"] and not rule["outputs"][0].startswith("store/")
    }


def closure(script: str) -> set[str]:
    modules = source.called_modules(SCRIPTS / f"{script}.py")
    return {name.removeprefix("sscdl.") for name in source.import_closure(modules)}


def in_store() -> set[str]:
    """Return the modules whose hash stands in the path of something in the store."""
    groups = [*source.GROUPS, *source.TASK_MODULES]
    modules = [name for group in groups for name in source.group_modules(group)]
    modules += source.PAIRING
    return {name.removeprefix("sscdl.") for name in source.import_closure(modules)}


def test_every_result_has_what_the_code_of_its_script_is_among_its_parameters(rules, results):
    assert TABLES | {"list_images", "contact_sheet", "mask_sheet", "summary", "figure"} < results
    assert 'code=lambda wildcards: made_by("beside")' in RESULTS.read_text()  # not in the demo
    others = {"beside", "plan", "monitors", *IN_THE_STORE}  # the next two are run in any case
    assert {path.stem for path in SCRIPTS.glob("*.py")} == results | others
    for rule in rules:
        if rule["script"] in results:
            own = source.output_hash(SCRIPTS / f"{rule['script']}.py")
            assert rule["code"] == own, rule["name"]


def test_what_lies_in_the_store_has_it_in_its_path(rules, results):
    stored = {rule["script"] for rule in rules if rule["script"]} - results
    assert stored <= set(IN_THE_STORE)
    for script, groups in IN_THE_STORE.items():
        modules = [name for group in groups for name in source.group_modules(group)]
        modules += source.PAIRING if script == "near_duplicates" else ()
        hashed = {name.removeprefix("sscdl.") for name in source.import_closure(modules)}
        left = closure(script) - hashed - MAKES_NOTHING
        assert not left or script in ("stage", "fetch_root"), (script, left)


def test_an_edit_of_any_module_makes_again_what_it_is_part_of(package, results):
    results = results | {"beside"}
    before = {script: source.output_hash(SCRIPTS / f"{script}.py") for script in results}
    used = {script: closure(script) for script in results}
    makes_nothing, stored = set(), in_store()
    for number, module in enumerate(MODULES[1:]):
        name = module.removeprefix("sscdl.")
        expected = {script for script in results if name in used[script]}
        # One that has no part in it, too: another one each time, as all would take a minute.
        asked = expected | {sorted(results)[number % len(results)]}
        text = package.path(module).read_text()
        package.write(module, text + "\nEDITED = True\n")
        after = {script: source.output_hash(SCRIPTS / f"{script}.py") for script in asked}
        package.write(module, text)
        assert {script for script in asked if after[script] != before[script]} == expected, name
        if name in KNOWN:
            assert expected == KNOWN[name], name
        folder = (package.folder / name.replace(".", "/")).is_dir()
        known = name in stored or module in source.WITHOUT_INFLUENCE or name.startswith(ONLY_LOOK)
        if not (expected or known or folder):
            makes_nothing.add(name)
    assert makes_nothing == MAKES_NOTHING


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("sscdl/tables/html_table.css", TABLES),
        ("sscdl/tables/html_table.js", TABLES),
        (
            "resources/thesis/4.14_accuracy_overview.csv",
            {"prediction_table", "thesis_table", "backbones", "normalisation", "learning_rates"},
        ),
        ("resources/thesis/README.md", set()),
        ("sscdl/tasks/views/moco_declaration.py", {"summary", "thesis_table"}),
        ("sscdl/tasks/views/moco.py", set()),
    ],
)
def test_an_edit_of_another_file_makes_again_what_has_it_in_it(
    tmp_path, monkeypatch, results, file, expected
):
    before = {script: source.output_hash(SCRIPTS / f"{script}.py") for script in results}
    for folder in ("sscdl/tables", "sscdl/tasks", "resources/thesis"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(source, "HOME", tmp_path)
    monkeypatch.setattr(source, "HERE", tmp_path / "sscdl")
    assert {one: source.output_hash(SCRIPTS / f"{one}.py") for one in results} == before
    with open(tmp_path / file, "a") as opened:
        opened.write("\n")
    after = {script: source.output_hash(SCRIPTS / f"{script}.py") for script in results}
    assert expected <= {script for script in results if after[script] != before[script]}
    if not expected:
        assert after == before


def test_every_file_that_a_module_reads_beside_its_source_is_known():
    known = {path for one in source.RESOURCES.values() for p in one for path in ROOT.glob(p)}
    assert {path for path in (ROOT / "sscdl").rglob("*.[cj]s*") if path.is_file()} <= known
    assert set((ROOT / "resources/thesis").glob("*.csv")) <= known
    assert all(Path(path).is_file() for path in known)
