"""Bring the weights that a curriculum starts from into the store."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.stages.roots import fetch_root

if __name__ == "__main__":
    with job_log(snakemake.log[0], f"root {snakemake.wildcards.root}"):
        fetch_root(
            snakemake.wildcards.root,
            Path(snakemake.params.file) if snakemake.params.file else None,
            Path(snakemake.output[0]),
            stand_in=snakemake.params.stand_in,
            backbone=snakemake.params.backbone,
        )
