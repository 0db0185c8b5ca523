"""Write the table of what the search of learning rates cost."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.tables.write import write_search

if __name__ == "__main__":
    with job_log(snakemake.log[0], "search"):
        write_search(
            [Path(path) for path in snakemake.input.pointers],
            snakemake.params.searches,
            Path(snakemake.output[0]),
            halving=snakemake.params.halving,
        )
