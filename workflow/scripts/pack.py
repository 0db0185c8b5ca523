"""Pack one variant of all images into an array."""

from pathlib import Path

from sscdl.images.variants import pack
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], f"pack {snakemake.params.variant}"):
        pack(
            snakemake.params.variant,
            [Path(path) for path in snakemake.input.images],
            [Path(path) for path in snakemake.input.masks],
            Path(snakemake.input.full) if snakemake.input.full else None,
            Path(snakemake.output[0]),
            size=snakemake.params.size,
            edge=snakemake.params.edge,
        )
