"""What has been pushed and not been read yet: each asker takes the pushes of a meter one by one, as they came.

    pushes    1 2 3 4 5 6        a poll takes the next that it has not had; where there is none, the last once more
    poll a          ^            (the same instant and the same values: whoever stores it twice stores it once)
    poll b              ^

Rows of one meter keep their order, for a register that seems to fall accuses somebody. So several pushes between two
polls are read at the next polls; polls come at least twice as often as pushes, and a queue always gets shorter again.
A queue holds ``MOST_WAITING`` pushes; what no poll took from a full one is counted as lost.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, NamedTuple

from edge_agent.drivers.driver import Reading

MOST_WAITING: Final = 1000
"""Pushes of one meter: ten days of quarter hours."""

POLLS_A_PUSH: Final = 2
"""So many polls at least come between two pushes."""


class _Waiting(NamedTuple):
    number: int
    heard_s: float
    reading: Reading


class PushInbox:
    """The pushes of all meters of one door. Times are seconds of any monotonic clock."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        """``most``: pushes of one meter that wait."""
        self.lost: Counter[str] = Counter()  # by meter: pushes that a poll never took
        self._most = most
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._numbers: Counter[str] = Counter()
        self._had: dict[tuple[str, frozenset[str]], int] = {}  # by meter and asker: the last number it took

    def put(self, meter: str, reading: Reading, heard_s: float) -> None:
        """A push came."""
        waiting = self._waiting.setdefault(meter, deque())
        self._numbers[meter] += 1
        waiting.append(_Waiting(self._numbers[meter], heard_s, reading))
        if len(waiting) > self._most:
            oldest = waiting.popleft()
            askers = [had for (of, _), had in self._had.items() if of == meter]
            self.lost[meter] += min(askers, default=0) < oldest.number

    def take(self, meter: str, quantities: frozenset[str]) -> Reading | None:
        """The next push that this asker has not had, or the last once more; ``None`` if there never was one."""
        waiting = self._waiting.get(meter)
        if not waiting:
            self._had.setdefault((meter, quantities), 0)
            return None
        had = self._had.get((meter, quantities), 0)
        one = next((one for one in waiting if one.number > had), waiting[-1])
        self._had[meter, quantities] = one.number
        return _part(one.reading, quantities)

    def look(self, meter: str, quantities: frozenset[str]) -> Reading | None:
        """The last push, for who takes nothing away."""
        waiting = self._waiting.get(meter)
        return _part(waiting[-1].reading, quantities) if waiting else None

    def waits(self, meter: str, quantities: frozenset[str]) -> bool:
        """Whether there is a push that this asker has not had."""
        return self._numbers[meter] > self._had.get((meter, quantities), 0)

    def heard_s(self, meter: str) -> float | None:
        """When the last push came."""
        waiting = self._waiting.get(meter)
        return waiting[-1].heard_s if waiting else None


def _part(reading: Reading, quantities: frozenset[str]) -> Reading:
    values = {name: value for name, value in reading.values.items() if name in quantities}
    return Reading(reading.measured_at, values, reading.quality)
