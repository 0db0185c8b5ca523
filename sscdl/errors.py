"""The one exception that means "the input is wrong", as opposed to "the program is wrong"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class LostState(RuntimeError):
    """The state of a run that was to be continued is gone or damaged; it must be trained again."""


class InputError(ValueError):
    """A problem that the user can fix: the message names the file or key, fault and way out."""


class DamagedFile(InputError):
    """A file of a store that is there, but cut off or not what it must be."""


@contextmanager
def of_key(key: str) -> Iterator[None]:
    """Let the message of an InputError begin with the key of the configuration that it is about."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{key}: "):
            raise
        raise type(error)(f"{key}: {error}") from None
