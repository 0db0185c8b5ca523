"""Questions on a terminal, each with a proposal that Enter takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from sscdl.errors import InputError


class Asker:
    """Asks where there is a terminal; elsewhere what was not told is an error."""

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal

    def ask(self, question: str, proposal: str, check: Callable[[str], str | None]) -> str:
        """Return an answer that ``check`` finds nothing wrong with, the proposal for none.

        ``check`` returns what is wrong with an answer, and None if nothing is.
        """
        while True:
            shown = f" [{proposal}]" if proposal else ""
            try:
                answer = input(f"{question}{shown}: ").strip() or proposal
            except EOFError:
                raise InputError(f"{question}: no answer was given; nothing is written") from None
            wrong = check(answer)
            if wrong is None:
                return answer
            print(f"  {wrong}")

    def choose(
        self, question: str, known: Sequence[str], proposal: str, flag: str, *, sure: bool
    ) -> str:
        """Return one of ``known``: the proposal if it is ``sure``, or what is answered.

        Raises InputError that names ``flag`` where nobody can be asked.
        """
        if not self.terminal:
            if sure:
                return proposal
            self.refuse(question, flag, known)
        known = list(known)

        def wrong(answer: str) -> str | None:
            return None if answer in known else f"one of: {', '.join(known)}"

        return self.ask(question, proposal, wrong)

    @staticmethod
    def refuse(question: str, flag: str, known: Sequence[str] = ()) -> NoReturn:
        """Raise InputError: ``question`` needs an answer, which ``flag`` gives."""
        listed = f" (there are: {', '.join(known)})" if known else ""
        raise InputError(f"{question}: the files do not tell it for sure; give {flag}{listed}")
