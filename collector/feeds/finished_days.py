"""Rows of ``energy_day`` and ``energy_month`` in, statements that are final out.

Several books write their columns of a day, each when it closes; the first row of a later day says that all of them
have. Then the day is stated, and its month if that day begins the next one. A row of a day that was stated already is a
revision, and is stated at once. After a start the last days of the store are stated again: copies keep their ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from collector.feeds.pricing import DayDeterminants, MonthDeterminants
from collector.feeds.statement import Statements
from collector.registry.approvals import Approvals
from collector.store.store import EnergyDayRow, EnergyMonthRow
from collector.store.table import ENERGY_DAY, ENERGY_MONTH, Series, Table

_TOTAL: Final = "total"
_KEPT: Final = 3
"""Statements of one meter that are kept in case a column still comes: days, and months."""

Key = tuple[str, str, int]  # measurement, meter, start in ms


class FinishedDays:
    """The days that are closed and not stated yet, and the last ones that were."""

    def __init__(self, statements: Statements, approvals: Approvals) -> None:
        """Nothing is known yet."""
        self._statements = statements
        self._approvals = approvals
        self._known: dict[Series, dict[Key, dict[str, float]]] = {}
        self._waiting: dict[Series, set[Key]] = {}  # days
        self._running: dict[Series, set[Key]] = {}  # months

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

    def take(self, tables: Sequence[Table]) -> Iterator[DayDeterminants | MonthDeterminants]:
        """What the rows of one commit make final; a book that closes days notes their months right behind them."""
        for before, table in pairwise([None, *tables]):
            if table is None or table.measurement not in (ENERGY_DAY, ENERGY_MONTH):
                continue
            if _is_restated(table):
                self._note_rows(table)
            elif table.measurement == ENERGY_MONTH:
                self._note_rows(table)
                if before is not None and before.measurement == ENERGY_DAY:
                    self._note_rows(before)
        if self._waiting:
            for series, at in self._under_way(tables).items():
                yield from self._state(series, at)

    def _under_way(self, tables: Iterable[Table]) -> dict[Series, int]:
        """The newest days of the meters that wait."""
        newest: dict[Series, int] = {}
        for table in tables:
            if table.measurement == ENERGY_DAY and _TOTAL in {column.name for column in table.columns}:
                for slot, at in zip(table.rows.tolist(), table.at.tolist(), strict=True):
                    series = table.series[slot]
                    if series in self._waiting:
                        newest[series] = max(newest.get(series, 0), at)
        return newest

    def _note_rows(self, table: Table) -> None:
        for row, (slot, at) in enumerate(zip(table.rows.tolist(), table.at.tolist(), strict=True)):
            self._note(table.series[slot], (table.measurement, at), _values(table, row))

    def _note(self, series: Series, what: tuple[str, int], values: dict[str, float]) -> None:
        key = (what[0], series.meter, what[1])
        known = self._known.setdefault(series, {})
        before = known.get(key, {})
        if before | values != before or key not in known:
            known[key] = before | values
            unsaid = self._waiting if what[0] == ENERGY_DAY else self._running
            unsaid.setdefault(series, set()).add(key)

    def _state(self, series: Series, newest: int) -> Iterator[DayDeterminants | MonthDeterminants]:
        """State what lies before the day under way."""
        known = self._known[series]
        waiting, running = self._waiting.get(series, set()), self._running.get(series, set())
        for key in sorted(key for key in waiting if key[2] < newest):
            waiting.discard(key)
            yield from self._statements.days([EnergyDayRow(series.gateway, series.meter, key[2], known[key])])
        under_way = EnergyDayRow(series.gateway, series.meter, newest, {})
        approvals = {series.meter: self._approvals.of(series.meter)}
        for key in sorted(running):
            row = EnergyMonthRow(series.gateway, series.meter, key[2], known[key])
            first, *_ = self._statements.months([under_way], [row], approvals, key[2], key[2] + 1)
            if not first.running and _TOTAL in known[key]:
                running.discard(key)
                yield first
        if not waiting:
            self._waiting.pop(series, None)
        for measurement in (ENERGY_DAY, ENERGY_MONTH):
            own = sorted(key for key in known if key[0] == measurement and key not in waiting | running)
            for key in own[:-_KEPT]:
                del known[key]


def _is_restated(table: Table) -> bool:
    return "revision" in {column.name for column in table.columns}


def _values(table: Table, row: int) -> dict[str, float]:
    return {
        column.name: int(column.integers[row]) / 10**column.decimals
        for column in table.columns
        if column.valid is None or column.valid[row]
    }
