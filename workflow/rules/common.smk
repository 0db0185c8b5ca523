# Reads and checks the configuration, and answers what the rules ask of it. No rules here.

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from sscdl.study.config import check_config, load_schema
from sscdl.study.config_files import read_yaml
from sscdl.study.root_names import stand_ins
from sscdl.store.store import Store
from sscdl.study.study import Study
from sscdl.study.trie import PRETEXT_TASKS
from sscdl.study.launch import (
    calm_scheduler,
    check_places,
    check_writable,
    clear_stale_locks,
    share_package,
    why_ended,
)
from sscdl.images.variant_kinds import masks_of

CONTENTS, STORE_AT = "SSCDL_ARCHIVE_CONTENTS", "SSCDL_STORE"
GIVEN_SPLIT = "SSCDL_GIVEN_SPLIT"
NEVER = "(?!)"  # a wildcard constraint that nothing satisfies


def read_study():
    """Return the checked study."""
    with faults_told():
        schema = load_schema(HERE / "workflow/schemas/config.schema.yaml")
        for path in workflow.configfiles if workflow.is_main_process else ():
            # Snakemake has read it, but takes the second of two equal keys without a word.
            read_yaml(path)
        # The processes of this run's jobs take over what was found in the files at its start.
        found = (
            {}
            if workflow.is_main_process
            else json.loads(os.environ.get(CONTENTS, "{}"))
        )
        study = Study(check_config(config, schema), found or None)
        tell_start(study)
        study.check()
        if workflow.is_main_process:
            os.environ[CONTENTS] = json.dumps(study.found)
        return study


def unfinished(paths):
    """Return the paths that are not in the store yet, as those that need a rule.

    Finished ones are plain source files: none of Snakemake's reasons to rerun applies to them. A
    process that runs one job on a cluster keeps all rules, as its file may just have appeared.
    """
    if not workflow.is_main_process:
        return list(paths)
    return [path for path in paths if not Path(path).exists()]


def untrained():
    """Return the nodes that the store does not have, as those that need a rule."""
    if not workflow.is_main_process:
        return list(STUDY.nodes)
    store = Store(STUDY.store)
    return [f for f in STUDY.nodes if not store.finished(STUDY.pointer(f))]


def refuse_at_start():
    """End a run before its first job if one of its jobs would end it later.

    What concerns GPUs is asked only where jobs run on this machine, in this environment: the login
    node of a cluster may have none.
    """
    if not workflow.is_main_process or workflow.touch:
        return
    jobs = list(workflow.dag.needrun_jobs())
    with faults_told():
        check_writable(path for job in jobs for path in job.output)
    made = {job.rule.name for job in jobs}
    here = workflow.local_exec and not workflow.deployment_settings.deployment_method
    cuda = here and STUDY.config["training"]["device"] == "cuda"
    roots = {
        job.wildcards.root: STUDY.config["roots"].get(job.wildcards.root, {})
        for job in jobs
        if job.rule.name == "fetch_root"
    }
    asked = {
        # A job's own number is cut to what --resources gives one at a time.
        "devices": devices_of(made) if cuda else 0,
        "backbone": STUDY.network,
        "unseen": (
            None
            if STUDY.network_facts()
            else {"image_size": STUDY.config["image"]["size"], "store": STORE}
        ),
        "roots": {
            root: given.get("file")
            for root, given in roots.items()
            if not given.get("stand_in")
        },
        "segmenter": (
            LUNGS["checkpoint"]["file"] if CHECKPOINT and "segment" in made else None
        ),
        "published": "fetch_lungvae" in made,
    }
    if jobs and any(value for key, value in asked.items() if key != "backbone"):
        done = subprocess.run(
            # -P: a folder of that name in the working directory is not the package.
            [sys.executable, "-P", "-m", "sscdl.stages.start"],
            input=json.dumps(asked),
            text=True,
            stderr=subprocess.PIPE,
        )
        if done.returncode:
            what = f"the check of {STUDY.network['name']} before the start"
            raise WorkflowError(why_ended(what, done.returncode, done.stderr))
        if said := done.stderr.strip():
            logger.info(said)
    with faults_told():
        for note in (*STUDY.check_network(), *STUDY.split_notes) if jobs else ():
            logger.warning(note)


def devices_of(rules):
    """Return the most GPUs that a job of these rules takes."""
    if {"pretext_stage", "finetune", "train_segmenter"} & rules:
        return GPUS
    taking = {"predict", "predict_few", "predict_shown", "predict_untrained"}
    taking |= {"faithfulness", "probe", "probe_random"}
    return min(GPUS, 1) if taking & rules else 0


def one_of(values):
    """Return a wildcard constraint that admits exactly these values."""
    return "|".join(map(re.escape, sorted(set(values)))) or NEVER


@cache
def newer():
    """Return a file that is newer than all pointers, and its folder, which this process deletes."""
    folder = tempfile.TemporaryDirectory(prefix="sscdl-")
    path = Path(folder.name) / "newer"
    path.touch()
    paths = map(STUDY.pointer, UNTRAINED)
    # The clock of the store's file system may be ahead of this machine's.
    last = max(one.stat().st_mtime for one in paths if one.exists())
    now = max(time.time(), last + 0.01)
    os.utime(path, (now, now))
    return str(path), folder


def stored(paths):
    """Return an input function that gives a path in the store, or several.

    A report prints the inputs of its rules, but for those that functions give, and the store's path
    may name its user.
    """
    one = isinstance(paths, (str, Path))
    found = str(paths) if one else [str(path) for path in paths]
    return lambda wildcards: found


def stage_input(wildcards):
    """Return the files that a node's process reads.

    A pointer that is damaged, or leads to weights that are gone, lies where the stage's output
    does. It may not be deleted while the workflow is read, as reading changes nothing. So whoever
    plans is told of an input that is newer: that is reason enough, whatever Snakemake remembers of
    this folder. The process of the job reads no such file.
    """
    node = STUDY.nodes[wildcards.fingerprint]
    found = {"pack": str(STUDY.pack(node.variant)), "images": IMAGES}
    if workflow.is_main_process and STUDY.pointer(node.fingerprint).exists():
        found["newer"] = newer()[0]
    if node.parent:
        found["parent"] = str(STUDY.pointer(node.parent))
    elif STUDY.root_file(node.root):
        found["root"] = str(STUDY.root_file(node.root))
    return found


def monitors(node):
    """Return the folder of what can be watched while a node trains."""
    named = ".".join(filter(None, [node.name, f"s{node.seed}", node.draw]))
    return f"{RESULTS}/monitors/{node.variant}/{named}"


def stage_parameters(wildcards):
    """Return what a node's process is told besides its files."""
    node = STUDY.nodes[wildcards.fingerprint]
    return {
        "name": node.name,
        "task": node.task,
        "variant": node.variant,
        "recipe": node.recipe,
        "learning_rates": node.learning_rates,
        "fingerprint": node.fingerprint,
        "monitors": monitors(node),
    }


def prepared_study():
    """Return the checked study of a workflow that can run where it is."""
    share_package(HERE)
    if workflow.is_main_process:
        calm_scheduler()
        with faults_told():
            made = bool(workflow.deployment_settings.deployment_method)
            check_places(HERE, elsewhere=made)
            clear_stale_locks()
    return read_study()


STUDY = prepared_study()
STORE = str(STUDY.store)
# For scripts: among their parameters, which reports show, a path might name a user.
os.environ[STORE_AT] = STORE
# Likewise what the split is read from, where it is given.
os.environ[GIVEN_SPLIT] = json.dumps(STUDY.split_read_from)
RESULTS = str(STUDY.results)
IMAGES = f"{RESULTS}/images.csv"
REJECTED = f"{RESULTS}/rejected.csv"
THREADS = STUDY.config["training"]["threads"]
# A stage that trains on the CPU leaves the GPU to others.
ON_CPU = STUDY.config["training"]["device"] == "cpu"
ENVIRONMENT = str(HERE / "envs" / ("sscdl-cpu.yaml" if ON_CPU else "sscdl.yaml"))
FINDINGS = bool(STUDY.config["findings"])
GPUS = 0 if ON_CPU else STUDY.config["training"]["devices"]
# The processes of one stage compute at the same time, on a CPU all of them there.
PROCESSES = (
    STUDY.config["training"]["devices"] * STUDY.config["training"]["side_by_side"]
)
PHANTOM = STUDY.layout == "phantom"
LUNGS = STUDY.config["lungs"]
CHECKPOINT = LUNGS["source"] == "checkpoint"
PUBLISHED = CHECKPOINT and not LUNGS["checkpoint"]["file"]
PHANTOM_DONE = f"{STORE}/phantom/{STUDY.phantom}/done.json" if PHANTOM else None
UNTRAINED = untrained()
# Nothing is reported before earlier images and masks are known to be those of this study's files.
RECORDS = [str(path) for path in STUDY.records()]
PRETEXT = [f for f, node in STUDY.nodes.items() if node.task in PRETEXT_TASKS]
CLASSIFIERS = [f for f, node in STUDY.nodes.items() if node.task not in PRETEXT_TASKS]
ROOTS = {
    node.root: str(STUDY.root_file(node.root))
    for node in STUDY.nodes.values()
    if STUDY.root_file(node.root)
}
STAND_INS = stand_ins(STUDY.config["roots"])
