"""Write the table of all learning rates."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.results import write_learning_rates
from sscdl.thesis_names import THESIS_FOLDER

if __name__ == "__main__":
    with job_log(snakemake.log[0], "learning rates"):
        write_learning_rates(
            [Path(path) for path in snakemake.input],
            Path(snakemake.output[0]),
            thesis=THESIS_FOLDER,
        )
