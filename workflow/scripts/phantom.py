"""Write the synthetic archive, then a file that says it is complete."""

from pathlib import Path

from sscdl.files import write_json
from sscdl.phantom.archive import write_archive
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], "phantom"):
        settings = snakemake.params.settings
        write_archive(Path(snakemake.params.archive), **settings)
        write_json(snakemake.output[0], settings)
