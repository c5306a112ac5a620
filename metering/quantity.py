"""Every quantity that travels has one name, one OBIS code, one unit and one resolution.

Names are IEC words (IEC 61968-9, DLMS UA Blue Book). Units are fixed for the whole project: kW, kvar,
kVA, kWh, kvarh, V, A, Hz, s. A driver converts to them; nothing later does. ``decimals`` is the
resolution at which a value is sent: 3 for kWh means that the integer on the wire counts Wh.

Signs: active power is positive for import. The OBIS code of a signed sum is that of its import part
where the standard has no code of its own (reactive power). A meter's clock offset has none either: it is the clock
object (0-0:1.0.0) less the time at the gateway when it was read, positive when the meter is ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from metering.obis import ObisCode


class Kind(StrEnum):
    """How a quantity behaves in time."""

    REGISTER = "register"  # counts up for ever; energy is the difference of two readings
    DEMAND = "demand"  # mean power over a demand period
    INSTANTANEOUS = "instantaneous"


@dataclass(frozen=True, slots=True)
class Quantity:
    """One measurable quantity of a meter."""

    name: str
    obis: ObisCode
    unit: str
    kind: Kind
    decimals: int


_PHASE_OFFSET: Final = {1: 20, 2: 40, 3: 60}  # OBIS group C of phase n = C of the total + 20 n


def _catalogue() -> dict[str, Quantity]:
    found: dict[str, Quantity] = {}

    def add(name: str, c: int, d: int, unit: str, kind: Kind, decimals: int, e: int = 0) -> None:
        found[name] = Quantity(name, ObisCode(1, 0, c, d, e), unit, kind, decimals)

    registers = {
        "active_energy_import": (1, "kWh"),
        "active_energy_export": (2, "kWh"),
        "reactive_energy_import": (3, "kvarh"),
        "reactive_energy_export": (4, "kvarh"),
        "reactive_energy_q1": (5, "kvarh"),
        "reactive_energy_q2": (6, "kvarh"),
        "reactive_energy_q3": (7, "kvarh"),
        "reactive_energy_q4": (8, "kvarh"),
        "apparent_energy_import": (9, "kVAh"),
    }
    for name, (c, unit) in registers.items():
        add(name, c, 8, unit, Kind.REGISTER, 3)
    for direction, c in (("import", 1), ("export", 2)):
        for tariff in (1, 2, 3, 4):
            add(f"active_energy_{direction}_t{tariff}", c, 8, "kWh", Kind.REGISTER, 3, tariff)

    powers = {
        "active_power": (16, "kW", 3),
        "reactive_power": (3, "kvar", 3),
        "apparent_power": (9, "kVA", 3),
        "power_factor": (13, "", 3),
    }
    for name, (c, unit, decimals) in powers.items():
        add(name, c, 7, unit, Kind.INSTANTANEOUS, decimals)
        for phase, offset in _PHASE_OFFSET.items():
            add(f"{name}_l{phase}", c + offset, 7, unit, Kind.INSTANTANEOUS, decimals)
    for phase, offset in _PHASE_OFFSET.items():
        add(f"voltage_l{phase}", 12 + offset, 7, "V", Kind.INSTANTANEOUS, 2)
        add(f"current_l{phase}", 11 + offset, 7, "A", Kind.INSTANTANEOUS, 3)
    add("current_n", 91, 7, "A", Kind.INSTANTANEOUS, 3)
    add("frequency", 14, 7, "Hz", Kind.INSTANTANEOUS, 2)
    add("demand", 1, 4, "kW", Kind.DEMAND, 4)
    add("maximum_demand", 1, 6, "kW", Kind.DEMAND, 4)
    found["clock_offset"] = Quantity("clock_offset", ObisCode(0, 0, 1, 0, 0), "s", Kind.INSTANTANEOUS, 0)
    return found


QUANTITIES: Final[dict[str, Quantity]] = _catalogue()
"""Every known quantity by name."""
