"""What may become a file name, and pseudonyms."""

from __future__ import annotations

import hashlib

import pytest

from sscdl.identifiers import fault, pseudonym


@pytest.mark.parametrize(
    "text", ["a", "1.2.840.113619", "000a312787f2", "A_b-c.d", "x" * 64, "console", "com10", "-x"]
)
def test_sound_ids(text):
    assert fault(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", ".hidden", "end.", "x" * 65, "a b", "a;b", "a\n", "a\0", "a/b", "a\\b",
        "../a", "/etc/passwd", "C:a", "é", "a\u2215b", "a\uff0fb", "\u2024\u2024", "\uff0e\uff0e",
        "\u0430", "a\u202eb", "a\u200b", "\ud800", "\u0661", "a%2fb", "~", "$HOME", "*", "?", '"',
        "|", "<", ":",
    ],
)  # fmt: skip
def test_ids_that_are_no_file_names(text):
    assert "is not 1 to 64 of the characters" in fault(text)


@pytest.mark.parametrize("text", ["con", "NUL", "Aux.png", "com1", "LPT9.tar.gz", "prn"])
def test_names_of_devices(text):
    assert fault(text) == "is the name of a device on Windows"


def test_pseudonyms():
    assert pseudonym("p", "key") == hashlib.blake2b(b"p", key=b"key").hexdigest()[:16]
    assert len({pseudonym(text, key) for text in "ab" for key in ("k", "l", "k" * 65)}) == 6
    assert len(pseudonym("\ud800 cannot be encoded", "k")) == 16
    assert fault(pseudonym("../..", "k")) == ""
