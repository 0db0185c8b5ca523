"""Write table 3.1."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.study.thesis import THESIS_FOLDER
from sscdl.tables.thesis.write import write_backbones

if __name__ == "__main__":
    with job_log(snakemake.log[0], "backbones"):
        write_backbones(
            Path(snakemake.output[0]),
            backbone=snakemake.params.backbone,
            thesis=THESIS_FOLDER,
            thesis_figures=snakemake.params.thesis_figures,
        )
