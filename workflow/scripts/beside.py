"""Write the table that sets this study beside others."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.tables.beside import write_beside

if __name__ == "__main__":
    with job_log(snakemake.log[0], "beside"):
        write_beside(
            [Path(path) for path in snakemake.input.predictions],
            {study: [Path(p) for p in files] for study, files in snakemake.params.others.items()},
            Path(snakemake.output[0]),
            split=snakemake.params.split,
            margin=snakemake.params.margin,
        )
