"""How far is our lungVAE from recordings of the original?

Prints a table in Markdown: for each group of recordings and quantity, the largest deviation beside
its tolerance (tests/unit/golden_comparison.py; the unit tests assert the same). The exit status is
1 if one is exceeded. The folder may be given by SSCDL_LUNGVAE_GOLDEN, as for the tests.

    python benchmarks/golden.py /data/lungvae/golden
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from tests.unit.golden_comparison import GROUPS
from tests.unit.golden_pictures import table


def main() -> int:
    """Print the table and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    given = os.environ.get("SSCDL_LUNGVAE_GOLDEN")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=given, help="folder of the recordings"
    )
    folder = parser.parse_args().folder
    if folder is None or not Path(folder).is_dir():
        parser.error(f"{folder}: no such folder; give the recordings' or set SSCDL_LUNGVAE_GOLDEN")
    deviations = [found for compare in GROUPS.values() for found in compare(Path(folder))]
    print(table(deviations))
    exceeded = sum(not deviation.ok for deviation in deviations)
    print(f"\n{len(deviations)} quantities, {exceeded} beyond their tolerance")
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
