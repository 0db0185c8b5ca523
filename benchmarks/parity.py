"""Do we show the same picture as DCMTK? Compares gray values file by file.

Renders DICOM files with sscdl and with the command line tools of DCMTK, which share no code with
it, and prints a table in Markdown: largest and mean difference of the gray values (of 0 to 255), or
why there is no picture. Without arguments, the files are those of pydicom and pydicom-data.

    python benchmarks/parity.py
    python benchmarks/parity.py /data/nih-siim --summary

DCMTK is told the same choices where the standard leaves one: the first VOI LUT or window of the
file, otherwise a window between the 0.5th and 99.5th percentile, which NumPy finds; no overlays. Of
colour pictures the luminance is compared. What DCMTK cannot decode (JPEG 2000) it is given
decompressed by Pillow, or by pylibjpeg where Pillow cannot either.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.dicom.radiograph import ImageError, Rendering
from sscdl.dicom.render import read_radiograph

PROCESSES = 2
_LUMINANCE = np.array([0.114, 0.587, 0.299])  # ITU-R BT.601, for blue, green and red
# What pydicom raises for files that are damaged, or that none of its decoders knows.
_UNDECODABLE = (RuntimeError, ValueError, AttributeError, TypeError, NotImplementedError)
_NO_IMAGES = {".py", ".pyc", ".json", ".txt", ".dump", ".icc", ".gz"}


@dataclass(frozen=True)
class Parity:
    """One file: differences of gray values if both showed it, else why sscdl or DCMTK did not."""

    name: str
    syntax: str = ""
    largest: int | None = None
    mean: float | None = None
    rejected: str = ""
    unknown_to_dcmtk: str = ""


def has_dcmtk() -> bool:
    """Tell whether DCMTK's tools for pictures are installed."""
    tools = ("dcm2pnm", "dcmj2pnm", "dcml2pnm")
    return bool(shutil.which("dcm2img")) or all(shutil.which(tool) for tool in tools)


def sample_files() -> dict[str, Path]:
    """Return the files with an image that pydicom and pydicom-data ship, by name in their folder.

    A file counts if its header has Rows or pixel data. pydicom-data may be missing.
    """
    folders = [Path(pydicom.__file__).parent / "data" / "test_files"]
    folders.append(folders[0].parent / "charset_files")
    package = util.find_spec("data_store")
    if package is not None and package.submodule_search_locations:
        folders += [Path(place) / "data" for place in package.submodule_search_locations]
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in _NO_IMAGES and _is_image(path):
                found[path.relative_to(folder).as_posix()] = path
    return found


def compare(files: dict[str, Path], *, bits: int = 8) -> Iterator[Parity]:
    """Yield the comparison of each of the files, rendered with 8 or 16 ``bits``."""
    with (
        _quiet(),
        tempfile.TemporaryDirectory() as scratch,
        ThreadPoolExecutor(PROCESSES) as pool,
    ):
        targets = [Path(scratch, str(number)) for number in range(len(files))]
        theirs = pool.map(
            lambda pair: _by_dcmtk(*pair, bits), zip(files.values(), targets, strict=True)
        )
        for (name, path), (picture, reason) in zip(files.items(), theirs, strict=True):
            yield _compared(name, path, picture, reason, bits)


def table(results: Iterable[Parity]) -> str:
    """Return the results as a table in Markdown."""
    lines = ["| file | transfer syntax | largest | mean | remark |", "| - | - | -: | -: | - |"]
    for result in results:
        numbers = "" if result.largest is None else f"{result.largest} | {result.mean:.3f}"
        remark = f"rejected: {result.rejected}" if result.rejected else result.unknown_to_dcmtk
        lines.append(f"| {result.name} | {result.syntax} | {numbers or ' | '} | {remark} |")
    return "\n".join(lines)


def summary(results: Iterable[Parity]) -> str:
    """Return the number of files, how they compare, and the counts of the largest differences."""
    results = list(results)
    both = [result for result in results if result.largest is not None]
    counts = np.bincount([result.largest for result in both]) if both else []
    spread = ", ".join(f"{n} of at most {gray}" for gray, n in enumerate(counts) if n)
    mean = np.mean([result.mean for result in both]) if both else float("nan")
    return (
        f"{len(results)} files, {len(both)} compared, "
        f"{sum(bool(result.rejected) for result in results)} rejected, "
        f"{sum(bool(result.unknown_to_dcmtk) for result in results)} unknown to DCMTK; "
        f"largest difference: {spread}; mean difference {mean:.4f}"
    )


def _is_image(path: Path) -> bool:
    header = pydicom.dcmread(path, force=True)
    return "Rows" in header or "PixelData" in header


def _compared(name: str, path: Path, theirs: np.ndarray | None, reason: str, bits: int) -> Parity:
    try:
        ours = read_radiograph(path, Rendering(bits=bits))
    except ImageError as error:
        return Parity(name, rejected=str(error))
    if theirs is None:
        return Parity(name, ours.transfer_syntax, unknown_to_dcmtk=reason)
    if theirs.shape != ours.pixels.shape:
        # DCMTK leaves pixels that are not square as they are.
        theirs = cv2.resize(theirs, ours.pixels.shape[::-1], interpolation=cv2.INTER_LINEAR)
    difference = cv2.absdiff(ours.pixels, theirs)
    return Parity(name, ours.transfer_syntax, int(difference.max()), float(difference.mean()))


def _by_dcmtk(path: Path, target: Path, bits: int) -> tuple[np.ndarray | None, str]:
    """Return the gray picture that DCMTK makes of ``path``, or None and what it says."""
    picture = target.with_suffix(".pgm" if bits == 8 else ".png")
    decoded = target.with_suffix(".dcm")
    dataset = pydicom.dcmread(path, force=True)
    source = path
    if _syntax(dataset) in JPEG2000TransferSyntaxes:
        source = _decompressed(dataset, path, decoded)
    options = ["-ll", "error", "+op" if bits == 8 else "+on2", "-O", *_window(path, decoded)]
    done = _run(_tool(dataset), *options, source, picture)
    shown = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED) if picture.is_file() else None
    picture.unlink(missing_ok=True)
    decoded.unlink(missing_ok=True)
    if shown is None:
        said = done.stderr.strip().splitlines()
        return None, f"DCMTK: {said[-1][3:] if said else 'no picture'}"
    if shown.ndim == 3:
        shown = np.rint(shown @ _LUMINANCE).astype(shown.dtype)
    return shown, ""


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def _tool(dataset: pydicom.Dataset) -> str:
    if shutil.which("dcm2img"):
        return "dcm2img"
    return "dcml2pnm" if _syntax(dataset) in JPEGLSTransferSyntaxes else "dcmj2pnm"


def _syntax(dataset: pydicom.Dataset) -> str:
    return dataset.file_meta.get("TransferSyntaxUID", "")


def _decompressed(dataset: pydicom.Dataset, path: Path, target: Path) -> Path:
    """Return ``target``, the file decompressed without DCMTK, or ``path`` if that fails."""
    for plugin in ("pillow", "pylibjpeg"):
        try:
            dataset.decompress(decoding_plugin=plugin)
        except _UNDECODABLE:
            continue
        dataset.save_as(target)
        return target
    return path


def _window(path: Path, decoded: Path) -> list[str]:
    """Return DCMTK's options for the window that the file asks for, or for percentiles."""
    dataset = pydicom.dcmread(path, force=True)
    if not dataset.get("PhotometricInterpretation", "").startswith("MONOCHROME"):
        return []
    if dataset.get("VOILUTSequence"):
        return ["+Wl", "1"]
    if dataset.get("WindowWidth"):
        return ["+Wi", "1"]
    stored = _stored(path, decoded)
    if stored is None:
        return []
    values = apply_modality_lut(stored, dataset).astype(float)
    if "PixelPaddingValue" in dataset:
        values = values[stored != dataset.PixelPaddingValue]
    low, high = np.percentile(values, (0.5, 99.5))
    if low == high:
        low, high = values.min(), values.max()
    # PS3.3 C.11.2.1.2.1: a linear window is half a value off and one value narrower.
    return ["+Ww", f"{(low + high + 1) / 2:.10g}", f"{high - low + 1:.10g}"]


def _stored(path: Path, decoded: Path) -> np.ndarray | None:
    """Return the stored values of the first frame, None if pydicom and DCMTK cannot decode them."""
    for source in (path, decoded):
        if source == decoded and _run("dcmdjpeg", path, decoded).returncode:
            continue
        with contextlib.suppress(*_UNDECODABLE):
            stored = pydicom.dcmread(source, force=True).pixel_array
            return stored[0] if stored.ndim == 3 else stored
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from saying what is odd about its test files."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="folder with DICOM files (*.dcm)")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of a gray value")
    parser.add_argument("--summary", action="store_true", help="print no table")
    arguments = parser.parse_args()
    if not has_dcmtk():
        parser.error("DCMTK is not installed (apt-get install dcmtk)")
    with _quiet():
        folder = arguments.folder
        files = (
            {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.dcm"))}
            if folder
            else sample_files()
        )
        results = list(compare(files, bits=arguments.bits))
    if not arguments.summary:
        print(table(results))
        print()
    print(summary(results))


if __name__ == "__main__":
    main()
