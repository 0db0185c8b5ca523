"""Questions on a terminal, each with a proposal that Enter takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from sscdl.errors import InputError
from sscdl.words import nearest

_MOST_SHOWN = 40  # answers that a message lists


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
        self,
        question: str,
        known: Sequence[str],
        proposal: str,
        flag: str,
        *,
        sure: bool,
        why: str = "",
    ) -> str:
        """Return one of ``known``: the proposal if it is ``sure``, or what is answered.

        ``why`` says what makes it unsure. Raises InputError that names ``flag`` where nobody can be
        asked.
        """
        if not self.terminal:
            if sure:
                return proposal
            self.refuse(question, flag, known, why)
        known = list(known)
        if why:
            print(f"  {why}")

        def wrong(answer: str) -> str | None:
            near = nearest(answer, known)
            hint = f"; did you mean {near!r}?" if near else ""
            return None if answer in known else f"one of: {', '.join(known)}{hint}"

        return self.ask(question, proposal, wrong)

    @staticmethod
    def refuse(question: str, flag: str, known: Sequence[str] = (), why: str = "") -> NoReturn:
        """Raise InputError: ``question`` needs an answer, which ``flag`` gives."""
        more = f" and {len(known) - _MOST_SHOWN:,} more" if len(known) > _MOST_SHOWN else ""
        listed = f" (there are: {', '.join(known[:_MOST_SHOWN])}{more})" if known else ""
        reason = f" ({why})" if why else ""
        raise InputError(
            f"{question}: the files do not tell it for sure{reason}; give {flag}{listed}"
        )
