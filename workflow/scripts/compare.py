"""Compare images or masks that an earlier version made with those that are made anew."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.study.identity import settle

if __name__ == "__main__":
    with job_log(snakemake.log[0], f"compare {snakemake.params.kind}"):
        settle(
            snakemake.params.kind,
            [Path(path) for path in snakemake.input.earlier],
            [Path(path) for path in snakemake.input.anew],
            Path(snakemake.output[0]),
            made_of=snakemake.params.made_of,
        )
