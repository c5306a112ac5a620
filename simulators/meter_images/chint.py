"""Chint DTSU666: function 3, float32, scaled: V × 10, A × 1000, W × 10, cos φ × 1000, Hz × 100; kWh as they are.

Table 11 of the user manual ZTY0.464.1448. The voltages between phases stand before those against neutral.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

from simulators import meter_image as show
from simulators.meter_image import READ_HOLDING, MeterImage, Shown, by_phase
from simulators.physics import Reading, Three


def _between_phases(reading: Reading) -> Three:
    a, b, c = show.voltage(reading)
    return tuple(sqrt(x * x + y * y + x * y) for x, y in ((a, b), (b, c), (c, a)))  # type: ignore[return-value]


CHINT_DTSU666: Final = MeterImage(
    model="chint_dtsu666",
    functions=(READ_HOLDING,),
    max_registers=125,
    blocks=((0x0000, 0x0030), (0x101E, 0x1032), (0x2000, 0x2052)),
    constants={0x0000: 204, 0x0001: 701, 0x0006: 1, 0x0007: 10, 0x002C: 3, 0x002D: 3, 0x002E: 1},
    shown=(
        Shown(0x101E, "f", show.import_kwh),
        *by_phase(0x1020, "f", lambda r: r.import_kwh),
        Shown(0x1028, "f", show.export_kwh),
        *by_phase(0x102A, "f", lambda r: r.export_kwh),
        *by_phase(0x2000, "f", _between_phases, 10),
        *by_phase(0x2006, "f", show.voltage, 10),
        *by_phase(0x200C, "f", show.current, 1000),
        Shown(0x2012, "f", show.total_active, 10_000),
        *by_phase(0x2014, "f", show.active, 10_000),
        Shown(0x201A, "f", show.total_reactive, 10_000),
        *by_phase(0x201C, "f", show.reactive, 10_000),
        Shown(0x202A, "f", show.total_power_factor, 1000),
        *by_phase(0x202C, "f", show.power_factor, 1000),
        Shown(0x2044, "f", show.frequency, 100),
    ),
)
