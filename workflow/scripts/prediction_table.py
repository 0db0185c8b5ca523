"""Write one of the tables that are made from predictions."""

import os
from pathlib import Path

from sscdl.progress import job_log
from sscdl.study.thesis import THESIS_FOLDER
from sscdl.tables.write import write_prediction_table
from sscdl.training.network_facts import map_notes

if __name__ == "__main__":
    with job_log(snakemake.log[0], snakemake.params.name):
        write_prediction_table(
            snakemake.params.name,
            [Path(path) for path in snakemake.input],
            Path(snakemake.output[0]),
            split=snakemake.params.split,
            convention=snakemake.params.convention,
            thesis=THESIS_FOLDER,
            thesis_figures=snakemake.params.thesis_figures,
            margin=snakemake.params.margin,
            stand_ins=snakemake.params.stand_ins,
            map_notes=map_notes(**snakemake.params.network, store=os.environ["SSCDL_STORE"]),
            split_notes=snakemake.params.split_notes,
        )
