"""Times as a DL/T 645 meter keeps them: two-digit years and local time without a zone.

A time that is empty (FF or 00 throughout), has a digit that is none, or is no day of the calendar is no time: it is
left out and never guessed. Years are those of this century.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from edge_agent.drivers.dlt645.data import digits_of

_DATE_AND_WEEKDAY = 4
_TIME = 3


def to_the_second(octets: bytes, zone: ZoneInfo) -> int | None:
    """YYMMDDhhmmss, low octet first → ms since 1970 UTC."""
    return _instant(octets, "%y%m%d%H%M%S", zone)


def to_the_minute(octets: bytes, zone: ZoneInfo) -> int | None:
    """YYMMDDhhmm, low octet first → ms since 1970 UTC."""
    return _instant(octets, "%y%m%d%H%M", zone)


def clock_of(date: bytes, time: bytes, zone: ZoneInfo) -> int | None:
    """YYMMDDWW and hhmmss, each low octet first → ms since 1970 UTC; the weekday is not looked at."""
    if (len(date), len(time)) != (_DATE_AND_WEEKDAY, _TIME):
        return None
    return _instant(time + date[1:], "%y%m%d%H%M%S", zone)


def _instant(octets: bytes, layout: str, zone: ZoneInfo) -> int | None:
    digits = digits_of(octets[::-1])
    if digits is None or len(digits) != layout.count("%") * 2:
        return None
    try:
        local = datetime.strptime(f"20{digits}", layout.replace("%y", "%Y")).replace(tzinfo=zone)
    except ValueError:
        return None
    return int(local.timestamp() * 1000)
