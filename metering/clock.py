"""What time it is: the system's clock, or a simulated one that runs faster.

The schedule and the simulators take a ``Clock``; nothing else asks for the time of day. Timeouts are not
its business: they use monotonic time.

A simulated clock is a pure function of the system's clock, written ``START/SPEED/SINCE``: it showed START when
the system's clock showed SINCE and runs SPEED times as fast. Processes that are given the same words agree
about the time.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

# Longest nap of the system clock: a step of the wall clock is noticed this soon.
_NAP_S = 1.0


class Clock(Protocol):
    """A source of wall-clock time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        ...

    async def sleep_until(self, at_ms: int) -> None:
        """Return when ``now_ms() >= at_ms``, or sooner if the clock is set back meanwhile: look at it again."""
        ...


class SystemClock:
    """The operating system's wall clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    async def sleep_until(self, at_ms: int) -> None:
        """Sleep in short naps, so that a stepped clock is noticed; return at once if it was set back."""
        left_s = (at_ms - self.now_ms()) / 1000
        while left_s > 0:
            await asyncio.sleep(min(left_s, _NAP_S))
            before_s, left_s = left_s, (at_ms - self.now_ms()) / 1000
            if left_s > before_s:
                return


@dataclass(frozen=True, slots=True)
class SimulatedClock:
    """Shows ``start_ms`` at the system's ``since_ms`` and runs ``speed`` times as fast."""

    start_ms: int
    speed: float
    since_ms: int

    @classmethod
    def parse(cls, text: str) -> SimulatedClock:
        """Read ``2026-03-02T06:00:00+08:00/600/1772400000000``.

        Raises:
            ValueError: the text is not START/SPEED/SINCE, START has no zone, or SPEED is not positive.
        """
        try:
            start, speed, since = text.split("/")
            moment = datetime.fromisoformat(start)
            clock = cls(int(moment.timestamp() * 1000), float(speed), int(since))
        except ValueError as error:
            raise ValueError(f"{text!r} is not START/SPEED/SINCE: {error}") from error
        if moment.tzinfo is None or not 0 < clock.speed <= 1_000_000:  # noqa: PLR2004
            raise ValueError(f"{text!r}: START needs a zone (+08:00) and SPEED lies in 0…1000000")
        return clock

    def __str__(self) -> str:
        start = datetime.fromtimestamp(self.start_ms / 1000).astimezone().isoformat(timespec="milliseconds")
        return f"{start}/{self.speed:g}/{self.since_ms}"

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC, as simulated."""
        return self.start_ms + int((time.time() * 1000 - self.since_ms) * self.speed)

    async def sleep_until(self, at_ms: int) -> None:
        """Return when the simulated clock shows ``at_ms``."""
        while (left_ms := at_ms - self.now_ms()) > 0:
            await asyncio.sleep(max(left_ms / self.speed, 0.5) / 1000)


def clock_from(text: str | None) -> Clock:
    """The system's clock, or the simulated one that ``text`` describes."""
    return SystemClock() if text is None else SimulatedClock.parse(text)
