"""Sixteen-bit registers → a value in our units, and nothing else.

Bytes inside a register are always big-endian. ``word_order`` says whether the first register of a wide
value is its high word (``big``) or its low word (``little``).

A value is dropped, not bent: not a number, a sentinel of the vendor, outside what the profile allows, or
larger than a round can carry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, Literal, NamedTuple

from metering.quantity import QUANTITIES
from metering.round import LARGEST

WordOrder = Literal["big", "little"]
RegisterType = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32"]

_NUMBER: Final[dict[str, Struct]] = {
    "int16": Struct(">h"),
    "uint16": Struct(">H"),
    "int32": Struct(">i"),
    "uint32": Struct(">I"),
    "int64": Struct(">q"),
    "uint64": Struct(">Q"),
    "float32": Struct(">f"),
}

WIDTH: Final[dict[str, int]] = {name: number.size // 2 for name, number in _NUMBER.items()}
"""Registers one value takes, by type."""

_WORDS: Final = {width: Struct(f">{width}H") for width in set(WIDTH.values())}
_LARGEST: Final = {name: LARGEST / 10**quantity.decimals for name, quantity in QUANTITIES.items()}


@dataclass(frozen=True, slots=True)
class Conversion:
    """How one quantity is read out of its registers."""

    quantity: str
    type: RegisterType
    scale: float = 1.0  # raw × scale = value in our unit, at the meter's terminals
    invalid: tuple[int, ...] = ()  # raw integers that mean "no reading"
    minimum: float = -math.inf  # in our unit, at the meter's terminals
    maximum: float = math.inf


class Value(NamedTuple):
    """One decoded value; ``dropped`` says that there was a number and that it cannot be true."""

    number: float | None
    dropped: bool = False


def decode(words: Sequence[int], order: WordOrder, conversion: Conversion, ratio: float = 1.0) -> Value:
    """Registers of one value → the value times ``ratio``.

    >>> decode([0x0102, 0x0103], "big", Conversion("voltage_l1", "int32", 1e-6))
    Value(number=16.908547, dropped=False)
    """
    ordered = words if order == "big" else words[::-1]
    (raw,) = _NUMBER[conversion.type].unpack(_WORDS[len(ordered)].pack(*ordered))
    if raw in conversion.invalid:
        return Value(None)
    number = float(raw) * conversion.scale
    if not (math.isfinite(number) and conversion.minimum <= number <= conversion.maximum):
        return Value(None, dropped=True)
    number *= ratio
    if abs(number) > _LARGEST[conversion.quantity]:
        return Value(None, dropped=True)
    return Value(number)


def transformer_ratio(quantity: str, ct_ratio: float, pt_ratio: float) -> float:
    """What the meter's value must be multiplied with to stand for the primary side.

    Current goes with the CT, voltage with the PT, power and energy with both.

    >>> transformer_ratio("active_energy_import", 40, 10)
    400
    """
    unit = QUANTITIES[quantity].unit
    if unit == "A":
        return ct_ratio
    if unit == "V":
        return pt_ratio
    return ct_ratio * pt_ratio if unit.startswith("k") else 1
