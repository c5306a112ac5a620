"""Carlo Gavazzi: functions 3 and 4, integers, low word first: 0.1 V, mA, 0.1 W, 0.1 kWh.

The identification code stands on register 0x000B, but only for a request of one word: in a longer one the voltage
between L3 and L1 stands there. The EM24 takes 11 words a request, the EM300 and ET300 series 50. The EM24 has a count
that anyone can reset before the one by phase; here it has been reset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulators import meter_image as show
from simulators.meter_image import READ_HOLDING, READ_INPUT, MeterImage, Shown
from simulators.physics import Reading, Three

_RESET_AT_KWH: Final = 100.0


def _three(start: int, of: Callable[[Reading], Three], factor: float) -> list[Shown]:
    return show.by_phase(start, "i", of, factor, low_word_first=True)


def _one(address: int, of: Callable[[Reading], float], factor: float = 10) -> Shown:
    return Shown(address, "i", of, factor, low_word_first=True)


_COMMON: Final = (
    *_three(0x00, show.voltage, 10),
    *_three(0x0C, show.current, 1000),
    *_three(0x12, show.active, 10_000),
    *_three(0x18, show.apparent, 10_000),
    *_three(0x1E, show.reactive, 10_000),
    _one(0x24, lambda r: sum(show.voltage(r)) / 3),
    _one(0x28, show.total_active, 10_000),
    _one(0x2A, show.total_apparent, 10_000),
    _one(0x2C, show.total_reactive, 10_000),
)

CARLO_GAVAZZI_EM24: Final = MeterImage(
    model="carlo_gavazzi_em24",
    functions=(READ_HOLDING, READ_INPUT),
    max_registers=11,
    blocks=((0x0000, 0x0068), (0x0300, 0x0304)),
    alone={0x000B: 71},
    shown=(
        *_COMMON,
        *show.by_phase(0x32, "h", show.power_factor, 1000),
        Shown(0x35, "h", show.total_power_factor, 1000),
        Shown(0x37, "h", show.frequency, 10),
        _one(0x3E, show.import_kwh),
        _one(0x40, show.import_kvarh),
        _one(0x42, lambda r: max(0.0, show.import_kwh(r) - _RESET_AT_KWH)),
        *_three(0x46, lambda r: r.import_kwh, 10),
        _one(0x5C, show.export_kwh),
        _one(0x5E, show.export_kvarh),
    ),
)

CARLO_GAVAZZI_EM340: Final = MeterImage(
    model="carlo_gavazzi_em340",
    functions=(READ_HOLDING, READ_INPUT),
    max_registers=50,
    blocks=((0x0000, 0x0066), (0x00F6, 0x0112)),
    alone={0x000B: 345},
    shown=(
        *_COMMON,
        *show.by_phase(0x2E, "h", show.power_factor, 1000),
        Shown(0x31, "h", show.total_power_factor, 1000),
        Shown(0x33, "h", show.frequency, 10),
        _one(0x34, show.import_kwh),
        _one(0x36, show.import_kvarh),
        _one(0x3C, lambda r: max(0.0, show.import_kwh(r) - _RESET_AT_KWH)),
        *_three(0x40, lambda r: r.import_kwh, 10),
        _one(0x4E, show.export_kwh),
        _one(0x50, show.export_kvarh),
        *_three(0x60, lambda r: r.export_kwh, 10),
    ),
)
