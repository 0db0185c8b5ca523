"""Predict the held-out images from metadata alone."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.results import write_metadata_predictions

if __name__ == "__main__":
    with job_log(snakemake.log[0], "metadata"):
        write_metadata_predictions(
            Path(snakemake.input[0]), Path(snakemake.output[0]), classes=snakemake.params.classes
        )
