"""How well the meters were read, from the rounds a spool still holds.

A share counts ticks: a meter is good in a tick if one of its rows carries values. A tick that left no round at all was
missed, and shows as a hole in ``scheduled_at``; it is counted for its rate group, not held against a meter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from metering.round import FAILED, REGISTER_DOUBTED, Origin, Quality, Round, unpack

_DOUBTS = REGISTER_DOUBTED | Quality.REGISTER_STUCK
_BITS = tuple(Quality)
GOOD = Quality(0)


@dataclass(slots=True)
class MeterSuccess:
    """One meter over the rounds looked at."""

    meter: str
    good: int = 0  # rows with values
    bad: int = 0  # rows without
    last_good_at: int | None = None  # ms since 1970 UTC
    failing: bool = False  # the newest row carries no values
    failures: Counter[Quality] = field(default_factory=Counter)
    doubts: Quality = GOOD  # against its energy registers
    newest_at: int = -1
    clock_doubted: bool = False  # the gateway did not know the time when the newest row was read
    clock_off: bool = False  # the meter's own clock was off by then

    @property
    def share(self) -> float | None:
        """Of its rows that carry values; ``None`` if there are none."""
        rows = self.good + self.bad
        return self.good / rows if rows else None

    @property
    def reason(self) -> Quality | None:
        """Why most of its failed rows failed."""
        return self.failures.most_common(1)[0][0] if self.failures else None

    def take(self, scheduled_at: int, measured_at: int, quality: Quality) -> None:
        """Count one row."""
        failed = quality & FAILED
        if failed:
            self.bad += 1
            self.failures.update(bit for bit in _BITS if bit in failed)
        else:
            self.good += 1
            self.last_good_at = max(self.last_good_at or 0, measured_at)
        self.doubts |= quality & _DOUBTS
        if scheduled_at >= self.newest_at:
            self.newest_at, self.failing = scheduled_at, bool(failed)
            self.clock_doubted = Quality.CLOCK_UNSYNCHRONISED in quality
            self.clock_off = Quality.METER_CLOCK_OFF in quality


@dataclass(frozen=True, slots=True)
class GroupTicks:
    """One rate group: how many ticks it had, and how many it missed between the first and the last."""

    group: str
    ticks: int
    missed: int
    last_at: int  # ms since 1970 UTC


def meter_success(rounds: Iterable[Round], meters: Iterable[str]) -> list[MeterSuccess]:
    """What became of every configured meter, in their order."""
    found = {meter: MeterSuccess(meter) for meter in meters}
    for one in rounds:
        if one.origin is not Origin.LIVE:
            continue
        rows = zip(one.meters, unpack(one.measured_at, "q"), unpack(one.quality, "I"), strict=True)
        for meter, measured_at, bits in rows:
            if meter in found:
                found[meter].take(one.scheduled_at, measured_at, Quality(bits))
    return list(found.values())


def group_ticks(rounds: Iterable[Round]) -> list[GroupTicks]:
    """The ticks of every rate group that left a round."""
    instants: dict[str, set[int]] = {}
    periods: dict[str, int] = {}
    for one in rounds:
        if one.origin is Origin.LIVE:
            if periods.setdefault(one.group, one.period_ms) != one.period_ms:  # its period was changed: begin anew
                periods[one.group] = one.period_ms
                instants[one.group] = set()
            instants.setdefault(one.group, set()).add(one.scheduled_at)
    return [
        GroupTicks(group, len(ticks), (max(ticks) - min(ticks)) // periods[group] + 1 - len(ticks), max(ticks))
        for group, ticks in instants.items()
    ]
