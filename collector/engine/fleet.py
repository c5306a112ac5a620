"""Every meter has one slot, for ever: its place in all state matrices and in the series of every table.

A slot is given at the first reading of a meter. Ratings, contract and calendar of a slot come from the
registry; what is unknown is NaN, and a comparison with NaN is false, so that no rule judges it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from collector.registry.approvals import Approvals
from collector.registry.records import Meter
from collector.registry.registry import Registry, milliseconds
from collector.store.table import Rows, Series
from collector.tariff.calendar import NO_SITE, Calendar, site_calendar
from collector.tariff.periods import Tariff
from collector.tariff.trade_window import NO_WINDOW, TRADES

Floats = npt.NDArray[np.float64]

LIMIT_FIELDS = ("phases", "nominal_voltage_v", "base_current_a", "maximum_current_a", "contract_kva", "pv_kw")

_TUPLES_REMEMBERED = 8192


class Approved:
    """One approved window of temporary capacity."""

    __slots__ = ("ends_at", "kva", "starts_at")

    def __init__(self, starts_at: int, ends_at: int, kva: float) -> None:
        self.starts_at = starts_at
        self.ends_at = ends_at
        self.kva = kva


class Fleet:
    """All slots, and what the registry says about them."""

    def __init__(self, registry: Registry, tariffs: Mapping[str, Tariff], approvals: Approvals | None = None) -> None:
        """No slot yet; without ``approvals``, those of the registry count.

        Raises:
            KeyError: a site refers to a tariff that is not in ``tariffs``.
        """
        self.series: list[Series] = []
        self.calendars: list[Calendar] = [NO_SITE]
        self.registry = registry
        self.approvals: dict[int, list[Approved]] = {}
        self._approved = Approvals(registry) if approvals is None else approvals
        self._calendar_of_site: dict[str, int] = {}
        for site in registry.sites.values():
            self._calendar_of_site[site.id] = len(self.calendars)
            self.calendars.append(site_calendar(site, tariffs[site.tariff]))
        self.shared: list[str] = []  # meters that several gateways report: a name was given twice
        self._slots: dict[Series, int] = {}
        self._gateway_of: dict[str, str] = {}
        self._by_gateway: dict[str, list[int]] = {}
        self._by_tuple: dict[tuple[str, tuple[str, ...]], Rows] = {}
        self._limits: Floats = np.full((len(LIMIT_FIELDS), 64), np.nan)
        self._calendar_index: Rows = np.zeros(64, np.intp)
        self._trade_index: Rows = np.full(64, NO_WINDOW, np.intp)
        self._has_approval: npt.NDArray[np.bool_] = np.zeros(64, np.bool_)

    def __len__(self) -> int:
        return len(self.series)

    def slots(self, gateway: str, meters: tuple[str, ...]) -> Rows:
        """The slot of each meter of a round, new ones included."""
        key = (gateway, meters)
        known = self._by_tuple.get(key)
        if known is None:
            if len(self._by_tuple) >= _TUPLES_REMEMBERED:
                self._by_tuple.clear()
            known = np.array([self._slot(Series(gateway, meter)) for meter in meters], np.intp)
            self._by_tuple[key] = known
        return known

    def of_gateway(self, gateway: str) -> Rows:
        """All slots of a gateway, in the order they were given."""
        return np.array(self._by_gateway.get(gateway, []), np.intp)

    def gateway_of(self, meter: str) -> str:
        """The gateway that reported a meter first.

        Raises:
            KeyError: no reading of it was ever seen.
        """
        return self._gateway_of[meter]

    def meters_of(self, gateway: str) -> tuple[str, ...]:
        """The meters of a gateway, in the order of ``of_gateway``."""
        return tuple(self.series[slot].meter for slot in self._by_gateway.get(gateway, []))

    def meter(self, slot: int) -> Meter | None:
        """What the registry says about a slot."""
        return self.registry.meters.get(self.series[slot].meter)

    def limits(self, field: str, slots: Rows | slice) -> Floats:
        """One rating for each slot, NaN where it is unknown; not to be changed."""
        found: Floats = self._limits[LIMIT_FIELDS.index(field), slots]
        return found

    def calendar_of(self, meter: str) -> Calendar:
        """The calendar of a meter; UTC without a tariff if it is not registered."""
        site = self.registry.site_of(meter)
        return self.calendars[self._calendar_of_site[site.id] if site else 0]

    def calendar_index(self, slots: Rows) -> Rows:
        """Index into ``calendars`` for each slot."""
        return self._calendar_index[slots]

    def trade_index(self, slots: Rows) -> Rows:
        """Index into ``TRADES`` for each slot."""
        return self._trade_index[slots]

    def site_of_calendar(self, index: int) -> str | None:
        """The site whose calendar this is; ``None`` for that of meters which are not registered."""
        return list(self._calendar_of_site)[index - 1] if index else None

    def calendar_of_site(self, site: str) -> Calendar:
        """The local days of a site."""
        return self.calendars[self._calendar_of_site[site]]

    def has_approval(self, slots: Rows) -> npt.NDArray[np.bool_]:
        """Which slots have any approved window."""
        return self._has_approval[slots]

    def approve(self, meter: str) -> None:
        """Take up the approvals of a meter as they stand now; they hold for blocks that are judged from now on."""
        for series, slot in self._slots.items():
            if series.meter == meter:
                self._approve(slot)

    def _approve(self, slot: int) -> None:
        windows = [
            Approved(milliseconds(one.starts_at), milliseconds(one.ends_at), one.kva)
            for one in self._approved.of(self.series[slot].meter)
            if one.status == "approved"
        ]
        self.approvals[slot] = windows
        self._has_approval[slot] = bool(windows)

    def _slot(self, series: Series) -> int:
        known = self._slots.get(series)
        if known is not None:
            return known
        slot = self._slots[series] = len(self.series)
        self.series.append(series)
        self._by_gateway.setdefault(series.gateway, []).append(slot)
        if self._gateway_of.setdefault(series.meter, series.gateway) != series.gateway:
            self.shared.append(series.meter)
        if slot >= self._limits.shape[1]:
            self._grow()
        meter = self.registry.meters.get(series.meter)
        if meter is not None:
            for i, field in enumerate(LIMIT_FIELDS):
                value = getattr(meter, field)
                self._limits[i, slot] = np.nan if value is None else value
            self._calendar_index[slot] = self._calendar_of_site[meter.site]
            self._trade_index[slot] = TRADES.index(meter.trade)
            self._approve(slot)
        return slot

    def _grow(self) -> None:
        capacity = self._limits.shape[1]
        self._limits = np.hstack([self._limits, np.full((len(LIMIT_FIELDS), capacity), np.nan)])
        self._calendar_index = np.concatenate([self._calendar_index, np.zeros(capacity, np.intp)])
        self._trade_index = np.concatenate([self._trade_index, np.full(capacity, NO_WINDOW, np.intp)])
        self._has_approval = np.concatenate([self._has_approval, np.zeros(capacity, np.bool_)])
