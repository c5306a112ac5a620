"""When a rate group is due: aligned to the wall clock, staggered, with a deadline, never queued.

A tick belongs to the instant ``scheduled_at``, a multiple of the period since 1970 UTC, so that all gateways
mean the same instant. Its reads start a little later, always by the same amount for one gateway and group,
so that a thousand gateways do not call their broker at once.

    scheduled_at      starts_at                       closes_at        ends_at = start of the next tick
    |--- stagger -----|--- reads ---------------------|--- late rows --|

Whoever is late for a tick skips it and counts it: a tick is never made up for. When the clock is set back by
less than a period, the tick before it is not repeated; when it is set back further, or far forward, the
schedule follows the clock: its instants are then those of the new time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

STAGGER_SHARE: Final = 0.1  # of the period: the later the read, the less it stands for its instant
CLOSE_SHARE: Final = 0.7  # of the time between two starts
_STEP_PERIODS: Final = 100  # a jump this wide is a step of the clock, not an overrun
_SET_SINCE_MS: Final = 1_577_836_800_000  # 2020-01-01


def clock_is_set(now_ms: int) -> bool:
    """Whether the clock can be right: a gateway that boots without the time shows 1970 or its build date."""
    return now_ms >= _SET_SINCE_MS


@dataclass(frozen=True, slots=True)
class Tick:
    """One instant of one rate group, all in ms since 1970 UTC."""

    scheduled_at: int
    starts_at: int
    closes_at: int  # the round goes out with the rows that are there
    ends_at: int  # nothing is asked for this tick any more

    skipped: int = 0  # ticks before this one that nobody was there for


@dataclass(frozen=True, slots=True)
class Schedule:
    """The ticks of one rate group of one gateway."""

    period_ms: int
    stagger_ms: int = 0

    @classmethod
    def of(cls, gateway: str, group: str, period_ms: int) -> Schedule:
        """The schedule whose stagger follows from the names alone."""
        span_ms = max(1, int(period_ms * STAGGER_SHARE))
        return cls(period_ms, crc32(f"{gateway}/{group}".encode()) % span_ms)

    def next(self, now_ms: int, last: Tick | None = None) -> Tick:
        """The first tick that has not started yet and is not ``last`` again."""
        due = -(-(now_ms - self.stagger_ms) // self.period_ms) * self.period_ms
        if last is None:
            return self._tick(due, 0)
        ahead = (due - last.scheduled_at) // self.period_ms
        if -1 <= ahead <= 0:  # the clock went back a little
            return self._tick(last.scheduled_at + self.period_ms, 0)
        return self._tick(due, ahead - 1 if 0 < ahead <= _STEP_PERIODS else 0)

    def _tick(self, scheduled_at: int, skipped: int) -> Tick:
        starts_at = scheduled_at + self.stagger_ms
        closes_at = starts_at + int(self.period_ms * CLOSE_SHARE)
        return Tick(scheduled_at, starts_at, closes_at, starts_at + self.period_ms, skipped)
