"""The one exception that means "the input is wrong", as opposed to "the program is wrong"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LostState(RuntimeError):
    """The state of a run that was to be continued is gone or damaged; it must be trained again."""


class InputError(ValueError):
    """A problem that the user can fix: the message names the file or key, fault and way out."""


class DamagedFile(InputError):
    """A file of a store that is there, but cut off or not what it must be."""


@contextmanager
def drawn_again(done: str | None) -> Iterator[None]:
    """Say in an InputError about a file of a synthetic archive what repairs it.

    ``done`` is the file that says that it is complete, None where an archive is somebody's: whoever
    reads one does not know that it was drawn.
    """
    try:
        yield
    except InputError as error:
        folder = Path(done).parent if done else None
        if folder is None or str(folder) not in str(error):
            raise
        raise type(error)(
            f"{error} (a synthetic archive: delete {folder} and run the study again, it is drawn "
            "again)"
        ) from None


@contextmanager
def of_key(key: str) -> Iterator[None]:
    """Let the message of an InputError begin with the key of the configuration that it is about."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{key}: "):
            raise
        raise type(error)(f"{key}: {error}") from None
