"""Instants → local days and periods, by 15-minute blocks counted from 1970 UTC.

Offsets from UTC are whole quarters of an hour in every zone of today, so a block never straddles a local day
or a period. A local day has 92, 96 or 100 blocks where clocks are changed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from collector.registry.records import Site
from collector.tariff.periods import MINUTES_PER_BLOCK, Period, Tariff
from collector.tariff.trade_window import TRADE_QUARTERS

BLOCK_MS: Final = MINUTES_PER_BLOCK * 60_000

_DAYS_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class LocalDay:
    """One local day: blocks ``first`` … ``end - 1``, and what holds for each."""

    date: date
    first: int
    end: int
    quarters: npt.NDArray[np.intp]  # 0…95: where the local clock stands
    periods: npt.NDArray[np.uint8]
    night: npt.NDArray[np.bool_]
    at_work: npt.NDArray[np.bool_]  # one row a trade of ``TRADES``: the trade's own window


@dataclass(frozen=True, slots=True)
class LocalMonth:
    """One billing month: blocks ``first`` … ``end - 1``; ``date`` is its first day."""

    date: date
    first: int
    end: int


def block_of(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The block of each instant (ms); exact for every instant of this millennium, and faster than ``floor_divide``."""
    found: npt.NDArray[np.float64] = np.floor(at / BLOCK_MS)
    return found


class Calendar:
    """The local days of one site under its tariff."""

    def __init__(
        self, zone: ZoneInfo, tariff: Tariff, holidays: frozenset[date] = frozenset(), billing_day: int = 1
    ) -> None:
        """Compute days as they are asked for; remember some. A billing month starts on ``billing_day`` (1…28)."""
        self.zone = zone
        self._billing_day = billing_day
        self._tariff = tariff
        self._holidays = holidays
        self._days: OrderedDict[date, LocalDay] = OrderedDict()

    def day_of(self, block: int) -> LocalDay:
        """The local day a block lies in."""
        moment = datetime.fromtimestamp(block * BLOCK_MS / 1000, self.zone)
        day = moment.date()
        known = self._days.get(day)
        if known is None:
            known = self._days[day] = self._compute(day)
            if len(self._days) > _DAYS_REMEMBERED:
                self._days.popitem(last=False)
        return known

    def day_on(self, day: date) -> LocalDay:
        """The local day of a date."""
        return self.day_of(self._midnight(day))

    def month_of(self, block: int) -> LocalMonth:
        """The billing month a block lies in."""
        day = datetime.fromtimestamp(block * BLOCK_MS / 1000, self.zone).date()
        if day.day < self._billing_day:
            day = day.replace(day=1) - timedelta(days=1)
        first = day.replace(day=self._billing_day)
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=self._billing_day)
        return LocalMonth(first, self._midnight(first), self._midnight(following))

    def _compute(self, day: date) -> LocalDay:
        first, end = self._midnight(day), self._midnight(day + timedelta(days=1))
        quarters = np.empty(end - first, np.intp)
        for i in range(end - first):
            local = datetime.fromtimestamp((first + i) * BLOCK_MS / 1000, self.zone)
            quarters[i] = (local.hour * 60 + local.minute) // MINUTES_PER_BLOCK
        periods = np.array(self._tariff.day(day, self._holidays), np.uint8)[quarters]
        night = self._tariff.night(day)
        return LocalDay(
            day,
            first,
            end,
            quarters,
            periods,
            periods == Period.VALLEY if night is None else np.array(night)[quarters],
            TRADE_QUARTERS[:, quarters],
        )

    def _midnight(self, day: date) -> int:
        moment = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return round(moment.timestamp() * 1000) // BLOCK_MS


def site_calendar(site: Site, tariff: Tariff) -> Calendar:
    """The calendar of a site."""
    return Calendar(ZoneInfo(site.timezone), tariff, frozenset(site.holidays), site.billing_day)


FLAT_ONLY: Final = Tariff.model_validate(
    {
        "id": "flat",
        "illustrative": True,
        "source": "no tariff: every quarter of an hour is flat",
        "versions": [{"valid_from": "1970-01-01", "schedules": [{"windows": {}}]}],
    }
)
"""What holds for a meter that is not registered."""

PERIOD_NAMES: Final = {Period.SHARP: "sharp", Period.PEAK: "peak", Period.FLAT: "flat", Period.VALLEY: "valley"}

NO_SITE: Final = Calendar(ZoneInfo("UTC"), FLAT_ONLY)
"""The calendar of meters that are not registered."""
