"""Write the TensorBoard scalars of all finished stages, whoever trained them."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.training.scalars import write_finished

if __name__ == "__main__":
    with job_log(snakemake.log[0], "monitors"):
        folders = map(Path, snakemake.params.folders)
        write_finished(zip(map(Path, snakemake.input.pointers), folders, strict=True))
