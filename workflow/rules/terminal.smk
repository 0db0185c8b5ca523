# What a run shows on the terminal, and when; ready before any file is read. No rules here.

import os
import sys
from contextlib import contextmanager
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The package lies beside the root Snakefile and need not be installed: neither here nor in the
# processes of the jobs, whichever Snakefile is the main one. If it is, the workflow lies in it.
HERE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
sys.path.insert(0, str(HERE))

from sscdl.errors import InputError
from sscdl.progress import BRIEF, JOBS_SAY, QUIET
from sscdl.study.failures import tell_failures
from sscdl.study.terminal import (
    TERMINAL_IS,
    Step,
    all_is_asked_for,
    steps,
    take_terminal,
)
from sscdl.words import many

# What is to be left unsaid, in the words of --quiet.
UNSAID = {one.name for one in workflow.output_settings.quiet or ()}


@contextmanager
def faults_told():
    """End the run with the message of what is wrong with its input."""
    try:
        yield
    except InputError as error:
        raise WorkflowError(str(error)) from None


def own_terminal():
    """Return what shows this run on the terminal, None where Snakemake does it alone.

    So it does in a workflow that has this one as a module, whose jobs and hooks are its own.
    """
    told = workflow.output_settings
    if not workflow.is_main_process:
        return None
    with faults_told():
        whole = all_is_asked_for() or told.dryrun or told.verbose or told.debug_dag
    if whole or not workflow.modifier.is_main_snakefile():
        return None
    return take_terminal()


def tell_start(study):
    """Say what has begun; until its first job a run may look at files for some time."""
    if TERMINAL is None:
        return
    name, results = study.config["study"], study.results
    logger.info(f"{name}: results lie in {results}, trained stages in {study.store}")
    TERMINAL.results = str(results)


def step_of(job):
    """Return what a job is called on the terminal, and what its duration may be told by."""
    from sscdl.planning.estimates import search_epochs  # for the main process alone

    name, found = job.rule.name, dict(job.wildcards_dict)
    node = STUDY.nodes.get(found.get("fingerprint"))
    if node:
        settings = node.recipe["settings"]
        epochs = search_epochs(len(node.learning_rates), settings)
        title = f"{name} {node.name} {node.variant} s{node.seed} {node.draw}".rstrip()
        return Step(title, node.task, epochs + settings["final_epochs"])
    if "seed" in found:
        found["seed"] = f"s{found['seed']}"
    kind = name.partition("_")[0] if name.startswith(("table_", "figure_")) else name
    return Step(" ".join([name, *found.values()]), kind)


def makes_something():
    """Return whether this run makes files, and does not only say something, as ``plan`` does."""
    jobs = workflow.dag.needrun_jobs(exclude_finished=False)
    return any(len(job.output) for job in jobs)


def expected_steps():
    """Return the steps of this run by the numbers of their jobs."""
    dag = workflow.dag
    jobs = {dag.jobid(job): job for job in dag.needrun_jobs() if not job.is_norun}
    needs = {number: set() for number in jobs}
    for number, job in jobs.items():
        for later in map(dag.jobid, dag.depending[job]):
            if later in needs:
                needs[later].add(number)
    return {
        number: step_of(job)._replace(
            needs=frozenset(needs[number]), tries=job.restart_times + 1
        )
        for number, job in jobs.items()
    }


def tell_steps():
    """Begin to show steps on the terminal, and let jobs beside this process be brief there."""
    if TERMINAL is None:
        return
    expected = expected_steps()
    going_on = workflow.execution_settings.keep_going
    TERMINAL.begin(expected, keep_going=going_on, made=not workflow.touch)
    if workflow.local_exec:
        # On a cluster, what a job says goes to a file of its own anyway.
        os.environ[JOBS_SAY] = QUIET if UNSAID & {"ALL", "PROGRESS"} else BRIEF
    if not makes_something():
        return
    study = STUDY.config["study"]
    count = steps(len(expected))
    if workflow.touch:
        logger.info(f"{study}: the files of {count} are marked as new; nothing is made")
        return
    trained = sum(step.epochs > 0 for step in expected.values())
    trains = many(trained, "trains", "train")
    logger.info(
        f"{study}: {count}{f', of which {trains} a stage' if trained else ''}. "
        f"All that jobs say is in {RESULTS}/logs; here, too, with {TERMINAL_IS}=all"
    )


def tell_outcome():
    """Say what came out and where it lies, if this run had the summary to make or to check."""
    if workflow.touch or not makes_something():
        return
    lines = [f"Results: {RESULTS}    logs: {RESULTS}/logs and .snakemake/log"]
    if any(job.rule.name == "summary" for job in workflow.dag.jobs):
        text = Path(RESULTS, "summary.txt").read_text(encoding="utf-8")
        lines = [
            f"\nWhat came out of {STUDY.config['study']}:\n\n{text}",
            f"Summary: {RESULTS}/summary.html",
            f"Tables: {RESULTS}/tables    figures: {RESULTS}/figures",
            f"Logs: {RESULTS}/logs and .snakemake/log",
        ]
    logger.info("\n".join(lines))


if workflow.is_main_process:
    tell_failures(hidden="ALL" in UNSAID and not workflow.dryrun)
TERMINAL = own_terminal()
