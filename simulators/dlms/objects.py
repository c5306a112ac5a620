"""The COSEM objects a meter offers, by class and logical name (Blue Book): attribute number and instant → data.

1   data               2 value
3   register           2 value, 3 scaler and unit
7   profile generic    2 buffer, 3 capture objects, 4 capture period (s), 7 entries in use, 8 entries
8   clock              2 time, 3 time zone, 4 status
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from io import BytesIO
from typing import Any, Final, Literal, Protocol, runtime_checkable

from simulators.dlms.data import NOTHING, Data, array, logical_name, read, structure

Deviation = Literal["standard", "zero", "unspecified", "inverted"]

TEMPORARY_FAILURE: Final = 2
READ_WRITE_DENIED: Final = 3
OBJECT_UNDEFINED: Final = 4
TYPE_UNMATCHED: Final = 12

_NO_DEVIATION: Final = -0x8000
_STAMP_OCTETS: Final = 12


class Denied(Exception):  # noqa: N818
    """The object gives no data; the code is a data-access-result."""

    def __init__(self, code: int) -> None:
        """Remember the code."""
        super().__init__(code)
        self.code = code


class CosemObject(Protocol):
    """What every object can do."""

    @property
    def class_id(self) -> int:
        """Which class of the Blue Book."""
        ...

    @property
    def name(self) -> bytes:
        """Logical name, six octets."""
        ...

    def get(self, attribute: int, at_ms: int, selection: tuple[int, Data] | None) -> Data:
        """The attribute at an instant (ms since 1970 UTC), or the selected part of it; raises ``Denied``."""
        ...


@runtime_checkable
class Settable(Protocol):
    """What a client with rights may change."""

    def set(self, attribute: int, value: Data, at_ms: int) -> None:
        """Take a value at an instant (ms since 1970 UTC); raises ``Denied``."""
        ...


@dataclass(frozen=True)
class Plain:
    """Class 1: a value."""

    name: bytes
    value: Callable[[int], Data]
    class_id: int = 1

    def get(self, attribute: int, at_ms: int, selection: tuple[int, Data] | None) -> Data:
        """The value."""
        del selection
        return _attribute(attribute, {1: lambda: ("octet-string", self.name), 2: lambda: self.value(at_ms)})


@dataclass(frozen=True)
class Register:
    """Class 3: a value with scaler and unit."""

    name: bytes
    value: Callable[[int], Data]
    scaler: int
    unit: int
    class_id: int = 3

    def get(self, attribute: int, at_ms: int, selection: tuple[int, Data] | None) -> Data:
        """The value, or how to read it."""
        del selection
        return _attribute(
            attribute,
            {
                1: lambda: ("octet-string", self.name),
                2: lambda: self.value(at_ms),
                3: lambda: structure(("integer", self.scaler), ("enum", self.unit)),
            },
        )


@dataclass
class MeterClock:
    """Class 8: the meter's own clock, which may be wrong and may say its zone in four ways."""

    zone: tzinfo
    deviation: Deviation = "standard"
    offset_s: float = 0.0  # how far it is ahead
    status: int = 0
    unset: bool = False  # it lost its time
    name: bytes = logical_name("0-0:1.0.0")
    class_id: int = 8

    def stamp(self, at_ms: int) -> bytes:
        """An instant as this meter writes it, without its own error."""
        if self.unset:
            return b"\xff" * 12
        local = datetime.fromtimestamp(at_ms / 1000, self.zone)
        ahead = int((local.utcoffset() or timedelta()).total_seconds()) // 60
        if self.deviation == "zero":
            local, ahead = local.astimezone(timezone.utc), 0  # noqa: UP017 - a meter on UTC
        field = {"standard": -ahead, "zero": 0, "inverted": ahead, "unspecified": _NO_DEVIATION}[self.deviation]
        status = self.status | (0x80 if local.dst() else 0)
        date = local.year.to_bytes(2, "big") + bytes([local.month, local.day, local.isoweekday()])
        time = bytes([local.hour, local.minute, local.second, local.microsecond // 10_000])
        return date + time + field.to_bytes(2, "big", signed=True) + bytes([status])

    def instant_ms(self, stamp: bytes) -> int:
        """What a client means by twelve octets; a year left open is long ago."""
        year = int.from_bytes(stamp[:2], "big")
        if year == 0xFFFF:  # noqa: PLR2004
            return 0
        field = int.from_bytes(stamp[9:11], "big", signed=True)
        hour, minute, second = (0 if part == 0xFF else part for part in stamp[5:8])  # noqa: PLR2004
        local = datetime(year, stamp[2], stamp[3], hour, minute, second)  # noqa: DTZ001
        if field == _NO_DEVIATION:
            return int(local.replace(tzinfo=self.zone).timestamp() * 1000)
        ahead = field if self.deviation == "inverted" else -field
        return int(local.replace(tzinfo=timezone(timedelta(minutes=ahead))).timestamp() * 1000)

    def set(self, attribute: int, value: Data, at_ms: int) -> None:
        """Take the time that a client means."""
        kind, stamp = value
        if attribute != 2:  # noqa: PLR2004
            raise Denied(READ_WRITE_DENIED)
        if kind != "octet-string" or len(stamp) != _STAMP_OCTETS:
            raise Denied(TYPE_UNMATCHED)
        self.offset_s, self.unset = (self.instant_ms(stamp) - at_ms) / 1000, False

    def get(self, attribute: int, at_ms: int, selection: tuple[int, Data] | None) -> Data:
        """The time, shown with the clock's own error."""
        del selection
        ahead = int((datetime.fromtimestamp(at_ms / 1000, self.zone).utcoffset() or timedelta()).total_seconds()) // 60
        return _attribute(
            attribute,
            {
                1: lambda: ("octet-string", self.name),
                2: lambda: ("octet-string", self.stamp(at_ms + int(self.offset_s * 1000))),
                3: lambda: ("long", -ahead),
                4: lambda: ("unsigned", self.status),
            },
        )


@dataclass(frozen=True)
class Column:
    """What a profile captures: an attribute of an object, and how its value looks in a row."""

    class_id: int
    name: bytes
    attribute: int
    value: Callable[[int], Data]

    @property
    def definition(self) -> Data:
        """As attribute 3 lists it."""
        return structure(
            ("long-unsigned", self.class_id),
            ("octet-string", self.name),
            ("integer", self.attribute),
            ("long-unsigned", 0),
        )


class Profile:
    """Class 7: rows of captured values, oldest first, found by time or by number."""

    class_id = 7

    def __init__(
        self,
        name: bytes,
        clock: MeterClock,
        columns: Sequence[Column],
        instants: Callable[[int], Sequence[int]],
        period_s: int,
        *,
        compressed: bool = False,
    ) -> None:
        """Take what a row is made of.

        Args:
            name: logical name.
            clock: writes the time of a row.
            columns: after the time.
            instants: the instants of the rows there are at a given one, ms.
            period_s: of capture; 0 for a log of events.
            compressed: whether only the first row of an answer shows its time.
        """
        self.name = name
        self._clock = clock
        self._columns = columns
        self._instants = instants
        self._period_s = period_s
        self._compressed = compressed

    def get(self, attribute: int, at_ms: int, selection: tuple[int, Data] | None) -> Data:
        """The buffer, whole or in part, or what it is made of."""
        time = Column(8, self._clock.name, 2, lambda at: ("octet-string", self._clock.stamp(at)))
        instants = self._instants(at_ms)
        return _attribute(
            attribute,
            {
                1: lambda: ("octet-string", self.name),
                2: lambda: array(self._rows(self._selected(instants, selection))),
                3: lambda: array([column.definition for column in (time, *self._columns)]),
                4: lambda: ("double-long-unsigned", self._period_s),
                7: lambda: ("double-long-unsigned", len(instants)),
                8: lambda: ("double-long-unsigned", max(len(instants), 1)),
            },
        )

    def _rows(self, instants: Sequence[int]) -> list[Data]:
        rows = []
        for number, at in enumerate(instants):
            stamp: Data = NOTHING if self._compressed and number else ("octet-string", self._clock.stamp(at))
            rows.append(structure(stamp, *(column.value(at) for column in self._columns)))
        return rows

    def _selected(self, instants: Sequence[int], selection: tuple[int, Data] | None) -> Sequence[int]:
        if selection is None:
            return instants
        selector, (kind, found) = selection
        values: list[Any] = [value for _, value in found] if kind == "structure" else []
        if selector == 1 and len(values) == 4:  # noqa: PLR2004
            first, last = (self._clock.instant_ms(_moment(value)) for value in values[1:3])
            return [at for at in instants if first <= at <= last]
        if selector == 2 and len(values) == 4:  # noqa: PLR2004
            return instants[max(values[0], 1) - 1 : values[1] or None]
        raise Denied(TYPE_UNMATCHED)


def _moment(value: bytes) -> bytes:
    """A bound of a range: plain octets, or a date-time inside an octet string as some clients send it."""
    if len(value) != 12:  # noqa: PLR2004
        found = read(BytesIO(value))[1]
        if not isinstance(found, bytes):
            raise Denied(TYPE_UNMATCHED)
        return found
    return value


def _attribute(number: int, known: dict[int, Callable[[], Data]]) -> Data:
    if number not in known:
        raise Denied(READ_WRITE_DENIED)
    return known[number]()
