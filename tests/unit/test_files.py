"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sscdl.errors import InputError
from sscdl.files import atomic_path, write_json


@pytest.fixture
def umask():
    """Set the umask of a group that shares its files, and the former one afterwards."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def test_a_file_is_for_the_group_but_never_for_the_world_to_write(tmp_path: Path, umask) -> None:
    target = tmp_path / "new" / "a.bin"
    for mask, mode in ((0o002, 0o664), (0o077, 0o600), (0o000, 0o664)):
        os.umask(mask)
        with atomic_path(target) as temporary:
            # Some writers put a private file of their own in the place of the one that is there.
            temporary.unlink()
            handle = os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600)
            os.write(handle, b"x")
            os.close(handle)
        assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("before")
    with pytest.raises(OSError, match="full"):
        _fail(target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def _fail(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(InputError, match=r"x.json: is a folder where a file is to be written"):
        write_json(tmp_path / "x.json", {})
    assert list(tmp_path.iterdir()) == [tmp_path / "x.json"]
