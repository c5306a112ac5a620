"""The twelve octets of a COSEM date-time ↔ an aware instant in UTC, and what is known against it.

    year (2) month day weekday hour minute second hundredths deviation (2) status      Blue Book, "date-time"

The time is local. Deviation is in minutes and UTC = local + deviation, so China (+8 h) is -480; some meters count it
the other way round, which the meter's configuration says. Zero is a deviation like any other: a meter on UTC. 8000h
means that the meter does not say: then its configured time zone decides, and the daylight saving bit tells the two
runs of a repeated hour apart. A wildcard (FFh) in the time or a date that does not exist gives no instant and a flag:
never an exception, never "now".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from enum import IntFlag
from struct import Struct
from typing import Final, Literal, NamedTuple

from edge_agent.drivers.dlms.errors import Malformed

DeviationSign = Literal["utc_minus_local", "local_minus_utc"]

LENGTH: Final = 12
_FIELDS: Final = Struct(">HBBBBBBBhB")
_WILDCARD: Final = 0xFF
_NO_DEVIATION: Final = -0x8000
_LARGEST_DEVIATION: Final = 840  # minutes; there are zones 14 h ahead of UTC
_OLDEST_YEAR: Final = 1970
_STATUS_UNKNOWN: Final = 0xFF


class ClockFlag(IntFlag):
    """Status bits of the meter as the standard numbers them, and two findings of ours."""

    INVALID = 0x01  # the meter lost its time
    DOUBTFUL = 0x02  # it may have lost it
    OTHER_BASE = 0x04  # it runs on another clock base than usual
    INVALID_STATUS = 0x08
    DAYLIGHT_SAVING = 0x80
    NO_INSTANT = 0x100  # wildcards, or a date that does not exist
    ZONE_ASSUMED = 0x200  # the meter named no deviation; the configured zone was taken

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the instant."""
        return not self & (self.INVALID | self.DOUBTFUL | self.INVALID_STATUS | self.NO_INSTANT)


class CosemTime(NamedTuple):
    """What a meter's date-time says."""

    at: datetime | None  # aware, UTC
    flags: ClockFlag


def decode(octets: bytes, zone: tzinfo, sign: DeviationSign = "utc_minus_local") -> CosemTime:
    """Twelve octets → an instant and what is known against it.

    Args:
        octets: the date-time.
        zone: the meter's local time, for a meter that names no deviation.
        sign: how the meter counts its deviation.

    Raises:
        Malformed: these are not twelve octets.

    >>> decode(bytes.fromhex("07ea0302010c000000fe2000"), UTC)
    CosemTime(at=datetime.datetime(2026, 3, 2, 4, 0, tzinfo=datetime.timezone.utc), flags=<ClockFlag: 0>)
    """
    if len(octets) != LENGTH:
        raise Malformed(f"a date-time of {len(octets)} octets")
    year, month, day, _, hour, minute, second, hundredths, deviation, status = _FIELDS.unpack(octets)
    flags = ClockFlag(0 if status == _STATUS_UNKNOWN else status & 0x8F)
    microsecond = 0 if hundredths == _WILDCARD else hundredths * 10_000
    if year < _OLDEST_YEAR or _LARGEST_DEVIATION < abs(deviation) < -_NO_DEVIATION:
        return CosemTime(None, flags | ClockFlag.NO_INSTANT)
    try:
        local = datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001 - the zone follows
        if deviation == _NO_DEVIATION:
            flags |= ClockFlag.ZONE_ASSUMED
            return CosemTime(_in_zone(local, zone, flags), flags)
        minutes = deviation if sign == "utc_minus_local" else -deviation
        return CosemTime((local + timedelta(minutes=minutes)).replace(tzinfo=UTC), flags)
    except (ValueError, OverflowError):  # a date that does not exist, or year 9999 moved west
        return CosemTime(None, flags | ClockFlag.NO_INSTANT)


def encode(at: datetime, zone: tzinfo, sign: DeviationSign = "utc_minus_local", *, deviation: bool = True) -> bytes:
    """An aware instant → twelve octets in the meter's local time.

    Args:
        at: the instant, aware.
        zone: the meter's local time.
        sign: how the meter counts its deviation.
        deviation: whether to name it; a meter that names none wants none.

    Raises:
        ValueError: the instant is not aware.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    local = at.astimezone(zone)
    ahead = round((local.utcoffset() or timedelta(0)).total_seconds() / 60)
    minutes = -ahead if sign == "utc_minus_local" else ahead
    status = ClockFlag.DAYLIGHT_SAVING if local.dst() else ClockFlag(0)
    return _FIELDS.pack(
        local.year,
        local.month,
        local.day,
        local.isoweekday(),
        local.hour,
        local.minute,
        local.second,
        local.microsecond // 10_000,
        minutes if deviation else _NO_DEVIATION,
        status,
    )


def encode_like(octets: bytes, at: datetime, zone: tzinfo, sign: DeviationSign = "utc_minus_local") -> bytes:
    """An aware instant → twelve octets in the style in which a meter shows its time.

    A meter that names no deviation is told none, one that runs on UTC is told UTC; any other its configured local time.

    Args:
        octets: what the meter shows now.
        at: the instant, aware.
        zone: the meter's local time.
        sign: how the meter counts its deviation.

    Raises:
        Malformed: these are not twelve octets.

    >>> utc = bytes.fromhex("07ea0302010c000000000000")
    >>> from zoneinfo import ZoneInfo
    >>> encode_like(utc, datetime(2026, 3, 2, 12, 30, tzinfo=UTC), ZoneInfo("Asia/Shanghai")).hex()
    '07ea0302010c1e0000000000'
    """
    if len(octets) != LENGTH:
        raise Malformed(f"a date-time of {len(octets)} octets")
    deviation = _FIELDS.unpack(octets)[8]
    on_utc = deviation == 0 and octets[0] != _WILDCARD
    return encode(at, UTC if on_utc else zone, sign, deviation=deviation != _NO_DEVIATION)


def _in_zone(local: datetime, zone: tzinfo, flags: ClockFlag) -> datetime:
    """Of an hour that occurs twice, the first run has daylight saving."""
    fold = 0 if flags & ClockFlag.DAYLIGHT_SAVING else 1
    return local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
