"""CSV files that the workflow has written itself: read whole, or named as damaged."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd

from sscdl.errors import InputError

SAME_FILE = "delete it and run the study again"


def read_own(path: Path | str, *, advice: str = SAME_FILE, **settings: Any) -> pd.DataFrame:
    """Return a CSV file that the workflow has written, read as pandas does with ``settings``.

    Raises InputError, naming the file, if it is empty, cut off within a line, or no table; the
    message ends with ``advice``.
    """
    try:
        content = Path(path).read_bytes()
        cut = "is cut off (or was edited: its last line has no line break at its end)"
        fault = "" if content.endswith(b"\n") else cut
        if not content:
            fault = "is an empty file (0 bytes)"
        if not fault:
            return pd.read_csv(io.BytesIO(content), **settings)
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    except ValueError as error:
        # Pandas' errors on what it cannot parse, and on other encodings, are of this kind.
        fault = f"is no table ({type(error).__name__})"
    raise InputError(f"{path}: {fault}; {advice}")
