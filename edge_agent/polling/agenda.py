"""What a bus does next: what somebody waits for, then the healthy meters, then those that failed, then chores.

A bus can do one thing at a time, and a meter that does not answer takes a whole timeout. Asked when nothing else is
due, it costs nobody else anything: so whatever failed the last time stands behind everything that did not, and a meter
that fails is asked once more after all others. Among the healthy the priority of their rate group decides, and then
whose tick ends first.

A chore is one short exchange that no tick waits for: a piece of a history, a log, a clock. It is only done when nothing
else is there, and it takes no more than the bus lets it have.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

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
    priority: int = 0  # of the rate group; the lowest number goes first
    tries_left: int = 2
    failed: Quality = GOOD  # how it failed in this tick

    def last_try(self, failed: Quality = GOOD) -> Errand:
        """The same errand for the end of the queue."""
        return replace(self, suspect=True, tries_left=1, failed=failed)


Exchange = Callable[[], Awaitable[object]]
"""Something that a driver does with one meter; a ``ReadFailure`` says that it came to nothing."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What somebody wants of one meter now."""

    meter: str
    exchange: Exchange = field(compare=False)
    deliver: Callable[[Any], None] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Chore:
    """What may wait until nothing else does."""

    meter: str
    exchange: Exchange = field(compare=False)
    deliver: Callable[[Any], None] = field(compare=False)


class Agenda:
    """What one bus has to do."""

    def __init__(self) -> None:
        self._heap: list[tuple[bool, int, int, int, Errand]] = []
        self._inquiries: list[Inquiry] = []
        self._chores: list[Chore] = []
        self._serial = count()
        self._first_end = 0  # ms since 1970 UTC: no errand ends before, of those that are there

    def __len__(self) -> int:
        return len(self._heap) + len(self._inquiries) + len(self._chores)

    @property
    def only_chores(self) -> bool:
        """Whether nothing is there that anybody or any tick waits for."""
        return not self._heap and not self._inquiries

    @property
    def inquiries(self) -> int:
        """How many people wait."""
        return len(self._inquiries)

    def add(self, item: Errand | Inquiry | Chore) -> None:
        """Put it where it belongs."""
        if isinstance(item, Inquiry):
            self._inquiries.append(item)
        elif isinstance(item, Chore):
            self._chores.append(item)
        else:
            self._first_end = min(self._first_end, item.ends_at) if self._heap else item.ends_at
            heapq.heappush(self._heap, (item.suspect, item.priority, item.ends_at, next(self._serial), item))

    def overdue(self, now_ms: int) -> list[Errand]:
        """Take off the errands whose time is over: on a line without a pause the last ones' turn may never come."""
        if not self._heap or now_ms < self._first_end:
            return []
        over = [entry[-1] for entry in sorted(self._heap) if entry[-1].ends_at <= now_ms]
        self._heap = [entry for entry in self._heap if entry[-1].ends_at > now_ms]
        heapq.heapify(self._heap)
        self._first_end = min((entry[-1].ends_at for entry in self._heap), default=0)
        return over

    def take(self) -> Errand | Inquiry | Chore:
        """Take off what is to be done next.

        Raises:
            IndexError: there is nothing.
        """
        if self._inquiries:
            return self._inquiries.pop(0)
        return heapq.heappop(self._heap)[-1] if self._heap else self._chores.pop(0)
