"""Find the lungs in one shard of the images, or take the masks that are given."""

from pathlib import Path

from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], f"segment {snakemake.wildcards.shard}"):
        images, out = Path(snakemake.input.images), Path(snakemake.output[0])
        folders = {
            "manifest": images,
            "png_dir": images.parent / "png",
            "mask_dir": out.parent / "png",
            "hull": snakemake.params.hull,
        }
        if snakemake.params.given:
            from sscdl.segment.given import copy_given_masks

            copy_given_masks(mask_folder=Path(snakemake.params.given), out=out, **folders)
        else:
            from sscdl.segment.predict import segment_shard
            from sscdl.weight_files import check_weights

            segmenter = Path(snakemake.input.segmenter)
            check_weights(segmenter)
            segment_shard(segmenter_path=segmenter, out=out, **folders)
