"""Measure, within some minutes, all that only a GPU can show, and write it to a file as it comes.

    python -m benchmarks.gpu --minutes 10                    # into benchmarks/gpu-<device>.json
    python -m benchmarks.gpu --out "$OUT/gpu.json"
    python -m benchmarks.gpu --only speed side               # these parts, in this order
    python -m benchmarks.gpu --device cpu --tiny             # tries the command itself
    python -m benchmarks.gpu --table [--check]               # into benchmarks/README.md

docs/gpu.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu import table
from benchmarks.gpu.record import Results, default_path
from benchmarks.gpu.runner import PARTS, Part, Runner, failed
from benchmarks.gpu.sizes import Sizes
from sscdl.files import HOME


def main() -> int:
    """Run the command and return its exit status: 1 where a part failed."""
    begun = time.monotonic()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="in all (default 10)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--out",
        type=Path,
        help="if not given, benchmarks/gpu-<device>.json, of a part results/gpu-dry-run.json",
    )
    parser.add_argument("--only", nargs="+", metavar="PART", help=_names())
    parser.add_argument("--tiny", action="store_true", help="small networks and images, few steps")
    parser.add_argument("--table", action="store_true", help="write the table of all results")
    parser.add_argument("--check", action="store_true", help="with --table: say if it is outdated")
    options = parser.parse_args()
    if options.table:
        return table.main(check=options.check)
    deadline = begun + 60 * options.minutes
    out = options.out
    if out is None:
        # By the device's name, which only a process that asks for the device can know. What the
        # CPU did, or parts, is no result and must not stand in the place of one.
        partly = options.device == "cpu" or options.tiny or options.only
        out = HOME / "results/gpu-dry-run.json" if partly else default_path(_device_name())
    results = Results(
        out, minutes=options.minutes, tiny=options.tiny, revision=_revision(),
        python=platform.python_version(), began=time.strftime("%Y-%m-%d %H:%M:%S %Z"),
    )  # fmt: skip
    results.describe()
    # Asking whether there is a GPU must not open it: processes that fork could not use it then.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what ends processes
    Runner(results, Sizes(options.device, options.tiny), deadline, begun).run(_parts(options.only))
    results.describe(finished=True, took=round(time.monotonic() - begun, 1))
    print(f"written to {out}")
    return int(failed(results))


def _names() -> str:
    return f"of {', '.join(one.name for one in PARTS)}; or a module of your own"


def _parts(names: list[str] | None) -> list[Part]:
    """Return the parts that are named, all of them if none is."""
    known = {one.name: one for one in PARTS}
    if names is None:
        return list(PARTS)
    unknown = [name for name in names if name not in known and "." not in name]
    if unknown:
        sys.exit(f"--only {' '.join(unknown)}: there are {', '.join(known)}")
    return [known.get(name) or Part(name, 60.0) for name in names]


def _device_name() -> str:
    """Return the name of the GPU; ends the command where torch sees none."""
    code = "import torch; print(torch.cuda.get_device_name(0))"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:]
        sys.exit(f"torch finds no GPU here ({' '.join(reason)}); --device cpu --tiny tries without")
    return done.stdout.strip()


def _revision() -> str:
    """Return what git calls the source, empty without git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=HOME, text=True, capture_output=True
        )
    except OSError:
        return ""
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
