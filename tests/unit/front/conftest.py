"""A folder to work in, and somebody who answers on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Work in a folder of the test's own, without a terminal."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    return tmp_path / "here"


@pytest.fixture
def answers(monkeypatch):
    """Return a function that sets what is answered on a terminal, and the questions asked."""

    def set_answers(*texts: str) -> list[str]:
        left, asked = list(texts), []

        def answer(question: str) -> str:
            asked.append(question)
            if not left:
                raise EOFError
            return left.pop(0)

        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr("builtins.input", answer)
        return asked

    return set_answers
