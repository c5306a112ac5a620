"""The local days of a history, cut into equal intervals.

An interval has the number of its day times the intervals of a day, plus its place in the day; number 0 begins with
the first local midnight. A reading stands at the end of its interval. The zone has no daylight saving.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from metering.errors import StopAndFix
from simulators.history.noise import Indices
from simulators.load_curves import Floats

TIMEZONE: Final = "Asia/Shanghai"

_ZONE: Final = ZoneInfo(TIMEZONE)
_MINUTES: Final = 1440
_STEP: Final = re.compile(r"(\d{1,3})\s*(min|h)")


@dataclass(frozen=True, slots=True)
class Span:
    """``days`` local days from ``start`` on, in intervals of ``step_min`` minutes (a divisor of 60)."""

    start: date
    days: int
    step_min: int = 15

    @property
    def per_day(self) -> int:
        """Intervals of a day."""
        return _MINUTES // self.step_min

    @property
    def intervals(self) -> int:
        """Intervals of the whole history."""
        return self.days * self.per_day

    @property
    def hours(self) -> float:
        """Length of an interval, h."""
        return self.step_min / 60

    @property
    def middle_hours(self) -> Floats:
        """Middle of each interval of a day as an hour of the day, shape (per_day,)."""
        return np.asarray((np.arange(self.per_day) + 0.5) * self.hours, dtype=np.float64)

    def day(self, number: int) -> date:
        """Local date of a day."""
        return self.start + timedelta(days=number)

    def of_day(self, number: int) -> Indices:
        """Numbers of the intervals of a day, shape (per_day,)."""
        return np.arange(number * self.per_day, (number + 1) * self.per_day)

    def instant(self, interval: int) -> datetime:
        """The instant at which an interval begins, UTC."""
        midnight = datetime(self.start.year, self.start.month, self.start.day, tzinfo=_ZONE).astimezone(UTC)
        return midnight + timedelta(minutes=interval * self.step_min)

    def local(self, interval: int) -> datetime:
        """The same with the offset of the zone."""
        return self.instant(interval).astimezone(_ZONE)

    def dates(self, first: int, last: int) -> list[date]:
        """Local dates that the intervals from ``first`` until before ``last`` touch."""
        return [self.day(n) for n in range(first // self.per_day, (last - 1) // self.per_day + 1)]


def parse_span(start: str, days: int, step: str) -> Span:
    """A span from what a person writes: a date, a number of days, a length of time with its unit.

    Raises:
        StopAndFix: the date or the step cannot be used.
    """
    try:
        first = date.fromisoformat(start)
    except ValueError as error:
        raise StopAndFix(f"--start {start}: not a date → write it like 2026-03-01") from error
    match = _STEP.fullmatch(step)
    step_min = int(match[1]) * (60 if match[2] == "h" else 1) if match else 0
    if step_min == 0 or 60 % step_min:
        steps = ", ".join(f"{n}min" for n in range(1, 61) if 60 % n == 0)
        raise StopAndFix(f"--step {step}: an hour does not divide into it → write one of {steps}")
    return Span(first, days, step_min)
