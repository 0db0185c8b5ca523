# What predictions, tables and figures this study has, and what they are made from. No rules here.

from functools import cache

from sscdl.evaluation import prediction_files
from sscdl.study import thesis
from sscdl.tables.headings import place, report_entry
from sscdl.source import output_hash
from sscdl.study.trie import split_curriculum


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


def comparison_pages(most):
    """Return the names of the figures of the comparisons, none if there is nothing to compare.

    One page for all as long as it has no more than ``most`` lines, otherwise one for each variant
    and what models are compared with.
    """
    against = [
        thesis.reference_kind(other)
        for curriculum in STUDY.curricula
        for other in thesis.references(curriculum, STUDY.curricula)
    ]
    if len(against) * len(STUDY.variants) <= most:
        return ["comparisons"] if against else []
    kinds = dict.fromkeys(against)
    return [f"comparisons-{v}-{kind}" for v in STUDY.variants for kind in kinds]


def curve_pages(most):
    """Return the pages of the curves over thresholds, and the variants of each.

    One page for all as long as it has no more than ``most`` panels, otherwise one for each variant.
    """
    many = len(STUDY.config["classes"])
    panels = len(STUDY.variants) * (1 if many == 2 else many)
    return (
        {"": STUDY.variants}
        if panels <= most
        else {f"-{v}": [v] for v in STUDY.variants}
    )


def model_input(wildcards):
    """Return what the predictions of one model, and their curves, are made from."""
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


def untrained_input(wildcards):
    """Return what tells where untrained networks look on the pictures of a variant."""
    return {
        "pack": str(STUDY.pack(wildcards.variant)),
        "lungs": str(STUDY.pack(masks_of(wildcards.variant))),
        "images": IMAGES,
    }


def classifier_settings(variant):
    """Return what the networks of a variant have that no stage of this study has trained."""
    return {
        "data": STUDY.data(variant)["classify"],
        "backbone": STUDY.config["backbone"],
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


def in_report(name, caption=None):
    """Return the caption, heading and title of a table or figure as keywords of ``report``."""
    caption = caption or name.partition("-")[0]
    return {"caption": f"../report/{caption}.rst", **report_entry(name)}


def told(figure):
    """Return the title and the caption that a figure's file carries."""
    caption = HERE / f"workflow/report/figure_{figure.partition('-')[0]}.rst"
    return {
        "title": place(f"figure_{figure}")[1],
        "caption": caption.read_text(encoding="utf-8").strip(),
    }


def learning_rates_tried():
    """Return how many learning rates the stages of each task try, in order of the tasks."""
    found = {}
    for node in STUDY.nodes.values():
        found.setdefault(node.task, set()).add(len(node.learning_rates))
    last = found.pop("classify")
    return {task: sorted(many) for task, many in {**found, "classify": last}.items()}


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
        "faithfulness",
        "operating_points",
        "seeds",
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
        "seeds": table("seeds"),
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
                ],
                "records": RECORDS,
            }
            for page, models in pages("4.2_validation_curves", most=12).items()
        },
        "4.3_ail_by_model": {
            "table": table("attention"),
            "seeds": table("seeds"),
        },
        "accuracy_overview": accuracy,
        **{page: {"table": table("comparisons")} for page in comparison_pages(most=36)},
        **{
            f"{figure}{page}": {
                "predictions": [
                    f"{RESULTS}/predictions/{name}.csv"
                    for name in names(m for m in STUDY.models if m[0] in variants)
                ],
                "table": table("operating_points"),
            }
            for figure in ("roc", "precision_recall")
            for page, variants in curve_pages(most=9).items()
        },
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
        for name, models in SHOWING_MODELS.items():
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


PREDICTIONS = [f"{RESULTS}/predictions/{name}.csv" for name in names(STUDY.models)]
OTHERS = other_studies()
# Figures that show what models look at, and which models.
SHOWING_MODELS = {
    **pages("4.4_attention", most=8),
    # The last curriculum, most often the longest, by its first seed.
    "class_maps": [
        model
        for model in STUDY.models
        if model[1:] == (STUDY.curricula[-1], min(STUDY.seeds))
    ],
}
CROSS = STUDY.config["results"]["cross_variants"] and len(STUDY.variants) > 1
SHOWN = [
    f"{RESULTS}/predictions/shown/{name}.csv" for name in names(STUDY.models) if CROSS
]
PROBES = [
    f"{RESULTS}/predictions/probe/{variant}.{whose}.csv"
    for variant in STUDY.variants
    for whose in (*(f"s{s}" for s in STUDY.seeds if PRETEXT or ROOTS), "random")
    if STUDY.config["results"]["label_shares"]
]
FAITHFULNESS = [
    f"{RESULTS}/predictions/faithfulness/{name}.csv" for name in names(STUDY.models)
]
UNTRAINED_PREDICTIONS = [
    f"{RESULTS}/predictions/untrained/{variant}.csv" for variant in STUDY.variants
]
# By the folder that they lie in.
PREDICTED = {
    prediction_files.OWN: [*PREDICTIONS, f"{RESULTS}/predictions/metadata.csv"],
    prediction_files.SHOWN: SHOWN,
    prediction_files.PROBE: PROBES,
    prediction_files.UNTRAINED: UNTRAINED_PREDICTIONS,
    prediction_files.FAITHFULNESS: FAITHFULNESS,
}
PREDICTION_TABLES = prediction_tables()
BATCHES = {task: stage["batch_size"] for task, stage in STUDY.config["stages"].items()}
THESIS_TABLES = thesis.tables_of(
    STUDY.nodes.values(), classes=STUDY.config["classes"], batches=BATCHES
)
FIGURES = figure_inputs()
SUMMARISED = {
    "tables": [
        "4.14_accuracy_overview",
        "attention",
        "comparisons",
        *(["shortcut"] if MARKED else []),
    ],
    "figures": [
        "accuracy_overview",
        *comparison_pages(most=36),
        "4.3_ail_by_model",
        *(["shortcut"] if MARKED else []),
    ],
}
