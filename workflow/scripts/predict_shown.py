"""Predict the held-out images with one classifier that is shown the pictures of other variants."""

from pathlib import Path

from sscdl.evaluation.predict import Pictures, predict_shown
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], "predict"):
        training, given = snakemake.params.training, snakemake.input
        predict_shown(
            Path(given.pointer),
            Path(given.pack),
            Path(given.images),
            Path(snakemake.output[0]),
            {
                variant: Pictures(Path(given[variant]), Path(given[f"lungs_of_{variant}"]))
                for variant in snakemake.params.shown
            },
            variant=snakemake.wildcards.variant,
            curriculum=snakemake.wildcards.curriculum,
            seed=int(snakemake.wildcards.seed),
            device=training["device"],
            threads=training["threads"],
        )
