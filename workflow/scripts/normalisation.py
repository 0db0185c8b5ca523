"""Write table 4.1."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.study.thesis import THESIS_FOLDER
from sscdl.tables.write import write_normalisation

if __name__ == "__main__":
    with job_log(snakemake.log[0], "normalisation"):
        packs = {name: Path(path) for name, path in snakemake.input.items() if name != "images"}
        write_normalisation(
            packs,
            Path(snakemake.input.images),
            Path(snakemake.output[0]),
            protocol=snakemake.params.protocol,
            thesis=THESIS_FOLDER,
            thesis_figures=snakemake.params.thesis_figures,
        )
