"""Does the demo's finding hold over seeds? Runs the demo with three and prints the shortcut table.

python benchmarks/three_seeds.py --seeds 0 1 2 --cores 2
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run the study ``demo-seeds`` (it shares the store with the demo) and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cores", default="2")
    arguments = parser.parse_args()
    seeds = ",".join(map(str, arguments.seeds))
    command = [
        sys.executable, "-m", "snakemake", "--cores", arguments.cores, "--resources", "gpu=1",
        "--configfile", "config/demo.yaml", "--config", "study=demo-seeds", f"seeds=[{seeds}]",
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True)
    print((ROOT / "results/demo-seeds/tables/shortcut.md").read_text())


if __name__ == "__main__":
    main()
