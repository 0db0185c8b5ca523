"""The process that renders image files one by one: ``python -m sscdl.images.render_worker``.

It is started by ``sscdl.images.renderer``. Decoders are C libraries that damaged files can make
hang, crash or ask for any amount of memory; here they take nothing else with them.

Standard input holds JSON, one line each: first the settings (rendering, accept, find_text, memory
in bytes), then requests (number, file, png, partial, a name for the unfinished PNG file, and view,
which goes before the header's unless it is ''). To standard output goes a line
``{"ready": true}``, then one line per request with its number and one of

- ``row``: the facts of a radiograph whose PNG file is written;
- ``rejected``: why the file cannot be used;
- ``memory``: true, if the memory did not suffice;
- ``fault``: where an error happened that should not;
- ``unwritable``: why the PNG file could not be written.

The process ends at the end of its input.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sscdl.dicom.radiograph import ImageError, Radiograph, Rendering
from sscdl.images.burned_in import text_regions
from sscdl.images.picture import read_image
from sscdl.images.screen import few_tones, set_aside

try:
    import resource
except ImportError:  # not on every system
    resource = None  # type: ignore[assignment]

# Radiographs hold noise, in which a search for repeated strings finds little: without it, files are
# as small as with zlib's default level and made eight times as fast (benchmarks/README.md).
_PNG = (
    cv2.IMWRITE_PNG_COMPRESSION, 1,  # first, as it sets the strategy back
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH,
)  # fmt: skip
_PR_SET_PDEATHSIG = 1


def encode_png(pixels: np.ndarray) -> bytes:
    """Return ``pixels`` (H, W), uint8 or uint16, as a PNG file that holds nothing else."""
    done, content = cv2.imencode(".png", pixels, _PNG)
    if not done:
        raise RuntimeError(f"no PNG file of {pixels.shape} {pixels.dtype}")
    return content.tobytes()


def pixel_hash(pixels: np.ndarray) -> str:
    """Return 32 hex digits of BLAKE2b over shape, type and values of ``pixels``."""
    digest = hashlib.blake2b(f"{pixels.shape} {pixels.dtype}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels))  # type: ignore[arg-type]  # has a buffer
    return digest.hexdigest()


def main() -> None:
    """Answer requests from standard input until it ends."""
    _follow_parent()
    # What decoders and Python print must neither get among the answers nor, as it may quote the
    # header, into a log; before this line, errors are those of an incomplete installation.
    with open(os.dup(sys.stdout.fileno()), "w", encoding="ascii") as answers:
        null = os.open(os.devnull, os.O_WRONLY)
        settings = json.loads(sys.stdin.readline())
        _limit_memory(settings["memory"])
        cv2.setNumThreads(1)  # each shard is one job on one core
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(null, stream.fileno())
        rendering = dict(settings["rendering"])
        rendering["percentiles"] = tuple(rendering["percentiles"])
        settings["rendering"] = Rendering(**rendering)
        print(json.dumps({"ready": True}), file=answers, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            answer = _answer(request, settings)
            print(json.dumps({"number": request["number"], **answer}), file=answers, flush=True)


def _follow_parent() -> None:
    """Have this process end with its parent, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # Elsewhere the end of standard input is noticed, but only after the file in work.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory(size: int) -> None:
    """Limit the address space to ``size`` bytes where the system can do that."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        size = min(size, soft)
    # macOS knows the limit but refuses it; there a file's size is limited by max_pixels alone.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def _answer(request: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    try:
        radiograph = read_image(request["file"], settings["rendering"])
        radiograph = replace(radiograph, view=request["view"] or radiograph.view)
        reason = set_aside(radiograph, settings["accept"])
        if reason is not None:
            return {"rejected": reason}
        content = encode_png(radiograph.pixels)
        row = _row(radiograph, content, settings["find_text"])
    except ImageError as error:
        return {"rejected": str(error)}
    except MemoryError:
        return {"memory": True}
    except Exception as error:
        return {"fault": _where(error)}
    try:
        _write(Path(request["png"]), Path(request["partial"]), content)
    except OSError as error:
        return {"unwritable": error.strerror or type(error).__name__}
    return {"row": row}


def _row(radiograph: Radiograph, content: bytes, find_text: bool) -> dict[str, Any]:
    age, tones = radiograph.age_years, few_tones(radiograph.pixels)
    return {
        "patient_id": radiograph.patient_id,
        "view": radiograph.view,
        "sex": radiograph.sex,
        "age": None if math.isnan(age) else age,
        "rows": radiograph.rows,
        "columns": radiograph.columns,
        "transfer_syntax": radiograph.transfer_syntax,
        "photometric": radiograph.photometric,
        "bits_stored": radiograph.bits_stored,
        "modality": radiograph.modality,
        "body_part": radiograph.body_part,
        "sha256": hashlib.sha256(content).hexdigest(),
        "pixel_hash": pixel_hash(radiograph.pixels),
        "text": [list(map(float, box)) for box in text_regions(radiograph.pixels)]
        if find_text
        else None,
        **({"tones": tones} if tones else {}),
        **({"remarks": list(radiograph.remarks)} if radiograph.remarks else {}),
    }


def _where(error: Exception) -> str:
    """Return type and place of ``error`` without its text, which may quote the header."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"


def _write(png: Path, partial: Path, content: bytes) -> None:
    """Give ``png`` the ``content`` in one step, by way of ``partial``, unless it has just that."""
    if png.is_file() and png.read_bytes() == content:
        return
    try:
        partial.write_bytes(content)
        os.replace(partial, png)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
