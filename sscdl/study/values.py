"""What no key of a configuration may hold, whichever it is: dates, infinities, odd paths.

YAML makes more of a text than people mean: 2024-05-01 becomes a date, .inf a number.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from typing import Any

_LARGEST = 2**32 - 1  # more than any key means, also as a seed
_VARIABLE = re.compile(r"\$(\w+|\{)")
_PLAIN = (str, bool, int, float, type(None))


def unfit_values(value: Any, where: str = "") -> Iterator[str]:
    """Yield a message for each value that is no text, number, list or block that a key can hold."""
    if isinstance(value, dict):
        for key, child in value.items():
            if isinstance(key, str):
                yield from unfit_values(child, f"{where}.{key}" if where else key)
            else:
                yield f"{where or 'the configuration'}: key {key!s} is no text; put it in quotes"
    elif isinstance(value, (list, tuple)):
        for number, child in enumerate(value):
            yield from unfit_values(child, f"{where}.{number}")
    elif not isinstance(value, _PLAIN):
        yield f"{where}: {value!s} is a {type(value).__name__} to YAML; put it in quotes"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: {value} is no finite number; give one"
    elif isinstance(value, (int, float)) and abs(value) > _LARGEST:
        yield f"{where}: {value} is larger than anything that a key means; give a smaller number"


def whole_path(path: str) -> str:
    """Return ``path`` with ``~`` replaced by the home folder.

    Raises ValueError, whose text says what is wrong, for what only a shell would replace (it would
    become a folder of that name) and for braces.
    """
    if _VARIABLE.search(path):
        raise ValueError(f"{path!r} holds a variable ($), which only shells replace; write it out")
    if re.search("[{}]", path):
        raise ValueError(
            f"{path!r} holds a brace, which Snakemake takes for a name to fill in; rename it, or "
            "give a link without one"
        )
    found = os.path.expanduser(path)
    if found.startswith("~"):
        raise ValueError(f"{path!r} names the home of nobody on this machine; write it out")
    return found
