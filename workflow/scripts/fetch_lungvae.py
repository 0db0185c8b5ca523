"""Fetch the published lungVAE checkpoint."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.segment.networks.published import fetch_published

if __name__ == "__main__":
    with job_log(snakemake.log[0], "lungVAE"):
        fetch_published(Path(snakemake.output[0]))
