"""Predict the held-out images with one classifier and measure its attention."""

from pathlib import Path

from sscdl.evaluation.predict import predict
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], "predict"):
        training = snakemake.params.training
        predict(
            Path(snakemake.input.pointer),
            Path(snakemake.input.pack),
            Path(snakemake.input.lungs),
            Path(snakemake.input.images),
            Path(snakemake.output.predictions),
            Path(snakemake.output.maps),
            variant=snakemake.wildcards.variant,
            curriculum=snakemake.wildcards.curriculum,
            seed=int(snakemake.wildcards.seed),
            device=training["device"],
            threads=training["threads"],
        )
