"""Writing files so that a reader sees the old one or the new one, never half of either.

And where the package and what comes with it lie.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sscdl.errors import InputError

_PACKAGE = Path(__file__).resolve().parent
_CARRIED = _PACKAGE / "_project"  # where an installed package has them (setup.py)
# The folder of the workflow, its configuration and resources: that of the package in a checkout.
HOME = _CARRIED if _CARRIED.is_dir() else _PACKAGE.parent


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path (same suffix) that replaces ``path`` when the block succeeds.

    The folder is made if it is missing. If the block raises, the temporary file is removed and an
    existing ``path`` stays as it was.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(
            f"{target}: is a folder where a file is to be written; move it away and run the same "
            "command again"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix
    )
    os.close(handle)
    temporary = Path(name)
    umask = os.umask(0)
    os.umask(umask)
    try:
        yield temporary
        # mkstemp makes private files, and so do some writers that replace what is there; a shared
        # store needs what the user's umask allows.
        temporary.chmod(0o666 & ~umask & ~0o002)
        # On the disk before it gets its name: a power cut must not leave a name without contents.
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    except OSError as error:
        # A full disk is noticed by calls that know no name.
        if error.errno is not None and error.filename is None:
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` to ``path`` as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Return the value of the JSON file ``path``; whatever may be damaged: ``sscdl.records``."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
