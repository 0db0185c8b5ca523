"""Draw all images of the study in small, split by split."""

from pathlib import Path

from sscdl.figures.dataset import contact_sheet
from sscdl.images.held_out import read_as_texts
from sscdl.places import found
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], "contact sheet"):
        images = read_as_texts(Path(snakemake.input[0]))
        images = images.sort_values(["split", "label", "image_id"])
        captions = images["image_id"] + "\n" + images["split"] + " " + images["label"]
        contact_sheet(
            [found(path, Path(snakemake.params.store)) for path in images["png"]],
            list(captions),
            Path(snakemake.output[0]) / "sheet.png",
            columns=12,
            tile=160,
        )
