"""Parsers of the package's commands, which name themselves as they were called."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

MODULE, INSTALLED = "python -m sscdl", "sscdl"


def called() -> str:
    """Return what the command line begins with: ``sscdl``, or ``python -m sscdl``."""
    return INSTALLED if Path(sys.argv[0]).stem == INSTALLED else MODULE


def command_parser(description: str, name: str = "") -> argparse.ArgumentParser:
    """Return a parser of the command ``name``, or of the package itself.

    ``description`` is shown with its lines as they are, and its ``python -m sscdl`` as it was
    called.
    """
    return argparse.ArgumentParser(
        prog=f"{called()} {name}".rstrip(),
        description=description.replace(MODULE, called()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
