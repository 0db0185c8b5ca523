"""Write the table of what each stage's training came to."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.tables.write import write_trainings

if __name__ == "__main__":
    with job_log(snakemake.log[0], "trainings"):
        write_trainings(
            [Path(path) for path in snakemake.input.pointers], Path(snakemake.output[0])
        )
