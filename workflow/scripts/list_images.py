"""Write the lists of usable and of rejected images, with the split."""

import json
import os
from pathlib import Path

from sscdl.errors import drawn_again
from sscdl.images.classes import unmet
from sscdl.images.imagelist import list_images
from sscdl.own_csv import read_own
from sscdl.progress import job_log

if __name__ == "__main__":
    log = job_log(snakemake.log[0], "images")
    with log as logger, drawn_again(snakemake.input.phantom or None):
        list_images(
            [Path(path) for path in snakemake.input.images],
            [Path(path) for path in snakemake.input.masks],
            [Path(path) for path in snakemake.params.truths],
            Path(snakemake.output.images),
            Path(snakemake.output.rejected),
            implausible=snakemake.params.implausible,
            split=snakemake.params.split,
            given=json.loads(os.environ["SSCDL_GIVEN_SPLIT"]),
            near_duplicates=Path(near) if (near := snakemake.input.near_duplicates) else None,
            treatment=snakemake.params.treatment,
            classes=snakemake.params.classes,
            several=snakemake.params.several,
            masked=snakemake.params.masked,
        )
        listed, rejected = (
            read_own(path, dtype=str, keep_default_na=False)
            for path in (snakemake.output.images, snakemake.output.rejected)
        )
        for sentence in unmet(listed, rejected):
            logger.warning("%s", sentence)
