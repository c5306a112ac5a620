"""One poll round: the readings of one rate group of one gateway at one aligned instant.

A round is a table, one row a meter (live) or one row an interval (backfill), one integer column a
quantity. It is one encoded message, one spool row, one MQTT message, one unit of acknowledgement and
one vector for the checks.

Columns stay the bytes that travel: little-endian integers of four or eight bytes in *byte planes*, the first byte of
every row, then the second of every row, and so on. Alike stands by alike, which takes a fifth off the compressed
size. The edge packs them from ``array`` without numpy, the collector turns whole columns with numpy. The smallest
integer of a column's width means "no value".

A ``Gap`` takes the place of rounds that the spool had to give up: it moves the sequence on and says what
was lost. Nothing is ever lost silently.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from typing import Final

from metering.quantity import QUANTITIES

NULL: Final = {4: -(2**31), 8: -(2**63)}
"""The integer that means "no value", by column width in bytes."""

LARGEST: Final = 10**15
"""No scaled value may be larger: it has to survive a float64 and sixteen decimal digits."""

_TYPECODE: Final = {4: "i", 8: "q"}


class Origin(StrEnum):
    """How the rows of a round came to be."""

    LIVE = "live"  # read from the meter at the scheduled instant
    BACKFILL = "backfill"  # read later from the meter's own load profile


class Quality(IntFlag):
    """What is known against one row. No bit set means that nothing is.

    The numbers are part of the wire contract: never reuse one.
    """

    NO_ANSWER = 1 << 0  # the meter did not answer; every value is null
    REFUSED = 1 << 1  # the meter answered with a protocol exception
    GARBLED = 1 << 2  # the answer could not be understood
    LINK_DOWN = 1 << 3  # the line or the TCP endpoint was down
    PARTIAL = 1 << 4  # some quantities of this row are missing
    CLOCK_UNSYNCHRONISED = 1 << 5  # the gateway did not know the time
    REGISTER_FELL = 1 << 6  # an energy register is lower than before
    REGISTER_JUMPED = 1 << 7  # a register rose by more than the meter's rating could carry
    REGISTER_ZERO = 1 << 8  # a register that was not zero read zero
    OUT_OF_RANGE = 1 << 9  # a value lies outside what its profile allows and was dropped
    SUSPENDED = 1 << 10  # not asked: the meter is being left alone after repeated failures
    REGISTER_STUCK = 1 << 11  # an energy register stands still while power flows
    OVERRUN = 1 << 12  # not asked: the line had no time left for it in this period
    METER_CLOCK_OFF = 1 << 13  # the meter's own clock is off by more than the limit: its stamps, its tariffs
    CLOCK_BEHIND = 1 << 14  # the gateway's clock showed a time that had been before: the time of this row is wrong


FAILED: Final = (
    Quality.NO_ANSWER | Quality.REFUSED | Quality.GARBLED | Quality.LINK_DOWN | Quality.SUSPENDED | Quality.OVERRUN
)
"""Any of these: the row carries no values."""

REGISTER_DOUBTED: Final = Quality.REGISTER_FELL | Quality.REGISTER_JUMPED | Quality.REGISTER_ZERO
"""Any of these: the energy registers of the row must not reach a bill."""


@dataclass(frozen=True, slots=True)
class Column:
    """One quantity of a round: value = integer / 10**decimals, in the unit of the quantity."""

    quantity: str
    decimals: int
    data: bytes  # rows × int32 or rows × int64, in byte planes

    @classmethod
    def of(cls, quantity: str, values: Iterable[float | None]) -> Column:
        """Scale values to the resolution of the quantity; ``None`` becomes the null integer.

        Raises:
            KeyError: the quantity is unknown.
            ValueError: a value is not finite or too large to carry.
        """
        decimals = QUANTITIES[quantity].decimals
        scale = 10**decimals
        scaled: list[int | None] = []
        for value in values:
            if value is None:
                scaled.append(None)
                continue
            try:
                number = round(value * scale)
            except (OverflowError, ValueError) as error:
                raise ValueError(f"{quantity}: {value} is not a finite number") from error
            if abs(number) > LARGEST:
                raise ValueError(f"{quantity}: {value} is too large to carry")
            scaled.append(number)
        return cls.of_integers(quantity, decimals, scaled)

    @classmethod
    def of_integers(cls, quantity: str, decimals: int, values: Sequence[int | None]) -> Column:
        """Pack integers that are scaled already into the narrowest width that holds them."""
        width = 4 if all(value is None or NULL[4] < value < -NULL[4] for value in values) else 8
        null = NULL[width]
        return cls(quantity, decimals, pack((null if v is None else v for v in values), _TYPECODE[width]))

    def integers(self, rows: int) -> list[int | None]:
        """The scaled integers, ``None`` where there is no value."""
        width = len(self.data) // rows if rows else 4
        null = NULL[width]
        return [None if value == null else value for value in unpack(self.data, _TYPECODE[width])]

    def values(self, rows: int) -> list[float | None]:
        """The values in the unit of the quantity, ``None`` where there is none."""
        scale = 10**self.decimals
        return [None if value is None else value / scale for value in self.integers(rows)]


@dataclass(frozen=True, slots=True)
class Round:
    """A table of readings, one row per entry of ``meters``."""

    gateway: str
    group: str  # rate group
    origin: Origin
    period_ms: int
    scheduled_at: int  # the aligned instant, ms since 1970 UTC
    meters: tuple[str, ...]  # unique in a live round; repeated in a backfill round
    measured_at: bytes  # rows × int64 in byte planes: when the row was read, ms since 1970 UTC
    quality: bytes  # rows × uint32 in byte planes: Quality bits
    columns: tuple[Column, ...]

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return len(self.meters)

    @property
    def readings(self) -> int:
        """How many rows carry values: those no failure bit is set on."""
        return sum(not bits & FAILED for bits in unpack(self.quality, "I"))


@dataclass(frozen=True, slots=True)
class Gap:
    """The spool gave up the messages ``first`` … ``last``; ``rows`` rows are gone."""

    gateway: str
    first: int
    last: int
    rows: int
    reason: str  # "evicted" (spool full) or "corrupt" (its bytes had changed on disk)


def pack(values: Iterable[int], typecode: str) -> bytes:
    """Integers → byte planes, lowest byte first; ``typecode`` as in ``array`` (i, q or I)."""
    packed = array(typecode, values)
    if sys.byteorder == "big":
        packed.byteswap()
    data, width = packed.tobytes(), packed.itemsize
    return b"".join([data[k::width] for k in range(width)])


def unpack(planes: bytes, typecode: str) -> array[int]:
    """Byte planes → integers.

    Raises:
        ValueError: the length is no multiple of the width.
    """
    unpacked: array[int] = array(typecode)
    width = unpacked.itemsize
    rows, rest = divmod(len(planes), width)
    if rest:
        raise ValueError(f"{len(planes)} bytes are no whole number of integers of {width} bytes")
    data = bytearray(len(planes))
    for k in range(width):
        data[k::width] = planes[k * rows : (k + 1) * rows]
    unpacked.frombytes(data)
    if sys.byteorder == "big":
        unpacked.byteswap()
    return unpacked
