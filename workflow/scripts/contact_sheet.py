"""Draw all images of the study in small, split by split."""

from pathlib import Path

import pandas as pd

from sscdl.figures.dataset import contact_sheet
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], "contact sheet"):
        images = pd.read_csv(snakemake.input[0], dtype=str, keep_default_na=False)
        images = images.sort_values(["split", "label", "image_id"])
        captions = images["image_id"] + "\n" + images["split"] + " " + images["label"]
        contact_sheet(
            [Path(path) for path in images["png"]],
            list(captions),
            Path(snakemake.output[0]) / "sheet.png",
            columns=12,
            tile=160,
        )
