"""Digests of what a case has made, blind to where it lies and to what a clock has measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, uint8

TIMED = ("seconds", "images_per_second", "input_share", "device_memory_mb")
# What later records say beside what earlier ones did; it chooses nothing.
ADDED = ("floor", "task_state")


def of_bytes(content: bytes) -> str:
    """Return the SHA-256 of ``content``."""
    return hashlib.sha256(content).hexdigest()


def of_text(text: str, work: Path) -> str:
    """Return the digest of ``text`` but for the place of the folder ``work``."""
    return of_bytes(text.replace(str(work), "WORK").encode())


def of_value(value: Any, work: Path) -> str:
    """Return the digest of ``value``, fit for JSON, but for places and times."""
    return of_text(json.dumps(untimed(value), sort_keys=True), work)


def of_array(array: np.ndarray) -> str:
    """Return the digest of shape, type and values."""
    head = f"{array.shape} {array.dtype}".encode()
    return of_bytes(head + np.ascontiguousarray(array).tobytes())


def of_tensors(tensors: dict[str, Tensor]) -> str:
    """Return the digest of named tensors: names, shapes, types and bits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        # Any type can be seen as bytes, bfloat16 too, which numpy lacks.
        digest.update(tensor.flatten().view(dtype=uint8).numpy().tobytes())
    return digest.hexdigest()


def of_files(files: Iterable[Path], root: Path) -> str:
    """Return the digest of the paths below ``root`` and the contents of ``files``."""
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def folder(root: Path, pattern: str) -> str:
    """Return the digest of the files below ``root`` that fit ``pattern``, and of how many."""
    found = [path for path in root.rglob(pattern) if path.is_file()]
    return f"{of_files(found, root)} of {len(found)} files"


def untimed(value: Any) -> Any:
    """Return ``value`` (of JSON) without what a clock has measured or a later record adds."""
    if isinstance(value, dict):
        return {key: untimed(one) for key, one in value.items() if key not in (*TIMED, *ADDED)}
    return [untimed(one) for one in value] if isinstance(value, list) else value
