"""Do the cases in one process, which is measured: what ``probe.py`` starts."""

from __future__ import annotations

import argparse
import json
import logging
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from benchmarks.same_weights.measured import case, end_gently
from benchmarks.same_weights.pictures import Pictures
from benchmarks.same_weights.training import Training


def run_cases(chosen: list[dict[str, Any]], work: Path) -> dict[str, dict[str, Any]]:
    """Return groups and digests of every case, or the error that ended it."""
    pictures, training = Pictures(work), Training(work)
    kinds = {
        "phantom": pictures.phantom,
        "images": pictures.images,
        "masks given": pictures.masks_given,
        "masks predicted": pictures.masks_predicted,
        "packs": pictures.packs,
        "split": pictures.split,
        "duplicates": pictures.duplicates,
        "list": pictures.list,
        "sides": pictures.sides,
        "folders": pictures.folders,
        "segmenter": pictures.segmenter,
        "stage": training.stage,
    }
    found: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(chosen):
        began = time.perf_counter()
        result: dict[str, Any] = {"groups": one["groups"]}
        torch.manual_seed(0)
        with case(one["name"]):
            try:
                result["digests"] = kinds[one["kind"]](work / f"case-{number}", one["settings"])
            except (Exception, SystemExit) as error:
                logging.error("%s: %s", one["name"], traceback.format_exc())
                result |= {"digests": {}, "error": f"{type(error).__name__}: {error}"}
        result["seconds"] = round(time.perf_counter() - began, 2)
        found[one["name"]] = result
    return found


def main() -> None:
    """Read cases, do them, and write what they made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    end_gently()
    chosen = json.loads(given.cases.read_text(encoding="utf-8"))
    given.out.write_text(json.dumps(run_cases(chosen, given.work)), encoding="utf-8")


if __name__ == "__main__":
    main()
