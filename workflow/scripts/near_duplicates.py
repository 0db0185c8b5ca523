"""Find pictures that are one radiograph exported twice."""

from pathlib import Path

from sscdl.images.near_duplicates import find_near_duplicates
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], "near-duplicates"):
        find_near_duplicates(
            [Path(path) for path in snakemake.input],
            Path(snakemake.output[0]),
            threads=snakemake.threads,
        )
