"""Which answer belongs to which question, where frames carry no transaction number.

The rule: **a late answer must never become another block's data.**

An RTU answer shows its unit, its function and how many registers it carries, and nothing else of its question. A
question that was given up may still be answered: it stays *owed*. One unit answers in the order in which it was asked,
and the line keeps that order; other units owe nothing for it. So

1.  Whatever arrives while nobody asks is thrown away, and nobody asks before the line is silent (the link does both).
2.  A question that looks like an owed one (same unit, function and count) is not asked. First comes a *fence*: a read
    of another length from the same address. Its answer proves that the unit has nothing of before left to say, and
    every debt of the unit is void. An answered question of another length is a fence as good as any.
3.  An answer that matches a debt is late: it pays that debt, and those before it, and is thrown away.
4.  An exception shows no length, so beside a young debt nobody can tell whose it is: listen on until the time-out; what
    comes then is the answer, and if nothing comes the question has failed.
5.  The last answer once more, as radio links and repeaters deliver it, is passed over; blocks of one meter have
    different lengths, so that it shows.
6.  Where no fence is possible (a block of one register, a meter that refuses short reads) the line waits until the debt
    is no longer *young*: ``bound_s`` after it was given up. Only here a limit of lateness is assumed.

Events in, decisions out; times are seconds of any monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_FENCES: Final = (2, 4, 6, 8, 1, 3)  # registers; whole float32 values first, which picky meters do not refuse


@dataclass(frozen=True, slots=True)
class Question:
    """What an answer shows of its question."""

    unit: int
    function: int
    count: int  # registers


@dataclass(frozen=True, slots=True)
class Fence:
    """Ask for so many registers of the block first."""

    count: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask nothing before ``until_s``."""

    until_s: float


class Verdict(Enum):
    """What a whole and undamaged frame is."""

    ANSWER = auto()
    EXCEPTION = auto()
    LATE = auto()  # the answer to a question given up, or the last answer once more
    IN_DOUBT = auto()  # an exception, to this question or to one given up
    MISFIT = auto()  # of this unit and function, and of a length that nobody asked for
    FOREIGN = auto()  # from elsewhere


class StreamOrder:
    """Remembers what was asked on one line and never answered."""

    def __init__(self, bound_s: float) -> None:
        """``bound_s``: how long after it was given up a question may still be answered (rule 6)."""
        self._bound_s = bound_s
        self._owed: dict[Question, float] = {}  # → when it was given up; in this order
        self._open: Question | None = None
        self._answered_last: Question | None = None
        self._doubted = False
        self._no_fence: set[int] = set()  # units that answered a fence in doubt

    def before(self, question: Question, now_s: float) -> Fence | Wait | None:
        """What has to happen before the question may be asked; ``None``: nothing."""
        if question not in self._owed:
            return None
        fence = None if question.unit in self._no_fence else self._fence(question, now_s)
        if fence is not None:
            return Fence(fence)
        owed = [at for one, at in self._owed.items() if one.unit == question.unit]
        until_s = max(owed) + self._bound_s
        if now_s < until_s:
            return Wait(until_s)
        self._settle(question.unit)
        return None

    def _fence(self, question: Question, now_s: float) -> int | None:
        for count in _FENCES:
            given_up = self._owed.get(Question(question.unit, question.function, count))
            if count < question.count and (given_up is None or now_s >= given_up + self._bound_s):
                return count
        return None

    def asked(self, question: Question) -> None:
        """The question goes out now."""
        self._open = question
        self._doubted = False

    @property
    def doubted(self) -> bool:
        """Whether an exception came that may have been the answer."""
        return self._doubted

    def heard(self, unit: int, function: int, count: int | None, now_s: float) -> Verdict:
        """Judge a frame: its ``count`` of registers, ``None`` for an exception to ``function``."""
        asked = self._open
        mine = asked is not None and (asked.unit, asked.function) == (unit, function)
        if count is None:
            return self._exception(unit, function, now_s, mine=mine)
        seen = Question(unit, function, count)
        if mine and seen == asked:
            self._answered(unit)
            self._answered_last = seen
            return Verdict.ANSWER
        if seen in self._owed:
            self._pay(seen)
            return Verdict.LATE
        if seen == self._answered_last:
            return Verdict.LATE
        return Verdict.MISFIT if mine else Verdict.FOREIGN

    def _exception(self, unit: int, function: int, now_s: float, *, mine: bool) -> Verdict:
        owed = [one for one in self._owed if (one.unit, one.function) == (unit, function)]
        if mine and all(now_s >= self._owed[one] + self._bound_s for one in owed):
            self._answered(unit)
            return Verdict.EXCEPTION
        if mine:
            self._doubted = True
            return Verdict.IN_DOUBT
        return Verdict.LATE if owed else Verdict.FOREIGN

    def given_up(self, now_s: float, *, fence: bool = False) -> None:
        """Nobody waits for the answer to the open question any longer."""
        if self._open is None:
            return
        self._owed.pop(self._open, None)
        self._owed[self._open] = now_s
        if fence and self._doubted:
            self._no_fence.add(self._open.unit)
        self._open = None

    def _answered(self, unit: int) -> None:
        self._open = None
        self._settle(unit)

    def _settle(self, unit: int) -> None:
        self._owed = {one: at for one, at in self._owed.items() if one.unit != unit}
        self._no_fence.discard(unit)

    def _pay(self, paid: Question) -> None:
        """A unit answers in order: what it was asked before that will not be answered."""
        until_s = self._owed[paid]
        self._owed = {one: at for one, at in self._owed.items() if one.unit != paid.unit or at > until_s}
