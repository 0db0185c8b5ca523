# What figures this study has, and what they are made from. No rules here.

from sscdl.study import thesis
from sscdl.study.trie import split_curriculum
from sscdl.tables.headings import place


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


def told(figure):
    """Return the title and the caption that a figure's file carries."""
    caption = HERE / f"workflow/report/figure_{figure.partition('-')[0]}.rst"
    return {
        "title": place(f"figure_{figure}")[1],
        "caption": caption.read_text(encoding="utf-8").strip(),
    }


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
