"""The lung segmenter that comes with the project. Its card lies beside it."""

from __future__ import annotations

from sscdl.files import HOME

PATH = HOME / "resources" / "segmenter" / "lungs.safetensors"


def convention(behind_heart: bool) -> str:
    """Return the name of what masks count as lung."""
    return f"lungs {'with' if behind_heart else 'without'} the part behind the heart"


CONVENTION = convention(behind_heart=True)
