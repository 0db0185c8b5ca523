"""The checkpoint that the authors of lungVAE published, fetched once and verified."""

from __future__ import annotations

import hashlib
import logging
import shutil
import urllib.request
from http.client import HTTPException
from pathlib import Path

from sscdl.errors import InputError
from sscdl.files import atomic_path

LOGGER = logging.getLogger("sscdl.segment")
URL = "https://raw.githubusercontent.com/raghavian/lungVAE/master/saved_models/lungVAE.pt"
GIT_BLOB = "f79ffba831563cbfd676178b35a08ae5b756f3d1"

WAY_OUT = (
    f"download {URL} elsewhere and give its path as lungs.checkpoint.file, or use "
    "lungs.source: default"
)
SECONDS_TO_ANSWER = 20


def git_blob(content: bytes) -> str:
    """Return the name that git gives a file of this content (SHA-1 over a header and the bytes)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def check_reachable(url: str = URL) -> None:
    """Raise InputError if the published checkpoint cannot be downloaded from here."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS_TO_ANSWER) as answer:
            answer.read(1)
    except (OSError, HTTPException) as error:
        raise InputError(f"{url}: cannot be downloaded ({error}); {WAY_OUT}") from None


def fetch_published(out: Path, *, url: str = URL, blob: str = GIT_BLOB) -> None:
    """Download the published lungVAE checkpoint (Selvan et al. 2020) to ``out`` and verify it.

    Raises InputError if it cannot be had or is not the file that was published.
    """
    with atomic_path(out) as temporary:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer, open(temporary, "wb") as file:
                shutil.copyfileobj(answer, file)
        except (OSError, HTTPException) as error:
            raise InputError(f"{url}: cannot be downloaded ({error}); {WAY_OUT}") from None
        found = git_blob(temporary.read_bytes())
        if found != blob:
            raise InputError(f"{url}: git blob {found} instead of {blob}; {WAY_OUT}")
    LOGGER.info("published lungVAE checkpoint stored and verified")
