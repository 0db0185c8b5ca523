"""Convert one shard of the image files to PNG."""

from pathlib import Path

from sscdl.dicom.radiograph import Rendering
from sscdl.errors import drawn_again
from sscdl.images.ingest import ingest_shard
from sscdl.progress import job_log

if __name__ == "__main__":
    drawn = drawn_again(next(iter(snakemake.input), None))
    with job_log(snakemake.log[0], f"ingest {snakemake.wildcards.shard}"), drawn:
        manifest = Path(snakemake.output[0])
        settings = snakemake.params.settings
        rendering = settings["rendering"]
        ingest_shard(
            snakemake.params.cohorts,
            shard=int(snakemake.wildcards.shard),
            shards=settings["shards"],
            png_dir=manifest.parent / "png",
            manifest=manifest,
            rendering=Rendering(**rendering | {"percentiles": tuple(rendering["percentiles"])}),
            accept=settings["accept"],
            find_text=settings["find_text"],
            time_limit=settings["time_limit"],
        )
