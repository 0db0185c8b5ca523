"""Files of weights that somebody gives: read by what is in them, and named if they are none.

A file that cannot be weights is known by its first bytes, without torch, while the workflow is
read; numbers that are not finite are, before anything is trained from them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sscdl.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

SAFETENSORS, TORCH = "safetensors", "torch"
_SUFFIXES = {SAFETENSORS: ".safetensors", TORCH: ".pt"}
_ZIP, _PICKLE, _TAR = b"PK\x03\x04", b"\x80", b"ustar"  # torch has written all three
# How torch names what it does not make of a file because it could run a program.
_FOREIGN = re.compile(r"(?:GLOBAL|class|function) ([A-Za-z_]\w*(?:\.\w+)+)")


def weights_format(path: Path) -> str:
    """Return whether a file of weights is SAFETENSORS or TORCH, whatever its name says.

    Only its beginning is looked at, and the list of contents at the end of a zip archive. Raises
    InputError, saying what it is instead, for a file that is neither or has been cut off.
    """
    # Here, as whatever trains imports this module and nothing of the images'.
    from sscdl.magic import first_bytes, known_kind

    if not path.is_file():
        raise InputError(f"weights: {path} does not exist; give the path of a weights file")
    start = first_bytes(path)
    if start[8:9] == b"{":
        return SAFETENSORS
    if start.startswith(_ZIP):
        return _of_zip(path)
    if kind := known_kind(start):
        raise InputError(f"weights: {path} is {kind}")
    if start.startswith(_PICKLE) or start[257:262] == _TAR:
        return TORCH
    raise InputError(
        f"weights: {path} is neither a safetensors file nor one of torch; give one of these"
    )


def _of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.rpartition("/")[2] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError):
        raise InputError(
            f"weights: {path} is cut off: a zip archive, as torch writes, without its end; copy or "
            "download it again"
        ) from None
    if "constants.pkl" in names:
        raise InputError(
            f"weights: {path} is a program (TorchScript); save its weights alone with "
            "torch.save(model.state_dict(), ...)"
        )
    if "data.pkl" not in names:
        raise InputError(f"weights: {path} is a zip archive that torch has not written; unpack it")
    return TORCH


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of weights; names in nested dictionaries are joined by points.

    Raises InputError, saying what the file is, if it is none, is damaged, holds anything that could
    run a program, or holds no named tensor.
    """
    if weights_format(path) == SAFETENSORS:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(
                f"weights: {path} is a safetensors file that is cut off or damaged ({error}); copy "
                "or download it again"
            ) from None
    tensors = dict(_named(_loaded(path)))
    if not tensors:
        raise InputError(f"weights: {path} holds no named tensors; save model.state_dict()")
    return tensors


def _loaded(path: Path) -> Any:
    import torch

    try:
        # As a stream: torch would go by the name of a file.
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        # The readers of torch's formats raise almost anything on bytes that are not theirs. What
        # they say advises to run what is in the file.
        if foreign := _FOREIGN.search(str(error)):
            raise InputError(
                f"weights: {path} holds objects ({foreign[1]}) besides tensors, which could run "
                "programs when they are read; where it was made, save the tensors alone with "
                "torch.save(model.state_dict(), ...)"
            ) from None
        raise InputError(
            f"weights: {path} is a file of torch that is cut off or damaged "
            f"({type(error).__name__}); copy or download it again"
        ) from None


def _named(content: Any, before: str = "") -> Iterator[tuple[str, Tensor]]:
    import torch

    if torch.is_tensor(content):
        yield before.removesuffix("."), content
    elif isinstance(content, Mapping):
        for name, part in content.items():
            if isinstance(name, str):
                yield from _named(part, f"{before}{name}.")


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError if one of a file's ``tensors`` holds NaN or an infinity."""
    for name, tensor in tensors.items():
        wrong = int((~tensor.isfinite()).sum())
        if wrong:
            raise InputError(
                f"weights: {path} is damaged: {wrong:,} of {tensor.numel():,} numbers of {name} "
                "are NaN or infinite, and nothing can be trained or predicted with it; make or "
                "download it again"
            )


def check_weights(path: Path) -> None:
    """Raise InputError unless a file is one of finite weights, and has its format's suffix."""
    found = weights_format(path)
    if (path.suffix == _SUFFIXES[SAFETENSORS]) != (found == SAFETENSORS):
        raise InputError(
            f"weights: {path} is a file of {found}, whatever its name says; rename it to "
            f"{path.with_suffix(_SUFFIXES[found]).name}"
        )
    check_finite(path, read_tensors(path))
