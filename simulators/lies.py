"""Meters that lie: what they say arrives whole and is wrong. Seeded; a lie belongs to the meter, not to the wire.

transient_zero  the energy registers read 0 now and then, as after a reset that is not one
spike           the energy registers jump for one reading, as when a register is read while it is written
stuck           everything stays as it was when it began: the meter's processor hangs, its line does not
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from simulators.physics import Reading, Three

LieName = Literal["transient_zero", "spike", "stuck"]

_FOREVER_MS: Final = 2**62
_JUMP_KWH: Final = 65536.0  # a high word read before, a low word after the carry


class Metered(Protocol):
    """Whatever can be read at an instant."""

    def reading(self, at_ms: int) -> Reading:
        """All that the meter knows at an instant (ms since 1970 UTC)."""
        ...


@dataclass(frozen=True, slots=True)
class Lie:
    """One way of lying between two instants."""

    name: LieName
    share: float = 1.0  # of the readings
    starts_at_ms: int = 0
    ends_at_ms: int = _FOREVER_MS


@dataclass(frozen=True, slots=True)
class LyingMeter:
    """A meter behind its lies; the same instant gives the same reading."""

    meter: Metered
    seed: int
    lies: Sequence[Lie]

    def reading(self, at_ms: int) -> Reading:
        """What it claims at an instant (ms since 1970 UTC)."""
        said = self.meter.reading(at_ms)
        for n, lie in enumerate(self.lies):
            chance = random.Random(f"{self.seed}/{n}/{at_ms}").random()
            if lie.starts_at_ms <= at_ms < lie.ends_at_ms and chance < lie.share:
                said = self._told(said, lie)
        return said

    def _told(self, truth: Reading, lie: Lie) -> Reading:
        if lie.name == "stuck":
            return self.meter.reading(lie.starts_at_ms)
        if lie.name == "transient_zero":
            none = (0.0, 0.0, 0.0)
            return replace(truth, import_kwh=none, import_kvarh=none, export_kwh=none, export_kvarh=none)
        return replace(truth, import_kwh=_jumped(truth.import_kwh))


def _jumped(registers: Three) -> Three:
    a, b, c = (value + _JUMP_KWH for value in registers)
    return a, b, c
