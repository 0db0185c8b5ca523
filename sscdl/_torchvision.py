"""torchvision, imported so that it also works beside a torch that it was not built for.

The torchvision wheels on PyPI are built against CUDA. Beside a CPU-only torch their compiled
library cannot be loaded, and the import then ends in ``operator torchvision::nms does not exist``
because torchvision describes two detection operators that nobody has defined. Only the network
definitions are needed here, so this module declares those operators (without any implementation)
before the first import. Where the compiled library does load, nothing is changed.

Use ``from sscdl._torchvision import torchvision``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _compiled_library() -> Path | None:
    """Return torchvision's compiled operator library, found without importing torchvision."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torchvision is not installed", name="torchvision")
    folder = Path(spec.origin).parent
    return next((p for p in sorted(folder.glob("_C*")) if p.suffix in {".so", ".pyd"}), None)


def _declare_missing_operators() -> None:
    """Make sure that ``torchvision::nms`` and ``torchvision::qnms`` are at least declared."""
    library = _compiled_library()
    if library is not None:
        try:
            torch.ops.load_library(str(library))
        except OSError:
            # Built for another torch or for CUDA: the declarations below stand in.
            library = None
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", _SCHEMA)


def _import_torchvision() -> ModuleType:
    if "torchvision" not in sys.modules:
        _declare_missing_operators()
    return importlib.import_module("torchvision")


torchvision = _import_torchvision()
