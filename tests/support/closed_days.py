"""Closed days of a site without a collector: what meters counted, day by day, and what is forecast after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from collector.days.closing import Closing
from collector.days.day import QUARTERS, ClosedDay, SiteDay
from collector.days.suspicion import SuspicionSettings
from collector.engine.fleet import Fleet, Floats
from collector.forecast.forecasting import Forecasting, Told
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from collector.tariff.calendar import BLOCK_MS
from tests.support.engines import tariffs

Load = Callable[[date], Floats]
"""Local day → kWh by quarter of every meter, shape (meters, 96)."""

MONDAY = date(2026, 3, 2)
_OPEN = np.where((np.arange(QUARTERS) >= 36) & (np.arange(QUARTERS) < 84), 1.0, 0.2)


def shop(day: date, number: int = 0) -> Floats:
    """kWh of one quarter after the other of a shop: 9–21 h, less at weekends, every day a little different."""
    rng = np.random.default_rng([day.toordinal(), number])
    level = (0.6 if day.weekday() >= 5 else 1.0) * (1 + 0.05 * np.sin(day.toordinal()))
    return np.asarray(level * _OPEN * (1 + 0.1 * rng.standard_normal(QUARTERS)).clip(0.5, 1.5), np.float64)


class Site:
    """One site whose days are closed one after the other, each as it was counted."""

    def __init__(self, meters: Sequence[str] = ("m-1",), timezone: str = "Asia/Shanghai", **registry: Any) -> None:
        site = {"id": "park", "timezone": timezone} | registry.pop("site", {})
        meter = {"site": "park", "contract_kva": 30} | registry.pop("meter", {})
        settings = {"sites": [site], "meters": [{"id": name, **meter} for name in meters], **registry}
        self.registry = Registry(RegistrySettings.model_validate(settings), "test")
        self.fleet = Fleet(self.registry, tariffs())
        self.meters = tuple(sorted(meters))
        self.slots = tuple(self.fleet.slots("gw-1", self.meters).tolist())
        self.forecasting = Forecasting(self.fleet, Closing(self.registry, SuspicionSettings()).day_class)
        self.calendar = self.fleet.calendar_of_site("park")
        self.past: list[ClosedDay] = []

    def close(
        self, day: date, net: Floats, *, learns: bool = True, power_factor: float | None = 0.95, keep: bool = True
    ) -> Told:
        """Close a day of which this was counted."""
        local = self.calendar.day_on(day)
        number = len(self.meters)
        factor = np.full(number, np.nan if power_factor is None else power_factor)
        today = SiteDay(
            "park",
            day,
            local.first * BLOCK_MS,
            local.end * BLOCK_MS,
            self.meters,
            self.slots,
            net,
            np.full(net.shape, np.nan),
            ~np.isnan(net),
            factor,
        )
        kind = Closing(self.registry, SuspicionSettings()).day_class("park", day)
        closed_on = [self.registry.closed_on(meter, day) for meter in self.meters]
        unknown = np.full(number, np.nan, np.float32)
        closed = ClosedDay(
            day=day,
            kind=kind,
            meters=self.meters,
            net=net.astype(np.float32),
            learns=np.array([learns and not one for one in closed_on]),
            score=unknown,
            balance=unknown,
            log_ratio=unknown,
            oddness=unknown,
            odd_days=unknown,
            power_factor=factor.astype(np.float32),
        )
        told = self.forecasting.after(self.past, closed, today)
        if keep:
            self.past.append(told.closed)
        return told

    def live(self, days: int, load: Load | None = None, start: date = MONDAY) -> Told:
        """Close some days; what the last one told."""
        told = None
        for n in range(days):
            day = start + timedelta(days=n)
            told = self.close(day, self.usual(day) if load is None else load(day))
        assert told is not None
        return told

    def usual(self, day: date) -> Floats:
        """Every meter is a shop."""
        return np.stack([shop(day, n) for n in range(len(self.meters))])


def rows(told: Told, measurement: str) -> list[dict[str, float]]:
    """The rows of a forecast; columns without a value are left out."""
    found = []
    for table in told.tables:
        if table.measurement != measurement:
            continue
        for i, at in enumerate(table.at.tolist()):
            row = {"at": float(at), "slot": float(table.rows[i])}
            for column in table.columns:
                if column.valid is None or column.valid[i]:
                    row[column.name] = float(column.integers[i] / 10.0**column.decimals)
            found.append(row)
    return found
