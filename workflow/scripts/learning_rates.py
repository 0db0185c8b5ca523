"""Write the table of all learning rates."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.study.thesis import THESIS_FOLDER
from sscdl.tables.write import write_learning_rates

if __name__ == "__main__":
    with job_log(snakemake.log[0], "learning rates"):
        write_learning_rates(
            [Path(path) for path in snakemake.input.pointers],
            Path(snakemake.output[0]),
            thesis=THESIS_FOLDER,
            thesis_figures=snakemake.params.thesis_figures,
        )
