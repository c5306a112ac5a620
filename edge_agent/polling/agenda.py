"""What a bus reads next: the most urgent tick first, and in it the healthy meters before the others.

A bus can do one thing at a time, and a dead meter takes a whole timeout. Read last, it costs nobody else
anything. A meter that failed is asked once more after all others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from edge_agent.drivers.driver import GOOD
from edge_agent.polling.gathering import Row
from metering.round import Quality


@dataclass(frozen=True, slots=True)
class Errand:
    """One meter to be read for one tick."""

    meter: str
    quantities: frozenset[str]
    ends_at: int  # ms since 1970 UTC: not worth asking after this
    deliver: Callable[[Row], None] = field(compare=False)
    suspect: bool = False  # it failed the last time
    tries_left: int = 2
    failed: Quality = GOOD  # how it failed in this tick

    def last_try(self, failed: Quality = GOOD) -> Errand:
        """The same errand for the end of the queue."""
        return replace(self, suspect=True, tries_left=1, failed=failed)


class Agenda:
    """The errands of one bus."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, bool, int, Errand]] = []
        self._serial = count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, errand: Errand) -> None:
        """Put an errand where it belongs."""
        heapq.heappush(self._heap, (errand.ends_at, errand.suspect, next(self._serial), errand))

    def take(self) -> Errand:
        """Take the most urgent errand off.

        Raises:
            IndexError: there is none.
        """
        return heapq.heappop(self._heap)[-1]
