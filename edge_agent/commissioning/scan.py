"""What a scan of a line is, whatever is spoken there: who may be there is asked one after the other, and told."""

from __future__ import annotations

from typing import Protocol

from edge_agent.commissioning.found import Found
from edge_agent.drivers.driver import ReadFailure
from edge_agent.drivers.registry import BusSettings


class Watcher(Protocol):
    """Who is told how far a scan has got."""

    def asked(self, done: int, total: int, found: int) -> None:
        """So many questions of all have been asked."""
        ...

    def found(self, one: Found) -> None:
        """Somebody answered and was judged."""
        ...


class Scan(Protocol):
    """A scan of one line with one speed. What was found stays here when it is broken off."""

    @property
    def line(self) -> BusSettings:
        """Which line, and how."""
        ...

    @property
    def found(self) -> list[Found]:
        """Who answered so far."""
        ...

    @property
    def asked(self) -> int:
        """Questions so far."""
        ...

    @property
    def total(self) -> int:
        """Questions altogether, as far as is known now."""
        ...

    @property
    def at_most_s(self) -> float:
        """How long it takes if nobody answers."""
        ...

    async def run(self, watcher: Watcher) -> ReadFailure | None:
        """Ask everybody; why the line could not be used, if it could not."""
        ...
