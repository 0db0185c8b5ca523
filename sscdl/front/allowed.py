"""What the schema of configurations allows and takes by itself, for those who write study files."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from sscdl.archives.sides import SIDES
from sscdl.study.config import load_schema
from sscdl.study.reading import SCHEMA


def shares() -> dict[str, float]:
    """Return the share of the images on each side of a split that is drawn."""
    keys = _properties()["split"]["properties"]
    val, test = keys["val"]["default"], keys["test"]["default"]
    return dict(zip(SIDES, (round(1 - val - test, 6), val, test), strict=True))


def wrong_study(name: str) -> str | None:
    """Return what is wrong with the name of a study, None if nothing is."""
    return _wrong(name, _properties()["study"]["pattern"])


def wrong_class(name: str) -> str | None:
    """Return what is wrong with the name of a class, None if nothing is."""
    return _wrong(name, _properties()["classes"]["items"]["pattern"])


def _wrong(name: str, pattern: str) -> str | None:
    if re.fullmatch(pattern, name):
        return None
    further = int(re.findall(r"\{0,(\d+)\}", pattern)[0])  # signs behind the first one
    return f"letters, digits, - and _, no more than {further + 1}, a letter or digit first"


@cache
def _properties() -> dict[str, Any]:
    return load_schema(SCHEMA)["properties"]
