# What figures this study has, and what they are made from. No rules here.

from sscdl.tables.headings import place


def told(figure):
    """Return the title and the caption that a figure's file carries."""
    file = caption_file(f"figure_{figure.partition('-')[0]}")
    return {
        "title": place(f"figure_{figure}")[1],
        "caption": (HERE / "workflow/rules" / file).read_text(encoding="utf-8").strip(),
    }


def figure_input(figure):
    """Return the inputs of a figure, those in the store by functions."""
    table = f"{RESULTS}/tables/{{}}.csv".format
    models = OUTPUTS.figures[figure]
    predictions = [f"{RESULTS}/predictions/{name}.csv" for name in names(models)]
    full, lungs = stored(STUDY.pack("full")), stored(STUDY.pack("lungs"))
    packs = {**variant_packs(), **mask_packs()}
    pictures = {name: stored(path) for name, path in packs.items()}
    points = "finding_operating_points" if FINDINGS else "operating_points"
    curves = {"predictions": predictions, "table": table(points)}
    attention = {
        "predictions": predictions,
        "maps": [f"{RESULTS}/attention/{name}.npz" for name in names(models)],
        **pictures,
    }
    return {
        "dataset": {"images": IMAGES, "rejected": REJECTED, "full": full},
        "4.2_validation_curves": {
            "pointers": stored(
                STUDY.pointer(STUDY.models[m].fingerprint) for m in models
            ),
            "records": stored(RECORDS),
        },
        "4.3_ail_by_model": {"table": table("attention"), "seeds": table("seeds")},
        "accuracy_overview": {
            "table": table("4.14_accuracy_overview"),
            "seeds": table("seeds"),
            "subgroups": table("subgroups"),
        },
        "comparisons": {
            "table": table("finding_comparisons" if FINDINGS else "comparisons")
        },
        "roc": curves,
        "precision_recall": curves,
        "calibration": {
            "bins": table("calibration_bins"),
            "table": table("calibration"),
        },
        "label_efficiency": {"table": table("linear_probe")},
        "few_labels": {
            "table": table("finding_few_labels" if FINDINGS else "few_labels")
        },
        "shortcut": {"table": table("shortcut")},
        "4.1_variants": {"images": IMAGES, **pictures},
        "4.4_attention": attention,
        "class_maps": attention,
        "masks": {"images": IMAGES, "full": full, "lungs": lungs},
    }[figure.partition("-")[0]]


def drawn_figures():
    """Return the figure files of this study."""
    return [f"{RESULTS}/figures/{name}.png" for name in FIGURES]


FIGURES = {name: figure_input(name) for name in OUTPUTS.figures}
SUMMARISED = (
    {
        "tables": ["finding_scores", "finding_comparisons", "trainings"],
        "figures": OUTPUTS.comparisons,
    }
    if FINDINGS
    else {
        "tables": [
            "4.14_accuracy_overview",
            "attention",
            "comparisons",
            "trainings",
            *(["shortcut"] if OUTPUTS.marked else []),
        ],
        "figures": [
            "accuracy_overview",
            *OUTPUTS.comparisons,
            "4.3_ail_by_model",
            *(["shortcut"] if OUTPUTS.marked else []),
        ],
    }
)
