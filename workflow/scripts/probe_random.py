"""Fit linear probes to the random networks of one variant, with the labels of every seed."""

from pathlib import Path

from sscdl.evaluation.probe_study import probe_random
from sscdl.progress import job_log

if __name__ == "__main__":
    params, variant = snakemake.params, snakemake.wildcards.variant
    with job_log(snakemake.log[0], f"probe {variant} random"):
        probe_random(
            params.networks,
            Path(snakemake.input.pack),
            Path(snakemake.input.images),
            Path(snakemake.output[0]),
            variant=variant,
            seeds=params.seeds,
            device=params.training["device"],
            threads=params.training["threads"],
            **params.settings,
        )
