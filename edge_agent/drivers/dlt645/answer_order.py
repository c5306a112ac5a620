"""Which answer belongs to which question on a line of DL/T 645 meters.

The rule: **a late answer never becomes another identifier's value.**

An answer repeats the meter's address and the data identifier that was asked, a further frame of it also its number; a
refusal repeats the address alone. A question that was given up may still be answered: it stays *owed*. So

1.  Whatever arrives while nobody asks is thrown away, and nobody asks before the line is silent (the link does both).
2.  An answer with another address, identifier or number is late or a stranger's: it is thrown away, and we listen on.
3.  A refusal beside a young debt of the same meter may belong to either question: listen on until the time-out; what
    comes then is the answer, and if nothing comes the question has failed.
4.  A question that looks like an owed one waits until the debt is no longer *young*: ``bound_s`` after it was given up.
    Any answer to a later question proves that the meter has nothing of before left to say, and settles its debts.

What rule 4 cannot tell is an answer that comes later still. It is that meter's own value of that identifier, at most as
old as the question that was given up.

Events in, decisions out; times are seconds of any monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from edge_agent.drivers.dlt645.frame import READ_FOLLOW_ON, Frame, identifier_in


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer shows of its question."""

    address: str
    function: int
    identifier: str
    number: int | None = None  # of a further frame


class Verdict(Enum):
    """What a whole and undamaged frame is."""

    ANSWER = auto()
    REFUSAL = auto()
    ECHO = auto()  # a question, as an adapter hears it that hears itself
    LATE = auto()  # the answer to a question given up
    IN_DOUBT = auto()  # a refusal, of this question or of one given up
    FOREIGN = auto()  # from elsewhere


class AnswerOrder:
    """Remembers what was asked on one line and never answered."""

    def __init__(self, bound_s: float) -> None:
        """``bound_s``: how long after it was given up a question may still be answered."""
        self._bound_s = bound_s
        self._owed: dict[Asked, float] = {}  # → when it was given up
        self._open: Asked | None = None
        self._doubted = False

    def free_at_s(self, asked: Asked) -> float:
        """From when on the question may be asked."""
        given_up = self._owed.get(asked)
        return 0.0 if given_up is None else given_up + self._bound_s

    def ask(self, asked: Asked) -> None:
        """The question goes out now."""
        self._open = asked
        self._doubted = False
        self._owed.pop(asked, None)

    @property
    def doubted(self) -> bool:
        """Whether a refusal came that may have been the answer."""
        return self._doubted

    def heard(self, frame: Frame, now_s: float) -> Verdict:
        """Judge a frame."""
        if not frame.from_meter:
            return Verdict.ECHO
        asked = self._open
        mine = asked is not None and (asked.address, asked.function) == (frame.address, frame.function)
        if frame.refused:
            return self._refusal(frame, now_s, mine=mine)
        seen = _seen(frame)
        if mine and seen == asked:
            self._open = None
            self._settle(frame.address)
            return Verdict.ANSWER
        if seen in self._owed:
            del self._owed[seen]
            return Verdict.LATE
        return Verdict.FOREIGN

    def _refusal(self, frame: Frame, now_s: float, *, mine: bool) -> Verdict:
        owed = [at for one, at in self._owed.items() if one.address == frame.address]
        if not mine:
            return Verdict.LATE if owed else Verdict.FOREIGN
        if any(now_s < at + self._bound_s for at in owed):
            self._doubted = True
            return Verdict.IN_DOUBT
        self._open = None
        self._settle(frame.address)
        return Verdict.REFUSAL

    def given_up(self, now_s: float) -> None:
        """Nobody waits for the answer to the open question any longer."""
        if self._open is not None:
            self._owed[self._open] = now_s
            self._open = None

    def _settle(self, address: str) -> None:
        self._owed = {one: at for one, at in self._owed.items() if one.address != address}


def _seen(frame: Frame) -> Asked | None:
    """The question that an answer shows; ``None`` if it is too short for one."""
    identifier = identifier_in(frame.data)
    if identifier is None:
        return None
    number = frame.data[-1] if frame.function == READ_FOLLOW_ON else None
    return Asked(frame.address, frame.function, identifier, number)
