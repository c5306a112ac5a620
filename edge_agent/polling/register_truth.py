"""What is known against an energy register: it fell, or it read zero for a moment.

An energy register only counts up. A lower value is a fault of the line, a meter that lost its memory, or
another meter in the same place. The value is sent as it was read, with a bit; nothing is rewritten. When the
lower count stands and goes on counting for ``BELIEVED_AFTER`` reads, it is believed: someone has changed the
meter.

What is remembered starts anew with the program; the collector, which remembers longer, checks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from metering.quantity import QUANTITIES, Kind
from metering.round import Quality

BELIEVED_AFTER: Final = 3


@dataclass(slots=True)
class _Register:
    good: float
    doubted: float = 0.0  # the last lower value
    doubts: int = 0  # lower values in a row that count up among themselves


class RegisterTruth:
    """The last good value of every energy register of one gateway."""

    def __init__(self) -> None:
        self._registers: dict[tuple[str, str], _Register] = {}

    def judge(self, meter: str, values: Mapping[str, float | None]) -> Quality:
        """The bits for one row."""
        quality = Quality(0)
        for quantity, value in values.items():
            if value is not None and QUANTITIES[quantity].kind is Kind.REGISTER:
                doubt = self._judge(meter, quantity, value)
                quality = quality | doubt if doubt else quality
        return quality

    def _judge(self, meter: str, quantity: str, value: float) -> Quality | None:
        known = self._registers.setdefault((meter, quantity), _Register(value))
        if value >= known.good:
            known.good, known.doubts = value, 0
            return None
        known.doubts = known.doubts + 1 if known.doubts and value >= known.doubted else 1
        known.doubted = value
        if known.doubts >= BELIEVED_AFTER and value > 0:
            known.good, known.doubts = value, 0
        return Quality.REGISTER_ZERO if value == 0 else Quality.REGISTER_FELL
