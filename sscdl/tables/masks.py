"""What the lung masks of a study are like, which are implausible, and what is done with those."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sscdl import places
from sscdl.images.held_out import read_as_texts
from sscdl.records import MASK_MANIFEST, read_record
from sscdl.tables.dataset import once
from sscdl.tables.files import write_table

MEASURES = ["area", "components", "balance", "solidity", "border", "doubt"]
# What becomes of an implausible mask under each policy of `lungs.implausible`.
COPIES = (
    "Of the marked test sets, which show the same patients, the caption counts the first; each "
    "copy has a mask of its own, so that all are listed."
)
USED = {"keep": "as found", "drop": "no", "hull": "convex hulls"}


def mask_quality(images_csv: Path, mask_manifests: list[Path], *, implausible: str) -> pd.DataFrame:
    """Return faults and measures of the lung mask of each image in ``images.csv``, by image id.

    Args:
        images_csv: the study's list of images.
        mask_manifests: what was segmented, or taken over, one manifest per shard.
        implausible: the policy: "keep", "drop" or "hull".

    Returns:
        ``image_id, split``; ``faults`` (empty for a plausible mask), ``used`` (how the mask is
        used, one of ``USED``), the measures of :class:`sscdl.segment.quality.Quality`, and the
        files ``png`` (the image) and ``mask`` (empty where no mask was given).
    """
    images = read_as_texts(images_csv)
    store = mask_manifests[0].parents[2]
    images["png"] = pd.Series([places.found(text, store) for text in images["png"]], images.index)
    rows = []
    for manifest in mask_manifests:
        for row in read_record(manifest, MASK_MANIFEST)["masks"]:
            missing = row["png"] is None
            faults = ["no mask given"] if missing else row["faults"]
            used = USED[implausible] if faults else USED["keep"]
            rows.append(
                {
                    "image_id": row["image_id"],
                    "faults": "; ".join(faults),
                    # Without a lung there is nothing to use, nor a hull.
                    "used": USED["drop"] if row["empty"] else used,
                    **{name: None if missing else row[name] for name in MEASURES},
                    "mask": "" if missing else str(Path(manifest).parent / "png" / row["png"]),
                }
            )
    found = images[["image_id", "split", "png"]].merge(pd.DataFrame(rows), on="image_id")
    columns = ["image_id", "split", "faults", "used", *MEASURES, "png", "mask"]
    return found.sort_values("image_id", ignore_index=True)[columns]


def write_implausible_masks(
    images_csv: Path, mask_manifests: list[Path], out: Path, *, implausible: str
) -> None:
    """Write the rows of :func:`mask_quality` that have faults, as CSV, Markdown and LaTeX."""
    quality = mask_quality(images_csv, mask_manifests, implausible=implausible)
    faulty = quality[quality["faults"] != ""].drop(columns=["png", "mask"])
    counted = once(quality)
    many = f"{(counted['faults'] != '').sum()} of {len(counted)}"
    shown_again = [] if len(counted) == len(quality) else [COPIES]
    write_table(
        faulty,
        out.with_suffix(""),
        caption=f"The images whose lung mask is implausible: {many}.",
        notes=[
            "used: how the mask is used, by lungs.implausible; measures are of the mask as found.",
            "area and border: shares of the image and of its outermost pixels that are lung.",
            "balance: the smaller lung as a share of the larger; solidity: the least share of its "
            "convex hull that a lung fills.",
            "doubt: what the network cannot decide (probability 0.1 to 0.9) beside what it calls "
            "lung.",
            *shown_again,
        ],
    )
