"""Convert one shard of the DICOM files to PNG."""

from pathlib import Path

from sscdl.ingest import ingest_shard
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], f"ingest {snakemake.wildcards.shard}"):
        manifest = Path(snakemake.output[0])
        ingest_shard(
            {name: Path(root) for name, root in snakemake.params.roots.items()},
            shard=int(snakemake.wildcards.shard),
            shards=snakemake.params.shards,
            png_dir=manifest.parent / "png",
            manifest=manifest,
            id_key=snakemake.params.id_key,
        )
