"""Train the lung segmenter from pairs of images and masks, phantoms, or both."""

import tempfile
from pathlib import Path

from sscdl.progress import job_log
from sscdl.segment.training.recipes import train
from sscdl.training.device import lease

if __name__ == "__main__":
    with (
        job_log(snakemake.log[0], "segmenter"),
        tempfile.TemporaryDirectory() as scratch,
        lease(snakemake.params.device, 1) as (device,),
    ):
        train(
            snakemake.params.settings,
            Path(snakemake.output[0]),
            Path(scratch),
            threads=snakemake.params.threads,
            device=device,
        )
