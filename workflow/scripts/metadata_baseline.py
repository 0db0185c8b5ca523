"""Predict the held-out images from metadata alone."""

from pathlib import Path

from sscdl.evaluation.baselines import write_metadata_predictions
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], "metadata"):
        write_metadata_predictions(
            Path(snakemake.input[0]), Path(snakemake.output[0]), data=snakemake.params.data
        )
