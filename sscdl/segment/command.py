"""Lung masks for a folder of chest radiographs.

python -m sscdl segment IMAGES OUT

Writes <name>_mask.png (as predicted) and <name>_post.png (the two largest components, closed) for
each image, and masks.csv with the measures and faults of every mask. The exit status is 1 if a
file that is no text could not be read.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from sscdl.command_line import command_parser
from sscdl.segment.networks import default


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status; InputError if it cannot do what is asked."""
    parser = command_parser(__doc__, "segment")
    parser.add_argument(
        "images",
        type=Path,
        help="folder of PNG, JPEG, TIFF or DICOM files at any depth, or one file; in a folder, "
        "files with mask or label in their names are passed over",
    )
    parser.add_argument("out", type=Path, help="folder for masks and masks.csv")
    parser.add_argument(
        "--model",
        type=Path,
        default=default.PATH,
        help="segmenter of this project (.safetensors), or the published lungVAE.pt; without it, "
        "the segmenter that comes with the project",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=0,
        help="average so many samples of the latent variables, and write <name>_uncertainty.png "
        "(510 x standard deviation of the probability)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument(
        "--no-equalise",
        action="store_true",
        help="leave histograms as they are, for images that are equalised already",
    )
    parser.add_argument("--batch-size", type=int, default=1, help="images in one pass")
    options = parser.parse_args(arguments)
    for name, least in (("samples", 0), ("seed", 0), ("batch_size", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name.replace('_', '-')} must be at least {least}")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Importing torch takes seconds, which the help text need not wait for.
    from sscdl.segment.folder import segment_folder
    from sscdl.segment.predict import load_segmenter
    from sscdl.weight_files import check_weights

    check_weights(options.model)
    failed = segment_folder(
        options.images,
        options.out,
        load_segmenter(options.model),
        samples=options.samples,
        seed=options.seed,
        equalise=not options.no_equalise,
        batch_size=options.batch_size,
    )
    return 1 if failed else 0
