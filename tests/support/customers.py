"""Customers out of the shared physics, and what their meters show at an instant, whatever they speak."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from simulators.lies import Metered
from simulators.park import expand
from simulators.park_settings import ParkSettings
from simulators.physics import Flow, Reading, Three

MORNING: Final = datetime(2026, 6, 17, 22, tzinfo=UTC)  # 06:00 in China
HOUR_MS: Final = 3_600_000
INSTANTS: Final = [int(MORNING.timestamp() * 1000) + hours * HOUR_MS for hours in (0, 5, 15)]
NOW_MS: Final = INSTANTS[1]

_PARK: Final = expand(ParkSettings(start=MORNING, trades={"retail": 1, "catering": 1}), MORNING)
SHOP: Final = _PARK.meters[0].meter
KITCHEN: Final = _PARK.meters[1].meter


@dataclass(frozen=True)
class Roof:
    """A customer whose roof gives more than it takes on two phases: their power flows out."""

    meter: Metered

    def reading(self, at_ms: int) -> Reading:
        """All that the meter knows at an instant (ms since 1970 UTC)."""
        drawn = self.meter.reading(at_ms)
        flow = drawn.flow
        turned = replace(flow, active_kw=_turned(flow.active_kw), reactive_kvar=_turned(flow.reactive_kvar))
        a, b, c = drawn.import_kwh
        p, q, r = drawn.import_kvarh
        return Reading(turned, (a, 0.0, 0.0), (p, 0.0, 0.0), (0.0, 2 * b, c), (0.0, 2 * q, r))


def _turned(values: Three) -> Three:
    a, b, c = values
    return a, -2 * b, -c


ROOF: Final = Roof(KITCHEN)


def shown(meter: Metered, at_ms: int) -> dict[str, float]:
    """What every three-phase meter of the suite has to show: quantities in their units."""
    reading = meter.reading(at_ms)
    flow: Flow = reading.flow
    found = {
        "active_energy_import": sum(reading.import_kwh),
        "active_energy_export": sum(reading.export_kwh),
        "active_power": flow.total_kw,
        "reactive_power": flow.total_kvar,
        "apparent_power": flow.total_kva,
        "power_factor": flow.total_kw / flow.total_kva,
        "frequency": flow.frequency_hz,
    }
    for n in range(3):
        found[f"active_power_l{n + 1}"] = flow.active_kw[n]
        found[f"voltage_l{n + 1}"] = flow.voltage_v[n]
        found[f"current_l{n + 1}"] = flow.current_a[n]
    return found
