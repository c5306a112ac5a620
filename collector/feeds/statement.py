"""Statements: which row of a month is in force, what a running month comes to, and when a statement is revised.

A month that is over is stated by its row in the store. A running month is the sum of its days, the one under way
included, exactly as the engine adds them up. A replay with late readings states days and months anew; what differs
from the last statement is its next revision, and what does not differ is left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from collector.feeds.pricing import DayDeterminants, MonthDeterminants, day_determinants, month_determinants, tenths
from collector.registry.records import Approval
from collector.registry.registry import Registry, milliseconds
from collector.store.store import EnergyDayRow, EnergyMonthRow
from collector.store.table import DECIMALS, ENERGY_DAY_COLUMNS, Series, Table, scaled
from collector.tariff.calendar import BLOCK_MS, NO_SITE, Calendar, LocalMonth, site_calendar
from collector.tariff.periods import Tariff

_SUMS: Final = ("sharp", "peak", "flat", "valley", "total", "estimated", "night", "own_window", "export", "kvarh")
_COUNTS: Final = ("readings", "failures")
_PEAKS: Final = ("maximum_demand", "sliding_demand", "peak_kva")
_NO_CONTENT: Final = {*_COUNTS, "revision"}  # how a statement came about, not what it says

Values = Mapping[str, float]


class Statements:
    """Rows of the store as determinants."""

    def __init__(self, registry: Registry, tariffs: Mapping[str, Tariff]) -> None:
        """Read rows with the knowledge of this registry.

        Raises:
            KeyError: a site refers to a tariff that is not in ``tariffs``.
        """
        self._registry = registry
        self._calendars = {site.id: site_calendar(site, tariffs[site.tariff]) for site in registry.sites.values()}

    def days(self, rows: Iterable[EnergyDayRow]) -> Iterator[DayDeterminants]:
        """Days, as they are stored."""
        for row in rows:
            day = self._calendar(row.meter).day_of(row.day_start // BLOCK_MS).date
            known = self._registry.meters.get(row.meter)
            yield day_determinants(row.gateway, row.meter, day, row.values, known, self._timezone(row.meter))

    def months(
        self,
        days: Iterable[EnergyDayRow],
        months: Iterable[EnergyMonthRow],
        approvals: Mapping[str, Sequence[Approval]],
        since: int,
        until: int,
    ) -> Iterator[MonthDeterminants]:
        """Months that start in ``since`` ≤ t < ``until`` (ms): those that are over from their rows, others from days.

        Args:
            days: all days of every month in question; others do no harm.
            months: rows of months.
            approvals: temporary capacity by meter.
            since: first instant, ms.
            until: first instant after, ms.
        """
        by_month: dict[tuple[int, str, str], list[EnergyDayRow]] = defaultdict(list)
        newest: dict[tuple[str, str], int] = {}
        for day in days:
            month = self._calendar(day.meter).month_of(day.day_start // BLOCK_MS)
            by_month[month.first, day.meter, day.gateway].append(day)
            series = (day.gateway, day.meter)
            newest[series] = max(newest.get(series, 0), day.day_start)
        stored = {(row.month_start // BLOCK_MS, row.meter, row.gateway): row.values for row in months}
        for first, meter, gateway in sorted(by_month.keys() | stored.keys()):
            if not since <= first * BLOCK_MS < until:
                continue
            calendar = self._calendar(meter)
            month = calendar.month_of(first)
            over = newest.get((gateway, meter), 0) >= month.end * BLOCK_MS
            values = stored.get((first, meter, gateway), {})
            if (first, meter, gateway) in by_month and not (over and values):
                values = month_values(calendar, month, by_month[first, meter, gateway])
            yield month_determinants(
                gateway,
                meter,
                month.date,
                values,
                self._registry.meters.get(meter),
                self._timezone(meter),
                approved_kva=_approved_kva(approvals.get(meter, ()), month),
                running=not over,
            )

    def _calendar(self, meter: str) -> Calendar:
        site = self._registry.site_of(meter)
        return self._calendars[site.id] if site else NO_SITE

    def _timezone(self, meter: str) -> str:
        site = self._registry.site_of(meter)
        return site.timezone if site else "UTC"


def month_values(calendar: Calendar, month: LocalMonth, days: Sequence[EnergyDayRow]) -> dict[str, float]:
    """The columns of ``energy_month`` from the days of a month; exact, as whole tenths of a watt-hour."""
    found: dict[str, float] = {}
    for name in _SUMS:
        parts = [tenths(day.values[name]) for day in days if name in day.values]
        if parts:
            found[name] = sum(parts) / 10**DECIMALS
    for name in _PEAKS:
        peaks = [(day.values[name], -day.values[f"{name}_at"]) for day in days if name in day.values]
        if peaks:
            highest, earliest = max(peaks)
            found[name], found[f"{name}_at"] = highest, -earliest
    covered, complete_blocks = 0.0, 0
    for day in days:
        local = calendar.day_of(day.day_start // BLOCK_MS)
        covered += day.values.get("coverage", 0.0) * (local.end - local.first)
        complete_blocks += (local.end - local.first) * (day.values.get("complete") == 1.0)
    found["coverage"] = round(min(covered / (month.end - month.first), 1.0), DECIMALS)
    found["complete"] = float(complete_blocks == month.end - month.first)
    for name in _COUNTS:
        found[name] = float(sum(day.values.get(name, 0.0) for day in days))
    return found


def restated(
    tables: Sequence[Table], stated: Mapping[tuple[Series, int], Values], closed: Callable[[Series, int], bool]
) -> list[Table]:
    """What a replay states anew, as revisions of what was stated before.

    Args:
        tables: all rows of one measurement that the replay made, in their order; the last row of a day or month counts.
        stated: the rows of the store, by series and time.
        closed: whether a day or month was over when it was stated: a running one is not a statement yet.

    Returns:
        The rows whose content differs, with a ``revision`` if they were closed; none if nothing has changed.
    """
    anew: dict[tuple[int, int], dict[str, float]] = {}
    for table in tables:
        for row, (slot, at) in enumerate(zip(table.rows.tolist(), table.at.tolist(), strict=True)):
            values = anew.setdefault((slot, at), {})
            for column in table.columns:
                if column.valid is None or column.valid[row]:
                    values[column.name] = int(column.integers[row]) / 10**column.decimals
    changed = {}
    for (slot, at), values in anew.items():
        key = (tables[0].series[slot], at)
        before = stated.get(key, {})
        different = {name for name, value in values.items() if before.get(name) != value}
        if not different:
            continue
        changed[slot, at] = values
        if before and different - _NO_CONTENT and closed(*key):
            changed[slot, at] = values | {"revision": before.get("revision", 0.0) + 1}
    if not changed:
        return []
    columns = tuple(
        scaled(
            name,
            0 if name.endswith("_at") else DECIMALS,
            np.array([values.get(name, np.nan) for values in changed.values()]),
        )
        for name in ENERGY_DAY_COLUMNS
    )
    slots = np.array([slot for slot, _ in changed], np.intp)
    at = np.array([at for _, at in changed])
    return [Table(tables[0].measurement, tables[0].series, slots, at, columns)]


def _approved_kva(approvals: Iterable[Approval], month: LocalMonth) -> float | None:
    first, end = month.first * BLOCK_MS, month.end * BLOCK_MS
    return max(
        (
            one.kva
            for one in approvals
            if one.status == "approved" and milliseconds(one.starts_at) < end and first < milliseconds(one.ends_at)
        ),
        default=None,
    )
