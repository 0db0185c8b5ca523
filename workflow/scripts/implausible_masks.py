"""Write the table of implausible lung masks."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.tables.masks import write_implausible_masks

if __name__ == "__main__":
    with job_log(snakemake.log[0], "implausible masks"):
        write_implausible_masks(
            Path(snakemake.input.images),
            [Path(path) for path in snakemake.input.masks],
            Path(snakemake.output[0]),
            implausible=snakemake.params.implausible,
        )
