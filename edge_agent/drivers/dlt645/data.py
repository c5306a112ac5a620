"""What stands behind a data identifier of DL/T 645-2007 (appendix A): packed decimal digits → values in our units.

An identifier is DI3 DI2 DI1 DI0, eight hexadecimal digits. DI1 counts within a series: phases, or the total (00) and
its tariffs (01 尖, 02 峰, 03 平, 04 谷 by custom). FF there asks for the whole series as one block, in this order.

The highest bit of a series that may be negative is its sign. FF throughout means that there is no value; a digit that
is none, or a value that ends in the middle, is dropped and never bent.

The table holds what has a quantity of ours. Units of the standard are ours: V, A, kW, kvar, kVA, kWh, kvarh, Hz.
组合无功 (0003, 0004) is left out: which quadrants it adds up is set in the meter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

BLOCK: Final = "FF"

TARIFFS: Final = 4

_SIGN: Final = 0x80


@dataclass(frozen=True, slots=True)
class Series:
    """Identifiers that differ in DI1 alone."""

    di3_di2: str
    unit: str
    octets: int  # of one value, its time of occurrence not counted
    decimals: int
    first: int  # DI1 of the first value of a block
    last: int
    signed: bool = False
    di0: str = "00"
    time_octets: int = 0  # of the time of occurrence, which follows the value
    has_block: bool = True

    @property
    def width(self) -> int:
        """Octets of one value in an answer."""
        return self.octets + self.time_octets

    def identifier(self, di1: int) -> str:
        """One identifier of the series."""
        return f"{self.di3_di2}{di1:02X}{self.di0}"


_SERIES: Final = (
    Series("0000", "kWh", 4, 2, 0, TARIFFS, signed=True),  # 组合有功, combined
    Series("0001", "kWh", 4, 2, 0, TARIFFS),  # 正向有功, import
    Series("0002", "kWh", 4, 2, 0, TARIFFS),  # 反向有功, export
    Series("0005", "kvarh", 4, 2, 0, TARIFFS),  # 第一象限无功, first quadrant
    Series("0006", "kvarh", 4, 2, 0, TARIFFS),
    Series("0007", "kvarh", 4, 2, 0, TARIFFS),
    Series("0008", "kvarh", 4, 2, 0, TARIFFS),
    Series("0009", "kVAh", 4, 2, 0, TARIFFS),  # 正向视在, import
    Series("0101", "kW", 3, 4, 0, TARIFFS, time_octets=5),  # 正向有功最大需量及发生时间
    Series("0201", "V", 2, 1, 1, 3),
    Series("0202", "A", 3, 3, 1, 3, signed=True),
    Series("0203", "kW", 3, 4, 0, 3, signed=True),
    Series("0204", "kvar", 3, 4, 0, 3, signed=True),
    Series("0205", "kVA", 3, 4, 0, 3, signed=True),
    Series("0206", "", 2, 3, 0, 3, signed=True),  # 功率因数
    Series("0280", "A", 3, 3, 0, 0, signed=True, di0="01", has_block=False),  # 零线电流
    Series("0280", "Hz", 2, 2, 0, 0, di0="02", has_block=False),  # 电网频率
    Series("0280", "kW", 3, 4, 0, 0, signed=True, di0="04", has_block=False),  # 当前有功需量
)

_OF_VALUE: Final = {one.identifier(di1): one for one in _SERIES for di1 in range(one.first, one.last + 1)}
_OF_BLOCK: Final = {f"{one.di3_di2}{BLOCK}{one.di0}": one for one in _SERIES if one.has_block}


class Value(NamedTuple):
    """One decoded value; ``dropped`` says that there were octets and that they cannot be true."""

    number: float | None
    dropped: bool = False


def series_of(identifier: str) -> Series | None:
    """The series of one value, ``None`` if the table has none."""
    return _OF_VALUE.get(identifier)


def series_of_block(identifier: str) -> Series | None:
    """The series that a block asks for, ``None`` if the table has none."""
    return _OF_BLOCK.get(identifier)


def values_in_block(identifier: str) -> tuple[str, ...]:
    """The identifiers of the values of a block, in the order in which they stand there."""
    series = _OF_BLOCK[identifier]
    return tuple(series.identifier(di1) for di1 in range(series.first, series.last + 1))


def expected_octets(identifier: str) -> int:
    """Octets of data, identifier not counted, that an answer will probably have."""
    if (series := series_of_block(identifier)) is not None:
        return series.width * (series.last - series.first + 1)
    return _OF_VALUE[identifier].width


def taken_apart(identifier: str, data: bytes) -> dict[str, bytes] | None:
    """Data of an answer → the octets of each value by its identifier; ``None`` if they are no whole values.

    A block has as many values as the meter has phases or tariffs; those beyond the table's are left out.
    """
    series = series_of_block(identifier)
    if series is None:
        return {identifier: data} if len(data) == _OF_VALUE[identifier].width else None
    if not data or len(data) % series.width:
        return None
    found = [data[at : at + series.width] for at in range(0, len(data), series.width)]
    return dict(zip(values_in_block(identifier), found, strict=False))


def decode(identifier: str, octets: bytes) -> Value:
    """The octets of one value → the value, in the unit of its series.

    >>> decode("02010100", bytes.fromhex("0622"))
    Value(number=220.6, dropped=False)
    """
    series = _OF_VALUE[identifier]
    raw = octets[series.octets - 1 :: -1] if len(octets) >= series.octets else b""
    if raw == b"\xff" * series.octets:
        return Value(None)
    negative = series.signed and bool(raw) and bool(raw[0] & _SIGN)
    if negative:
        raw = bytes((raw[0] & ~_SIGN, *raw[1:]))
    digits = digits_of(raw)
    if digits is None:
        return Value(None, dropped=True)
    number = int(digits) / 10**series.decimals
    return Value(-number if negative else number)


def digits_of(packed: bytes) -> str | None:
    """Packed decimal digits as text; ``None`` if one of them is none, or there are none."""
    text = packed.hex()
    return text if text.isdecimal() else None
