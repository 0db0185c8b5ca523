"""Train the lung segmenter from pairs of images and masks."""

import tempfile
from pathlib import Path

from sscdl.progress import job_log
from sscdl.segment.phantom_pairs import phantom_pairs
from sscdl.segment.training import pairs_from_folder, train_segmenter

if __name__ == "__main__":
    with job_log(snakemake.log[0], "segmenter"), tempfile.TemporaryDirectory() as scratch:
        settings = dict(snakemake.params.settings)
        folder, number = settings.pop("folder"), settings.pop("images")
        height, width = settings.pop("field")
        if folder:
            pairs = pairs_from_folder(Path(folder))
        else:
            pairs = phantom_pairs(Path(scratch), number, settings["seed"])
        train_segmenter(
            pairs,
            Path(snakemake.output[0]),
            height=height,
            width=width,
            threads=snakemake.params.threads,
            mask_convention=settings.pop("convention"),
            **settings,
        )
