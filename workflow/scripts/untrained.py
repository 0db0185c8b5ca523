"""Measure the attention of random networks on the held-out images of one variant."""

from pathlib import Path

from sscdl.evaluation.untrained import predict_untrained
from sscdl.progress import job_log

if __name__ == "__main__":
    params, variant = snakemake.params, snakemake.wildcards.variant
    with job_log(snakemake.log[0], f"untrained {variant}"):
        predict_untrained(
            Path(snakemake.input.pack),
            Path(snakemake.input.lungs),
            Path(snakemake.input.images),
            Path(snakemake.output[0]),
            variant=variant,
            networks=params.networks,
            device=params.training["device"],
            threads=params.training["threads"],
            **params.settings,
        )
