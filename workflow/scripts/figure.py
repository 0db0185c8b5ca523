"""Draw one figure."""

from pathlib import Path

from sscdl.figures import drawing
from sscdl.progress import job_log

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
    out, params = Path(snakemake.output[0]), snakemake.params
    with job_log(snakemake.log[0], params.name):
        match params.name.partition("-")[0]:
            case "dataset":
                drawing.draw_data(given["images"], given["rejected"], given["full"], out)
            case "4.1_variants":
                drawing.draw_variants(given["images"], pictures, out)
            case "4.2_validation_curves":
                drawing.draw_validation_curves(given["pointers"], out, classes=params.classes)
            case "4.3_ail_by_model":
                drawing.draw_ail(given["table"], out)
            case "4.4_attention" | "class_maps" as name:
                files = zip(params.models, given["predictions"], given["maps"], strict=True)
                models = [(v, c, p, m) for (v, c, _), p, m in files]
                draw = drawing.draw_class_maps if name == "class_maps" else drawing.draw_attention
                draw(models, pictures, out, split=params.split, number=params.number)
            case "accuracy_overview":
                drawing.draw_accuracy(given["table"], given["subgroups"], out)
            case "label_efficiency":
                drawing.draw_label_efficiency(given["table"], out)
            case "calibration":
                drawing.draw_calibration(given["bins"], given["table"], out)
            case "shortcut":
                drawing.draw_shortcut(given["table"], out)
            case "masks":
                drawing.draw_masks(given["images"], given["full"], given["lungs"], out)
