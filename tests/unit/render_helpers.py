"""What the tests of rendering in a process of its own share."""

from __future__ import annotations

import numpy as np

from sscdl.dicom.radiograph import Rendering
from sscdl.images.renderer import Renderer

ACCEPT_ALL = {
    "modality": None, "body_part": None, "view": None, "image_type_without": None, "colour": True,
    "uniform": 1.0,
}  # fmt: skip
RAMP = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)


def started(rendering=None, *, accept=None, find_text=False, time_limit=30):
    return Renderer(
        rendering or Rendering(),
        accept or ACCEPT_ALL,
        find_text=find_text,
        time_limit=time_limit,
    )
