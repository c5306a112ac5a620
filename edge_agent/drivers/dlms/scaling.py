"""A register's raw number → a value in our units: scaler and unit come from the meter, not from a map.

    value = raw × 10 ** scaler, in the meter's unit      Blue Book, register, attribute 3

Whole numbers are scaled as decimals: 12345 × 10⁻³ is 12.345 and not 12.345000000000001. A unit that does not belong
to the quantity drops the value: the map names the wrong object, and a wrong bill is worse than none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.axdr import Value
from metering.quantity import QUANTITIES
from metering.round import LARGEST

_LARGEST_SCALER: Final = 18

# Enumeration of units (Blue Book, 4.3.2) → our unit and the power of ten between them.
_UNITS: Final = {
    7: ("s", 0),
    27: ("kW", -3),
    28: ("kVA", -3),
    29: ("kvar", -3),
    30: ("kWh", -3),
    31: ("kVAh", -3),
    32: ("kvarh", -3),
    33: ("A", 0),
    35: ("V", 0),
    44: ("Hz", 0),
    255: ("", 0),
}


class Scaler(NamedTuple):
    """How a register's number is to be read."""

    exponent: int  # of ten, into our unit
    unit: str  # ours


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a value may be, in our unit, before the ratios of transformers."""

    minimum: float = -math.inf
    maximum: float = math.inf


class Scaled(NamedTuple):
    """One value; ``dropped`` says that there was a number and that it cannot be true."""

    number: float | None
    dropped: bool = False


def scaler_of(attribute: object) -> Scaler | None:
    """What attribute 3 says; ``None`` if it says nothing we understand.

    >>> scaler_of([-1, 30])
    Scaler(exponent=-4, unit='kWh')
    """
    if not isinstance(attribute, list) or len(attribute) != 2:  # noqa: PLR2004 - scaler and unit
        return None
    exponent, code = attribute
    if not isinstance(exponent, int) or not isinstance(code, int) or abs(exponent) > _LARGEST_SCALER:
        return None
    unit = _UNITS.get(code)
    return None if unit is None else Scaler(exponent + unit[1], unit[0])


def scaled(quantity: str, raw: Value, scaler: Scaler, bounds: Bounds, ratio: float = 1.0) -> Scaled:
    """A raw value of a register → the value of a quantity.

    >>> scaled("active_energy_import", 123456, Scaler(-4, "kWh"), Bounds(), 40)
    Scaled(number=493.824, dropped=False)
    """
    if raw is None:
        return Scaled(None)
    if isinstance(raw, bool) or not isinstance(raw, int | float) or scaler.unit != QUANTITIES[quantity].unit:
        return Scaled(None, dropped=True)
    number = _scaled(raw, scaler.exponent)
    if not (math.isfinite(number) and bounds.minimum <= number <= bounds.maximum):
        return Scaled(None, dropped=True)
    number = _scaled(raw * ratio, scaler.exponent)  # the ratio first: rounded once
    if abs(number) > LARGEST / 10 ** QUANTITIES[quantity].decimals:
        return Scaled(None, dropped=True)
    return Scaled(number)


def _scaled(raw: float, exponent: int) -> float:
    power = 10 ** abs(exponent)
    return float(raw * power if exponent >= 0 else raw / power)
