"""Predict the held-out images with all classifiers of one model, by their number of labels."""

from pathlib import Path

from sscdl.evaluation.few_labels import predict_few
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], "predict"):
        training, given = snakemake.params.training, snakemake.input
        predict_few(
            [Path(pointer) for pointer in given.pointers],
            Path(given.pack),
            Path(given.images),
            Path(snakemake.output[0]),
            variant=snakemake.wildcards.variant,
            curriculum=snakemake.wildcards.curriculum,
            seed=int(snakemake.wildcards.seed),
            device=training["device"],
            threads=training["threads"],
        )
