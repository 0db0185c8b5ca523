"""Draw one figure."""

import os
from pathlib import Path

from sscdl.figures import drawing
from sscdl.figures.charts import write_figure
from sscdl.progress import job_log
from sscdl.tables.headings import FIGURE, reports_scores
from sscdl.training.network_facts import map_notes

if __name__ == "__main__":
    given = {
        key: Path(value) if isinstance(value, str) else [Path(path) for path in value]
        for key, value in snakemake.input.items()
    }
    pictures = {
        variant: (given[variant], given[f"lungs_of_{variant}"])
        for variant in given
        if f"lungs_of_{variant}" in given
    }
    params = snakemake.params
    name, _, page = params.name.partition("-")
    with job_log(snakemake.log[0], params.name):
        match name:
            case "dataset":
                figure = drawing.draw_data(given["images"], given["rejected"], given["full"])
            case "4.1_variants":
                figure = drawing.draw_variants(given["images"], pictures)
            case "4.2_validation_curves":
                figure = drawing.draw_validation_curves(given["pointers"], chance=params.chance)
            case "4.3_ail_by_model":
                figure = drawing.draw_ail(given["table"], given["seeds"])
            case "4.4_attention" | "class_maps":
                files = zip(params.models, given["predictions"], given["maps"], strict=True)
                models = [(v, c, p, m) for (v, c, _), p, m in files]
                draw = drawing.draw_class_maps if name == "class_maps" else drawing.draw_attention
                figure = draw(models, pictures, split=params.split, number=params.number)
            case "accuracy_overview":
                figure = drawing.draw_accuracy(given["table"], given["seeds"], given["subgroups"])
            case "comparisons":
                figure = drawing.draw_comparisons(given["table"], page)
            case "label_efficiency":
                figure = drawing.draw_label_efficiency(given["table"], "linear probes")
            case "few_labels":
                figure = drawing.draw_label_efficiency(given["table"], "trained models")
            case "calibration":
                figure = drawing.draw_calibration(given["bins"], given["table"])
            case "roc" | "precision_recall":
                figure = drawing.draw_curves(
                    given["predictions"], given["table"], kind=name, split=params.split
                )
            case "shortcut":
                figure = drawing.draw_shortcut(given["table"])
            case "masks":
                figure = drawing.draw_masks(given["images"], given["full"], given["lungs"])
        caption = params.caption
        if reports_scores(f"{FIGURE}{name}"):
            caption = " ".join([caption, *params.split_notes])
        if name in ("4.3_ail_by_model", "4.4_attention", "class_maps"):
            caption = " ".join(
                [caption, *map_notes(**params.network, store=os.environ["SSCDL_STORE"])]
            )
        write_figure(figure, Path(snakemake.output[0]), title=params.title, caption=caption)
