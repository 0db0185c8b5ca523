"""Draw the lung masks of the study over its images."""

from pathlib import Path

from sscdl.figures.mask_sheet import mask_sheet
from sscdl.progress import job_log
from sscdl.tables.masks import mask_quality

if __name__ == "__main__":
    with job_log(snakemake.log[0], "mask sheet"):
        quality = mask_quality(
            Path(snakemake.input.images),
            [Path(path) for path in snakemake.input.masks],
            implausible=snakemake.params.implausible,
        )
        mask_sheet(quality, Path(snakemake.output[0]), number=snakemake.params.number, seed=0)
