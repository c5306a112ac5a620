"""The span of time that a person asks about, in the zone of the (first) site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from collector.config import Configuration
from metering.errors import StopAndFix

_FOREVER_MS: Final = 9_000_000_000_000


def span_of(configuration: Configuration, since: str | None, until: str | None) -> tuple[int, int]:
    """Instants in ms, the second one not included; a day means its midnight.

    Raises:
        StopAndFix: what was written is neither an instant nor a day.
    """
    zone = zone_of(configuration)
    return _instant(since, zone, 0), _instant(until, zone, _FOREVER_MS)


def zone_of(configuration: Configuration) -> ZoneInfo:
    """The zone of the (first) site."""
    site = next(iter(configuration.registry.sites.values()), None)
    return ZoneInfo(site.timezone if site else "UTC")


def _instant(text: str | None, zone: ZoneInfo, default: int) -> int:
    if text is None:
        return default
    if text in ("today", "yesterday"):
        today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        return _ms(today - timedelta(days=text == "yesterday"))
    try:
        moment = datetime.fromisoformat(text)
        return _ms(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):  # the latter near the ends of the calendar
        raise StopAndFix(f"{text!r} is no instant → write 2026-06-18 or 2026-06-18T08:00+08:00") from None


def _ms(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)
