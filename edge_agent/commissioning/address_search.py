"""Finds the addresses of DL/T 645 meters on one line when nobody can read their name plates.

A question may leave digits open, A stands for any (DL/T 645-2007, 5.2.2: low octets are given, AA in the high ones).
Every meter whose address ends so answers, with its own address. So

    one clean answer        that meter is known
    an answer in pieces     several speak at once: give one more octet, 00 to 99, and ask a hundred times
    two clean answers       both are known; others may hide, so the same
    silence                 nobody has an address that ends so

A line on which everything comes in pieces is no crowd but noise or another speed: it ends the search. So does the cap.
What this cannot see is a meter whose answer drowns whole under a louder one: count the meters that are really there.

Events in, decisions out; no line, no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from enum import Enum, auto
from typing import Final

from edge_agent.drivers.dlt645.frame import ADDRESS_DIGITS, ANY_METER

MOST_QUESTIONS: Final = 2000
_PIECES_OF_NOISE: Final = 16  # neighbours that all come in pieces: no crowd is so even
_CHILDREN: Final = 100
_ANY: Final = "A"


class Ending(Enum):
    """Why a search is over before everything was asked."""

    NOISE = auto()
    TOO_MANY = auto()


class AddressSearch:
    """One search on one line."""

    def __init__(self, most: int = MOST_QUESTIONS) -> None:
        """``most``: questions, at most."""
        self.addresses: list[str] = []
        self.clashes: list[str] = []  # whole addresses that answer in pieces: two meters have them
        self.asked = 0
        self.ending: Ending | None = None
        self._most = most
        self._waiting: deque[str] = deque([ANY_METER])
        self._pieces = 0  # questions in a row whose answers came in pieces

    @property
    def question(self) -> str | None:
        """The address to ask next; ``None`` when the search is over."""
        return self._waiting[0] if self._waiting else None

    @property
    def total(self) -> int:
        """Questions altogether, as far as is known now."""
        return self.asked + len(self._waiting)

    def heard(self, answered: Collection[str], *, pieces: bool) -> None:
        """What came back to the question: the addresses in whole answers, and whether there was more than those."""
        question = self._waiting.popleft()
        self.asked += 1
        self.addresses += sorted(set(answered) - set(self.addresses))
        self._pieces = self._pieces + 1 if pieces else 0
        if pieces or len(set(answered)) > 1:
            self._narrow(question)
        if self._pieces > _PIECES_OF_NOISE:
            self._end(Ending.NOISE)
        elif self.asked >= self._most and self._waiting:
            self._end(Ending.TOO_MANY)

    def _narrow(self, question: str) -> None:
        known = question.lstrip(_ANY)
        if len(known) == ADDRESS_DIGITS:
            self.clashes.append(question)
            return
        children = [f"{n:02d}{known}".rjust(ADDRESS_DIGITS, _ANY) for n in range(_CHILDREN)]
        self._waiting.extendleft(reversed(children))

    def _end(self, ending: Ending) -> None:
        self.ending = ending
        self._waiting.clear()
