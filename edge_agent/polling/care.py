"""What is known of one meter's upkeep: what is missing of it, how far its log was read, when its chores are due.

Pure state: the shell asks what to do next, does it, and says how it went. A chore that fails is left alone for ever
longer pauses, each kind by itself: a meter that denies its log may well give its history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from edge_agent.drivers.driver import Driver
from edge_agent.drivers.memory import EventLogs, LoadProfiles
from edge_agent.polling.backfill import IMPORT, PieceSize
from edge_agent.polling.breaker import Breaker
from edge_agent.polling.clock_watch import CLOCK_OFFSET
from edge_agent.polling.missing import Missing
from edge_agent.polling.rate_group import GroupSettings, share
from edge_agent.polling.upkeep_settings import UpkeepSettings

_FIRST_PAUSE_MS: Final = 60_000
_LONGEST_PAUSE_MS: Final = 3_600_000
_LONG_INTERVAL_MS: Final = 3_600_000
_PERIODS: Final = 3  # without a good row before anything is missing


class Chores(Enum):
    """What is done for a meter, the most urgent first: a history is judged by the clock that stamped it."""

    CLOCK = "clock"
    LOG = "log"
    HISTORY = "history"


@dataclass(slots=True)
class Due:
    """When a chore is to be done again."""

    every_ms: int
    at: int | None = None  # ms since 1970 UTC; None: at once

    def now(self, now_ms: int) -> bool:
        """Whether it is; after a clock that was set back, too."""
        return self.at is None or not now_ms < self.at <= now_ms + self.every_ms

    def done(self, now_ms: int) -> None:
        """Not again before a period has passed."""
        self.at = now_ms + self.every_ms


@dataclass(slots=True)
class Care:
    """One meter's."""

    meter: str
    period_ms: int  # of the rate group that reads its import register; without one, of its fastest
    counts: bool  # whether that register is polled: then only rows with it are good ones
    interval_ms: int | None  # of its history; None: it keeps none, or it shall not be read
    clock: Due | None  # None: its clock is polled, or it has none to compare
    log: Due | None  # None: it keeps none
    missing: Missing = field(default_factory=Missing)
    log_mark: str = ""
    unwritten: bool = False  # whether something is not in the spool yet
    answers: bool = False  # whether it gave a good row since the start: nothing is asked of a meter that may be dead
    pauses: dict[Chores, Breaker] = field(
        default_factory=lambda: {kind: Breaker(1, _FIRST_PAUSE_MS, _LONGEST_PAUSE_MS) for kind in Chores}
    )

    piece: PieceSize = field(init=False)

    def __post_init__(self) -> None:
        """Begin with small pieces."""
        self.piece = PieceSize(self.interval_ms or _LONG_INTERVAL_MS)

    @property
    def anything(self) -> bool:
        """Whether there is anything to do for it, ever: most Modbus meters remember nothing."""
        return self.interval_ms is not None or self.clock is not None or self.log is not None

    @property
    def tolerance_ms(self) -> int:
        """How long a hole may be before it is worth a question: the interval says it, if it is short."""
        return max(_PERIODS * self.period_ms, min(self.interval_ms or 0, _LONG_INTERVAL_MS))

    def next_chore(self, now_ms: int) -> Chores | None:
        """What to do for it now, if anything."""
        if not self.answers:
            return None
        return next((kind for kind in self._wanted(now_ms) if self.pauses[kind].allows(now_ms)), None)

    def forgive(self) -> None:
        """It is back after a while: what it failed at then says nothing about now."""
        for pause in self.pauses.values():
            pause.succeeded()

    def _wanted(self, now_ms: int) -> Iterator[Chores]:
        if self.clock is not None and self.clock.now(now_ms):
            yield Chores.CLOCK
        if self.log is not None and self.log.now(now_ms):
            yield Chores.LOG
        if self.interval_ms is not None and self.missing.stretches:
            yield Chores.HISTORY

    def marks(self) -> dict[str, str]:
        """What is to be remembered of it, by name."""
        missing = {missing_mark(self.meter): str(self.missing)} if self.interval_ms is not None else {}
        return missing | ({log_mark(self.meter): self.log_mark} if self.log_mark else {})


def missing_mark(meter: str) -> str:
    """The name under which the spool keeps what is missing."""
    return f"missing/{meter}"


def log_mark(meter: str) -> str:
    """The name under which the spool keeps how far the log was read."""
    return f"log/{meter}"


def care_of(meter: str, driver: Driver, groups: tuple[GroupSettings, ...], settings: UpkeepSettings) -> Care:
    """What can be done for one meter, and what the polls do already."""
    shares = [(group.period_ms, share(group, groups, driver.offers(meter))) for group in groups]
    reading = [period_ms for period_ms, quantities in shares if IMPORT in quantities]
    polled = {quantity for _, quantities in shares for quantity in quantities}
    compares = CLOCK_OFFSET in driver.offers(meter) - polled
    keeps_log = isinstance(driver, EventLogs) and driver.keeps_log(meter)
    return Care(
        meter,
        min(reading or [period_ms for period_ms, quantities in shares if quantities] or [_LONG_INTERVAL_MS]),
        bool(reading),
        driver.interval_ms(meter) if settings.load_profile and isinstance(driver, LoadProfiles) else None,
        Due(round(settings.clock_every * 1000)) if compares else None,
        Due(round(settings.events_every * 1000)) if keeps_log else None,
    )
