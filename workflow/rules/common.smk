# Reads and checks the configuration, and answers what the rules ask of it. No rules here.

import json
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The package lies beside the root Snakefile and need not be installed: neither here nor in the
# processes of the jobs, whichever Snakefile is the main one.
HERE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
sys.path.insert(0, str(HERE))

from sscdl.config import check_config, load_schema
from sscdl.errors import InputError
from sscdl.other_studies import prediction_files
from sscdl.report_names import report_entry
from sscdl.root_names import stand_ins
from sscdl.store import Store
from sscdl.study import Study
from sscdl.launch import clear_stale_locks, share_package
from sscdl.trie import split_curriculum
from sscdl.variant_kinds import masks_of

CONTENTS = "SSCDL_ARCHIVE_CONTENTS"
NEVER = "(?!)"  # a wildcard constraint that nothing satisfies


def read_study():
    """Return the checked study; a fault in the configuration ends the run with its message."""
    try:
        schema = load_schema(HERE / "workflow/schemas/config.schema.yaml")
        # The processes of this run's jobs take over what was found in the archives at its start.
        found = (
            {}
            if workflow.is_main_process
            else json.loads(os.environ.get(CONTENTS, "{}"))
        )
        study = Study(check_config(config, schema), found or None)
        study.check()
        if workflow.is_main_process:
            os.environ[CONTENTS] = json.dumps(study.contents)
        return study
    except InputError as error:
        raise WorkflowError(str(error)) from None


def other_studies():
    """Return the prediction files of the studies that this one is set beside."""
    try:
        return prediction_files(
            STUDY.results, STUDY.config["results"]["beside"], STUDY.models
        )
    except InputError as error:
        raise WorkflowError(str(error)) from None


def unfinished(paths):
    """Return the paths that are not in the store yet, as those that need a rule.

    Finished ones are plain source files: none of Snakemake's reasons to rerun applies to them. A
    process that runs one job on a cluster keeps all rules, as its file may just have appeared.
    """
    if not workflow.is_main_process:
        return list(paths)
    return [path for path in paths if not Path(path).exists()]


def untrained(fingerprints):
    """Return the nodes of these that the store does not have, as those that need a rule."""
    if not workflow.is_main_process:
        return list(fingerprints)
    store = Store(STUDY.store)
    missing = [f for f in fingerprints if not store.finished(STUDY.pointer(f))]
    for f in missing:
        # A pointer to weights that are gone would count as an output that is there.
        store.forget(STUDY.pointer(f))
    return missing


def one_of(values):
    """Return a wildcard constraint that admits exactly these values."""
    return "|".join(map(re.escape, sorted(set(values)))) or NEVER


def stage_input(wildcards):
    """Return the files that a node's process reads."""
    node = STUDY.nodes[wildcards.fingerprint]
    found = {"pack": str(STUDY.pack(node.variant)), "images": IMAGES}
    if node.parent:
        found["parent"] = str(STUDY.pointer(node.parent))
    elif STUDY.root_file(node.root):
        found["root"] = str(STUDY.root_file(node.root))
    return found


def monitors(node):
    """Return the folder of what can be watched while a node trains."""
    return f"{RESULTS}/monitors/{node.variant}/{node.name}.s{node.seed}"


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


def names(models):
    """Return the names of models, as their prediction files carry them."""
    return [f"{v}.{c}.s{seed}" for v, c, seed in models]


def pages(figure, most):
    """Return the models of each page of a figure, those of the first seed.

    One page for all as long as there are no more than ``most``, otherwise one for each variant and
    number of tasks.
    """
    first = [model for model in STUDY.models if model[2] == min(STUDY.seeds)]
    if len(first) <= most:
        return {figure: first}
    found = {}
    for variant, curriculum, seed in first:
        tasks = len(split_curriculum(curriculum, set(ROOTS))[1])
        page = f"{figure}-{variant}-{tasks}_tasks"
        found.setdefault(page, []).append((variant, curriculum, seed))
    return found


def model_input(wildcards):
    """Return what the predictions of one model are made from."""
    node = STUDY.models[(wildcards.variant, wildcards.curriculum, int(wildcards.seed))]
    return {
        "pointer": str(STUDY.pointer(node.fingerprint)),
        "pack": str(STUDY.pack(node.variant)),
        "lungs": str(STUDY.pack(masks_of(node.variant))),
        "images": IMAGES,
    }


def other_variants(variant):
    """Return the study's variants but for this one."""
    return [other for other in STUDY.variants if other != variant]


def shown_input(wildcards):
    """Return what one model's predictions on the pictures of other variants are made from."""
    found = model_input(wildcards)
    del found["lungs"]
    for variant in other_variants(wildcards.variant):
        found[variant] = str(STUDY.pack(variant))
        found[f"lungs_of_{variant}"] = str(STUDY.pack(masks_of(variant)))
    return found


def in_report(name, caption=None):
    """Return the caption, heading and title of a table or figure as keywords of ``report``."""
    caption = caption or name.partition("-")[0]
    return {"caption": f"../report/{caption}.rst", **report_entry(name)}


def learning_rates_tried():
    """Return how many learning rates the stages of each task try, in order of the tasks."""
    found = {}
    for node in STUDY.nodes.values():
        found.setdefault(node.task, set()).add(len(node.learning_rates))
    last = found.pop("classify")
    return {task: sorted(many) for task, many in {**found, "classify": last}.items()}


def probed(variant, seed):
    """Return the pretext stages of one variant and seed."""
    nodes = [STUDY.nodes[fingerprint] for fingerprint in PRETEXT]
    return [n for n in nodes if n.variant == variant and n.seed == seed]


def probe_input(wildcards):
    """Return what the linear probes of one variant and seed are made from."""
    nodes = probed(wildcards.variant, int(wildcards.seed))
    return {
        "pack": str(STUDY.pack(wildcards.variant)),
        "images": IMAGES,
        "pointers": [str(STUDY.pointer(node.fingerprint)) for node in nodes],
        "roots": list(ROOTS.values()),
    }


def prediction_tables():
    """Return the names of the tables that are made from predictions."""
    names = [
        "4.14_accuracy_overview",
        "4.15_ail_overview",
        "attention",
        "accuracy_details",
        "calibration",
        "calibration_bins",
        "comparisons",
        "confusions",
        "subgroups",
    ]
    names += ["cross_variants"] if CROSS else []
    names += ["linear_probe"] if PROBES else []
    return [*names, "shortcut"] if MARKED else names


def written_tables():
    """Return the table files of this study."""
    names = [
        "dataset",
        "implausible_masks",
        "3.1_backbones",
        "4.1_normalisation",
        *PREDICTION_TABLES,
        *THESIS_TABLES,
        *(["beside"] if OTHERS else []),
        "learning_rates",
        "search",
    ]
    return [f"{RESULTS}/tables/{name}.csv" for name in names]


def variant_packs(wildcards=None):
    """Return the packed array of each of the study's variants, by its name."""
    return {variant: str(STUDY.pack(variant)) for variant in STUDY.variants}


def mask_packs():
    """Return the packed lung masks that belong to each of the study's variants."""
    return {f"lungs_of_{v}": str(STUDY.pack(masks_of(v))) for v in STUDY.variants}


def figure_inputs():
    """Return the inputs of each figure; those that show patients only where they are asked for."""
    table = f"{RESULTS}/tables/{{}}.csv".format
    accuracy = {
        "table": table("4.14_accuracy_overview"),
        "subgroups": table("subgroups"),
    }
    found = {
        "dataset": {
            "images": IMAGES,
            "rejected": REJECTED,
            "full": str(STUDY.pack("full")),
        },
        **{
            page: {
                "pointers": [
                    str(STUDY.pointer(STUDY.models[m].fingerprint)) for m in models
                ]
            }
            for page, models in pages("4.2_validation_curves", most=12).items()
        },
        "4.3_ail_by_model": {"table": table("4.15_ail_overview")},
        "accuracy_overview": accuracy,
        "calibration": {
            "bins": table("calibration_bins"),
            "table": table("calibration"),
        },
    }
    if PROBES:
        found["label_efficiency"] = {"table": table("linear_probe")}
    if MARKED:
        found["shortcut"] = {"table": table("shortcut")}
    if SHOW_IMAGES:
        pictures = {**variant_packs(), **mask_packs()}
        found["4.1_variants"] = {"images": IMAGES, **pictures}
        for name, models in {**ATTENTION_FIGURES, "class_maps": CLASS_MAPS}.items():
            found[name] = {
                "predictions": [
                    f"{RESULTS}/predictions/{m}.csv" for m in names(models)
                ],
                "maps": [f"{RESULTS}/attention/{m}.npz" for m in names(models)],
                **pictures,
            }
        found["masks"] = {
            "images": IMAGES,
            "full": str(STUDY.pack("full")),
            "lungs": str(STUDY.pack("lungs")),
        }
    return found


def drawn_figures():
    """Return the figure files of this study."""
    return [f"{RESULTS}/figures/{name}.png" for name in FIGURES]


share_package(HERE)
if workflow.is_main_process:
    clear_stale_locks()
STUDY = read_study()
STORE = str(STUDY.store)
RESULTS = str(STUDY.results)
IMAGES = f"{RESULTS}/images.csv"
REJECTED = f"{RESULTS}/rejected.csv"
THREADS = STUDY.config["training"]["threads"]
# A stage that trains on the CPU leaves the GPU to others.
ON_CPU = STUDY.config["training"]["device"] == "cpu"
ENVIRONMENT = str(HERE / "envs" / ("sscdl-cpu.yaml" if ON_CPU else "sscdl.yaml"))
GPUS = 0 if ON_CPU else STUDY.config["training"]["devices"]
# The processes of one stage compute at the same time, on a CPU all of them there.
PROCESSES = (
    STUDY.config["training"]["devices"] * STUDY.config["training"]["side_by_side"]
)
PHANTOM = STUDY.layout == "phantom"
MARKED = PHANTOM and STUDY.config["dataset"]["phantom"]["marked_test"] > 0
LUNGS = STUDY.config["lungs"]
PUBLISHED = LUNGS["source"] == "checkpoint" and not LUNGS["checkpoint"]["file"]
SHOW_IMAGES = PHANTOM or STUDY.config["results"]["patient_images"]
PHANTOM_DONE = f"{STORE}/phantom/{STUDY.phantom}/done.json" if PHANTOM else None
PRETEXT = [f for f, node in STUDY.nodes.items() if node.task != "classify"]
CLASSIFIERS = [f for f, node in STUDY.nodes.items() if node.task == "classify"]
ROOTS = {
    node.root: str(STUDY.root_file(node.root))
    for node in STUDY.nodes.values()
    if STUDY.root_file(node.root)
}
STAND_INS = stand_ins(STUDY.config["roots"])
PREDICTIONS = [f"{RESULTS}/predictions/{name}.csv" for name in names(STUDY.models)]
OTHERS = other_studies()
ATTENTION_FIGURES = pages("4.4_attention", most=8)
# The last curriculum, most often the longest, by its first seed.
CLASS_MAPS = [
    model
    for model in STUDY.models
    if model[1:] == (STUDY.curricula[-1], min(STUDY.seeds))
]
CROSS = STUDY.config["results"]["cross_variants"] and len(STUDY.variants) > 1
SHOWN = [
    f"{RESULTS}/predictions/shown/{name}.csv" for name in names(STUDY.models) if CROSS
]
PROBES = [
    f"{RESULTS}/predictions/probe/{variant}.s{seed}.csv"
    for variant in STUDY.variants
    for seed in STUDY.seeds
    if STUDY.config["results"]["label_shares"]
]
PREDICTION_TABLES = prediction_tables()
FIGURES = figure_inputs()
SUMMARISED = {
    "tables": [
        "4.14_accuracy_overview",
        "4.15_ail_overview",
        "comparisons",
        *(["shortcut"] if MARKED else []),
    ],
    "figures": [
        "accuracy_overview",
        "4.3_ail_by_model",
        *(["shortcut"] if MARKED else []),
    ],
}
