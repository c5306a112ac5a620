"""Which meters' clocks are off by more than a limit, as far as their offsets have been heard.

While a clock is off every row of its meter says so: what the meter stamps or sorts by time of day is in doubt, its
history, its log, its tariff registers. A meter that has said nothing yet is taken to be right.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from edge_agent.drivers.driver import GOOD
from metering.round import Quality

CLOCK_OFFSET: Final = "clock_offset"


class Change(Enum):
    """What an offset has changed."""

    NOTHING = auto()
    WENT_OFF = auto()
    CAME_RIGHT = auto()


class ClockWatch:
    """The clocks of all meters of one gateway."""

    def __init__(self, limit_s: float) -> None:
        """A clock is off when it is further from ours than ``limit_s``, either way."""
        self._limit_s = limit_s
        self._offsets_s: dict[str, float] = {}

    def heard(self, meter: str, offset_s: float | None) -> Change:
        """Take what a meter's clock is ahead, s; ``None``, a time the meter doubts itself, changes nothing."""
        if offset_s is None:
            return Change.NOTHING
        was_off = self.is_off(meter)
        self._offsets_s[meter] = offset_s
        if self.is_off(meter) is was_off:
            return Change.NOTHING
        return Change.CAME_RIGHT if was_off else Change.WENT_OFF

    def is_off(self, meter: str) -> bool:
        """Whether it was off when it was heard last."""
        return abs(self._offsets_s.get(meter, 0.0)) > self._limit_s

    def all_off(self) -> list[str]:
        """Every meter whose clock was."""
        return [meter for meter in self._offsets_s if self.is_off(meter)]

    def doubts(self, meter: str) -> Quality:
        """The bit for every row of the meter."""
        return Quality.METER_CLOCK_OFF if self.is_off(meter) else GOOD

    def offset_s(self, meter: str) -> float | None:
        """How far it was ahead when it was heard last."""
        return self._offsets_s.get(meter)
