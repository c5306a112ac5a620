"""Whether the gateway knows the time, and whether the time that it shows can be.

A gateway without a battery behind its clock boots with a time of before it stopped, and its rows would stand among
those of then. So it remembers until when it knew the time. While nothing keeps its clock right and it shows an earlier
time than that, its rows are ``CLOCK_BEHIND``: their registers are true, their times are not.

Until when the time was known is written down where that changes: ``now`` while it is, since the newest round of the
spool says it then; the instant afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edge_agent.drivers.driver import GOOD
from metering.clock import Clock
from metering.log import log
from metering.round import Quality

KNOWN_MARK: Final = "time_known"
_NOW: Final = "now"


class GatewayClock:
    """The clock that stamps the rows of all meters."""

    def __init__(
        self, clock: Clock, synchronised: Callable[[], bool | None], marks: Mapping[str, str], kept_until: int | None
    ) -> None:
        """Take up what the spool remembers.

        Args:
            clock: what stamps the rows.
            synchronised: whether something keeps it right; ``None`` where nobody can tell.
            marks: those of the spool.
            kept_until: when its newest round was kept, ms since 1970 UTC.
        """
        self._clock = clock
        self._synchronised = synchronised
        self._written = self._mark = marks.get(KNOWN_MARK, "")
        self._known_ms = kept_until if self._mark == _NOW else _instant(self._mark)
        self._doubts = GOOD

    def look(self) -> Quality:
        """What is to be said against every row that is read now."""
        now_ms, doubts = self._clock.now_ms(), GOOD
        if self._synchronised() is not False:
            self._known_ms, self._mark = now_ms, _NOW
        else:
            doubts = Quality.CLOCK_UNSYNCHRONISED
            if self._known_ms is not None:
                self._mark = str(self._known_ms)
                doubts |= Quality.CLOCK_BEHIND if now_ms < self._known_ms else GOOD
        self._tell(doubts)
        return doubts

    def marks_due(self) -> dict[str, str]:
        """What is to be written down with the next round."""
        return {} if self._mark == self._written else {KNOWN_MARK: self._mark}

    def kept(self, marks: Mapping[str, str]) -> None:
        """These marks have become durable."""
        self._written = marks.get(KNOWN_MARK, self._written)

    def _tell(self, doubts: Quality) -> None:
        if doubts & ~self._doubts & Quality.CLOCK_BEHIND:
            log.warning("clock_behind", known_until=self._known_ms, why="these rows are stored, and judged by nobody")
        if doubts and not self._doubts:
            log.warning("clock_unsynchronised", why="nothing keeps the system's clock right")
        elif self._doubts and not doubts:
            log.info("clock_synchronised")
        self._doubts = doubts


def _instant(mark: str) -> int | None:
    return int(mark) if mark.isascii() and mark.isdigit() else None
