"""What a back-test writes: events as JSON lines, determinants and scores as CSV.

events         one CloudEvent a line, in the order they were found
determinants   meter_id, day, then the columns of ``energy_day``: the last statement of every meter and day
scores         meter_id, day, kind, score: ``falsification`` of every meter and day that could be judged, and
               every other kind on the days on which it was open
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import IO, Any, Final, Self, TypeAlias

from collector.days.days import Score
from collector.engine.fleet import Fleet
from collector.events.event import Event, iso
from collector.store.table import ENERGY_DAY, ENERGY_DAY_COLUMNS, Table
from metering.errors import StopAndFix

_KEPT_MS: Final = 3 * 86_400_000  # a running day is stated again and again; after this it is final


_Parts: TypeAlias = dict[tuple[str, ...], tuple[Table, int]]
"""Columns → the table and the row in which they were last stated."""


@dataclass(slots=True)
class _Open:
    kind: str
    meter: str
    since: int
    score: float


class Outputs:
    """The files of one back-test; a file that was not asked for is not written."""

    def __init__(self, fleet: Fleet, events: Path | None, determinants: Path | None, scores: Path | None) -> None:
        """Open the files.

        Raises:
            StopAndFix: a file cannot be written.
        """
        self._fleet = fleet
        with ExitStack() as stack:
            self._stack = stack
            self._events = self._opened(events)
            self._determinants = self._table(determinants, ("meter_id", "day", *ENERGY_DAY_COLUMNS))
            self._scores = self._table(scores, ("meter_id", "day", "kind", "score"))
            self._stack = stack.pop_all()  # what is open stays open, as nothing went wrong
        self._days: dict[tuple[int, int], _Parts] = {}  # day start, slot → its last statement
        self._latest = 0
        self._open: dict[str, _Open] = {}  # condition → what is open
        self.found: dict[str, int] = {}  # kind → how many were opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def events(self, events: Iterable[Event]) -> None:
        """Write events; remember what is open."""
        for event in events:
            if self._events is not None:
                self._events.write(event.body() + "\n")
            if event.lifecycle == "opened":
                self.found[event.kind] = self.found.get(event.kind, 0) + 1
                self._open[event.condition] = _Open(event.kind, event.series.meter, event.started_at, event.score)
            elif event.lifecycle == "closed" and event.condition in self._open:
                self._score_days(self._open.pop(event.condition), event.ended_at or event.at)

    def scores(self, scores: Iterable[Score]) -> None:
        """Write scores of days."""
        if self._scores is not None:
            self._scores.writerows((one.meter, one.day.isoformat(), one.kind, f"{one.score:.4f}") for one in scores)

    def tables(self, tables: Iterable[Table]) -> None:
        """Take up statements; the last one of a day is written once the day is past."""
        if self._determinants is None:
            return
        latest = 0
        for table in tables:
            if table.measurement == ENERGY_DAY:
                names = tuple(column.name for column in table.columns)  # a row is stated in several parts
                for row, key in enumerate(zip(table.at.tolist(), table.rows.tolist(), strict=True)):
                    self._days.setdefault(key, {})[names] = table, row
                latest = max(latest, int(table.at.max(initial=0)))
        self._write_days([key for key in self._days if key[0] < latest - _KEPT_MS] if latest > self._latest else [])
        self._latest = max(self._latest, latest)

    def finish(self, last_ms: int) -> None:
        """Write what is still open up to the last reading."""
        for one in self._open.values():
            self._score_days(one, last_ms)
        self._write_days(list(self._days))

    def _score_days(self, one: _Open, until: int) -> None:
        if self._scores is None:
            return
        zone = self._zone(one.meter)
        day, last = _local(one.since, zone), _local(max(until - 1, one.since), zone)
        while day <= last:
            self._scores.writerow((one.meter, day.isoformat(), one.kind, f"{one.score:.4f}"))
            day += timedelta(days=1)

    def _write_days(self, keys: list[tuple[int, int]]) -> None:
        for key in sorted(keys):
            start, slot = key
            values = {name: value for part in self._days.pop(key).values() for name, value in _values(*part).items()}
            meter = self._fleet.series[slot].meter
            if self._determinants is not None:
                day = _local(start, self._zone(meter)).isoformat()
                self._determinants.writerow(
                    [meter, day, *(_cell(name, values.get(name)) for name in ENERGY_DAY_COLUMNS)]
                )

    def _zone(self, meter: str) -> tzinfo:
        site = self._fleet.registry.site_of(meter)
        return self._fleet.calendar_of_site(site.id).zone if site else UTC

    def _opened(self, path: Path | None) -> IO[str] | None:
        if path is None:
            return None
        try:
            return self._stack.enter_context(path.open("w", encoding="utf-8", newline=""))
        except OSError as error:
            raise StopAndFix(
                f"{path}: cannot be written: {error.strerror} → name a file in a folder that exists"
            ) from error

    def _table(self, path: Path | None, header: Iterable[str]) -> Any:
        file = self._opened(path)
        if file is None:
            return None
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        return writer


def _values(table: Table, row: int) -> dict[str, float]:
    """One row of a table; what is unknown is left out."""
    return {
        column.name: int(column.integers[row]) / 10**column.decimals
        for column in table.columns
        if column.valid is None or column.valid[row]
    }


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return iso(round(value)) if name.endswith("_at") else f"{value:.10g}"


def _local(at_ms: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(at_ms / 1000, zone).date()
