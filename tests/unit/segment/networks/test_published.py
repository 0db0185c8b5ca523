"""The published checkpoint is taken only if it is the file that was published."""

from __future__ import annotations

import subprocess

import pytest

from sscdl.errors import InputError
from sscdl.segment.networks.published import fetch_published, git_blob


def test_the_hash_is_the_one_of_git(tmp_path):
    (tmp_path / "a").write_bytes(b"weights\n" * 1000)
    git = subprocess.run(
        ["git", "hash-object", str(tmp_path / "a")], capture_output=True, text=True, check=True
    )
    assert git_blob((tmp_path / "a").read_bytes()) == git.stdout.strip()


def test_the_right_file_is_stored(tmp_path):
    source = tmp_path / "source.pt"
    source.write_bytes(b"weights")
    out = tmp_path / "store/lungVAE.pt"
    fetch_published(out, url=source.as_uri(), blob=git_blob(b"weights"))
    assert out.read_bytes() == b"weights"


def test_another_file_is_refused_and_not_kept(tmp_path):
    source = tmp_path / "source.pt"
    source.write_bytes(b"login page")
    out = tmp_path / "store/lungVAE.pt"
    with pytest.raises(InputError, match=r"instead of.*lungs\.checkpoint\.file"):
        fetch_published(out, url=source.as_uri())
    assert not list(out.parent.iterdir())


def test_without_a_connection_the_ways_out_are_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot be downloaded.*lungs\.source: default"):
        fetch_published(tmp_path / "x.pt", url=(tmp_path / "missing").as_uri())
