# What predictions and tables this study has, and what they are made from. No rules here.

from functools import cache

from sscdl.evaluation import prediction_files
from sscdl.study import thesis
from sscdl.study.outputs import LISTS, TABLE_SUFFIXES, Outputs
from sscdl.tables.headings import report_entry
from sscdl.archives.straddling import told_of
from sscdl.source import output_hash


def other_studies():
    """Return the prediction files of the studies that this one is set beside."""
    try:
        return prediction_files.of_other_studies(
            STUDY.results, STUDY.config["results"]["beside"], STUDY.models
        )
    except InputError as error:
        raise WorkflowError(str(error)) from None


def names(models):
    """Return the names of models, as their prediction files carry them."""
    return [f"{v}.{c}.s{seed}" for v, c, seed in models]


def model_input(wildcards):
    """Return what the predictions of one model, and their curves, are made from."""
    node = STUDY.models[(wildcards.variant, wildcards.curriculum, int(wildcards.seed))]
    return {
        "pointer": str(STUDY.pointer(node.fingerprint)),
        "pack": str(STUDY.pack(node.variant)),
        "lungs": str(STUDY.pack(masks_of(node.variant))),
        "images": IMAGES,
    }


def few_input(wildcards):
    """Return what a model's predictions by its number of labels are made from."""
    model = (wildcards.variant, wildcards.curriculum, int(wildcards.seed))
    nodes = [*STUDY.few[model], STUDY.models[model]]
    return {
        "pointers": [str(STUDY.pointer(node.fingerprint)) for node in nodes],
        "pack": str(STUDY.pack(wildcards.variant)),
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


def untrained_input(wildcards):
    """Return what tells where untrained networks look on the pictures of a variant."""
    return {
        "pack": str(STUDY.pack(wildcards.variant)),
        "lungs": str(STUDY.pack(masks_of(wildcards.variant))),
        "images": IMAGES,
    }


def network_told():
    """Return what tells a job how fine the map of the network is, which attention depends on."""
    return {
        "backbone": STUDY.network,
        "image_size": STUDY.config["image"]["size"],
    }


def classifier_settings(variant):
    """Return what the networks of a variant have that no stage of this study has trained."""
    return {
        "data": STUDY.data(variant)["final"],
        "backbone": STUDY.network,
        "image_size": STUDY.config["image"]["size"],
        "batch_statistics": STUDY.config["batch_statistics"],
    }


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


def random_probe_input(wildcards):
    """Return what the linear probes of the random networks of one variant are made from."""
    return {"pack": str(STUDY.pack(wildcards.variant)), "images": IMAGES}


def probe_settings(variant):
    """Return how the networks of a variant are probed."""
    return {
        **classifier_settings(variant),
        "shares": STUDY.config["results"]["label_shares"],
        "draws": STUDY.config["results"]["probe_draws"],
    }


@cache
def made_by(script):
    """Return what changes with the code that a script calls: what that has written is made again.

    Snakemake sees a change of the script itself. Files in the store have the hash of what makes
    them in their name.
    """
    return output_hash(HERE / "workflow/scripts" / f"{script}.py")


def caption_file(name):
    """Return the file of a caption, from the rules: of findings, where that is another one."""
    file, of_findings = (f"../report/{name}{end}.rst" for end in ("", "_of_findings"))
    there = FINDINGS and (HERE / "workflow/rules" / of_findings).is_file()
    return of_findings if there else file


def in_report(name, caption=None):
    """Return the caption, heading and title of a table or figure as keywords of ``report``."""
    caption = caption_file(caption or name.partition("-")[0])
    return {"caption": caption, **report_entry(name)}


def learning_rates_tried():
    """Return how many learning rates the stages of each task try, in order of the tasks."""
    found = {}
    for node in STUDY.nodes.values():
        found.setdefault(node.task, set()).add(len(node.learning_rates))
    last = found.pop(OUTPUTS.final)
    return {task: sorted(many) for task, many in {**found, OUTPUTS.final: last}.items()}


def written_tables():
    """Return the table files of this study."""
    return [
        f"{RESULTS}/tables/{name}{suffix}"
        for name in OUTPUTS.tables
        for suffix in TABLE_SUFFIXES
    ]


def variant_packs(wildcards=None):
    """Return the packed array of each of the study's variants, by its name."""
    return {variant: str(STUDY.pack(variant)) for variant in STUDY.variants}


def mask_packs():
    """Return the packed lung masks that belong to each of the study's variants."""
    return {f"lungs_of_{v}": str(STUDY.pack(masks_of(v))) for v in STUDY.variants}


OUTPUTS = Outputs(STUDY.config)
OTHERS = other_studies()
# By the folder that they lie in.
PREDICTED = {
    folder: [str(Path(RESULTS, "predictions", folder, f"{name}.csv")) for name in found]
    for folder, found in OUTPUTS.predictions.items()
}
PREDICTIONS = [f"{RESULTS}/predictions/{name}.csv" for name in names(STUDY.models)]
MAPS = [f"{RESULTS}/attention/{name}.npz" for name in names(STUDY.models)]
BATCHES = {task: stage["batch_size"] for task, stage in STUDY.config["stages"].items()}
SPLIT_NOTES = told_of(STUDY.config["split"])
