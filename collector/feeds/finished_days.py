"""Rows of ``energy_day`` and ``energy_month`` in, statements that are final out.

Several books write their columns of a day, each when it closes; the first row of a later day says that all of them
have. Then the day is stated, and its month if that day begins the next one. A row of a day that was stated already is a
revision, and is stated at once. After a start the last days of the store are stated again: copies keep their ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from collector.feeds.pricing import DayDeterminants, MonthDeterminants
from collector.feeds.statement import Statements
from collector.registry.approvals import Approvals
from collector.store.store import EnergyDayRow, EnergyMonthRow
from collector.store.table import ENERGY_DAY, ENERGY_MONTH, Series, Table

_TOTAL: Final = "total"
_KEPT: Final = 3
"""Statements of one meter that are kept in case a column still comes: days, and months."""

Key = tuple[str, Series, int]  # measurement, meter, start in ms


class FinishedDays:
    """The days that are closed and not stated yet, and the last ones that were."""

    def __init__(self, statements: Statements, approvals: Approvals) -> None:
        """Nothing is known yet."""
        self._statements = statements
        self._approvals = approvals
        self._known: dict[Series, dict[Key, dict[str, float]]] = {}
        self._waiting: dict[Series, set[Key]] = {}

    def restore(self, days: Iterable[EnergyDayRow], months: Iterable[EnergyMonthRow]) -> None:
        """Take up the last rows of the store: they are stated when their meter is heard of again.

        Of each meter the newest two count: the one under way, and the one before, whose end a crash may have hidden.
        """
        rows: dict[tuple[Series, str], list[tuple[int, dict[str, float]]]] = defaultdict(list)
        for day in days:
            rows[Series(day.gateway, day.meter), ENERGY_DAY].append((day.day_start, day.values))
        for month in months:
            rows[Series(month.gateway, month.meter), ENERGY_MONTH].append((month.month_start, month.values))
        for (series, measurement), own in rows.items():
            for at, values in sorted(own, key=lambda one: one[0])[-2:]:
                self._note(series, (measurement, at), values)

    def take(self, tables: Iterable[Table]) -> Iterator[DayDeterminants | MonthDeterminants]:
        """What the rows of one commit make final."""
        relevant = [table for table in tables if table.measurement in (ENERGY_DAY, ENERGY_MONTH)]
        closed = {
            table.series[slot]
            for table in relevant
            if table.measurement == ENERGY_MONTH or "revision" in {column.name for column in table.columns}
            for slot in set(table.rows.tolist())
        }
        newest: dict[Series, int] = {}
        for table in relevant:
            wanted = self._waiting.keys() | closed
            slots = np.array([slot for slot in set(table.rows.tolist()) if table.series[slot] in wanted], np.intp)
            if not len(slots):
                continue
            for row in np.flatnonzero(np.isin(table.rows, slots)).tolist():
                series, at = table.series[table.rows[row]], int(table.at[row])
                values = _values(table, row)
                if table.measurement == ENERGY_DAY and _TOTAL in values:
                    newest[series] = max(newest.get(series, 0), at)
                self._note(series, (table.measurement, at), values)
        for series, at in newest.items():
            yield from self._state(series, at)

    def _note(self, series: Series, what: tuple[str, int], values: dict[str, float]) -> None:
        key = (what[0], series, what[1])
        known = self._known.setdefault(series, {})
        before = known.get(key, {})
        if before | values != before or key not in known:
            known[key] = before | values
            self._waiting.setdefault(series, set()).add(key)

    def _state(self, series: Series, newest: int) -> Iterator[DayDeterminants | MonthDeterminants]:
        """State what lies before the day under way."""
        waiting, known = self._waiting[series], self._known[series]
        under_way = EnergyDayRow(series.gateway, series.meter, newest, {})
        for key in sorted(waiting, key=lambda one: (one[0], one[2])):
            measurement, _, at = key
            if measurement == ENERGY_DAY and at < newest:
                waiting.discard(key)
                yield from self._statements.days([EnergyDayRow(series.gateway, series.meter, at, known[key])])
            elif measurement == ENERGY_MONTH:
                row = EnergyMonthRow(series.gateway, series.meter, at, known[key])
                approvals = {series.meter: self._approvals.of(series.meter)}
                first, *_ = self._statements.months([under_way], [row], approvals, at, at + 1)
                if not first.running and _TOTAL in known[key]:
                    waiting.discard(key)
                    yield first
        for measurement in (ENERGY_DAY, ENERGY_MONTH):
            own = sorted(key for key in known if key[0] == measurement and key not in waiting)
            for key in own[:-_KEPT]:
                del known[key]
        if not waiting:
            del self._waiting[series]


def _values(table: Table, row: int) -> dict[str, float]:
    return {
        column.name: int(column.integers[row]) / 10**column.decimals
        for column in table.columns
        if column.valid is None or column.valid[row]
    }
