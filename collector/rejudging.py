"""Late readings: everything of a gateway since then is judged again, from the store, by the same engine.

    state before the late readings  →  readings from the store  →  engine  →  days  →  what differs from before

The outcome is that of readings that came in time: rows overwrite themselves, an event that is found again keeps its
id, and one that is not found any more is *withdrawn*. Determinants that change are revisions.

The logs of meters have an order of their own (``checks/meter_log.py``). Late readings leave what was found in them as
it is; late entries are judged with all entries of their gateway that the store holds, and with no reading.

A load profile fills what was not read live. Rows whose meter clock is off by more than the limit are stored and not
judged: what they would fill stays an estimate, and says so, rather than to stand in the wrong tariff period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from collector.checks.meter_log import MeterLog, of_the_log
from collector.days.days import DAY_KINDS, Days, Judged
from collector.engine.checkpoint import Checkpoint
from collector.engine.engine import Engine, Outcome
from collector.engine.fleet import Fleet
from collector.engine.frame import misdated
from collector.engine.rows import ReadingRows, entry_rows
from collector.events.event import Event, milliseconds, withdrawn
from collector.feeds.statement import restated
from collector.store.store import EnergyDayRow, EnergyMonthRow, Queries, StoredReadings
from collector.store.table import ENERGY_DAY, ENERGY_MONTH, Series, Table
from collector.tariff.calendar import BLOCK_MS
from metering.log import log
from metering.meter_event import MeterEvent

_CHUNK_MS: Final = 6 * 3_600_000
_DAY_MS: Final = 86_400_000
_LONGEST_MONTH_MS: Final = 32 * _DAY_MS
_FOREVER_MS: Final = 9_000_000_000_000
_NAMES: Final = {event.value: event for event in MeterEvent}


@dataclass(slots=True)
class Rejudged:
    """What judging again led to."""

    events: list[Event] = field(default_factory=list)  # new, changed, withdrawn
    moved: list[Event] = field(default_factory=list)  # of them, those that were told of another instant, as of that
    tables: list[Table] = field(default_factory=list)
    days: Judged = field(default_factory=Judged)
    past: list[tuple[str, int, bytes]] = field(default_factory=list)
    since: int = 0  # ms: the last reading that was not judged again


class Rejudging:
    """Judges a gateway again."""

    def __init__(self, engine: Engine, days: Days, checkpoint: Checkpoint, queries: Queries) -> None:
        """Work on this engine and these days."""
        self._engine = engine
        self._days = days
        self._checkpoint = checkpoint
        self._queries = queries

    def run(self, gateway: str, since: int, until: int) -> Rejudged | None:
        """Judge a gateway's readings from ``since`` to ``until`` (ms, both included) again; engine and days move on.

        ``None``: the state they would be judged from is unreadable; nothing has changed.

        Raises:
            CannotStart: the store does not answer; nothing has changed.
        """
        start = self._checkpoint.past_state(gateway, since)
        upto = start[0] if start else 0
        engine = self._engine.fork()
        if start:
            try:
                engine.restore(gateway, start[1])
            except ValueError as error:
                log.error("engine state of the past unreadable", gateway=gateway, why=str(error))
                return None
        before, stated = self._events_before(gateway, upto), self._stated(upto)
        found = Rejudged(since=upto)
        outcome, last = Outcome(), upto
        # A state is kept every day: a gateway that has none is younger than that.
        first = upto + 1 if start else max(0, since - 2 * _DAY_MS)
        kept = upto if start else first
        for at in range(first, until + 1, _CHUNK_MS):
            stored = self._queries.readings(gateway, at, min(at + _CHUNK_MS, until + 1))
            if len(stored) and last - kept >= _DAY_MS:
                found.past.append((gateway, last, engine.snapshot(gateway)))
                kept = last
            for frame in rows_of(engine.fleet, gateway, stored).frames():
                one = engine.process(frame)
                outcome.events += one.events
                outcome.tables += one.tables
                last = max(last, int(frame.at.max()))
        of_readings = [name for name in engine.checks if name != MeterLog.name]
        self._engine.restore(gateway, engine.snapshot(gateway), of_readings)
        for site in self._sites(gateway):
            self._days.reopen(site, upto)
        found.days = self._days.take(outcome)
        found.tables = self._revised(outcome.tables, stated, until)
        found.events = _differences(before, [*outcome.events, *found.days.events])
        found.moved = _moved(before, found.events)
        return found

    def run_log(self, gateway: str, since: int) -> Rejudged:
        """Judge the logs of a gateway's meters anew; what was found before ``since`` (ms) stands as it is.

        Raises:
            CannotStart: the store does not answer; nothing has changed.
        """
        engine, outcome = self._engine.fork(), Outcome()
        entries = self._queries.meter_events(0, _FOREVER_MS, gateway=gateway)
        known = [one for one in entries if one.event in _NAMES]
        before = [
            body
            for body in self._queries.events(since, _FOREVER_MS)
            if body["data"]["gateway"] == gateway and _of_the_log(body)
        ]
        rows = entry_rows(
            engine.fleet, ((one.gateway, one.meter, one.at, _NAMES[one.event], one.quality) for one in known)
        )
        for frame in rows.frames():
            outcome.events += engine.process(frame).events
        self._engine.restore(gateway, engine.snapshot(gateway), [MeterLog.name])
        found = Rejudged(since=since)
        found.events = _differences(before, [one for one in outcome.events if one.at >= since])
        found.moved = _moved(before, found.events)
        found.days = self._days.take(Outcome(events=found.events))
        return found

    def _stated(self, upto: int) -> tuple[list[EnergyDayRow], list[EnergyMonthRow]]:
        """Days and months as the store says them."""
        since = max(0, upto - _LONGEST_MONTH_MS)
        return self._queries.energy(since, _FOREVER_MS), self._queries.months(since, _FOREVER_MS)

    def _revised(
        self, tables: Sequence[Table], stated: tuple[list[EnergyDayRow], list[EnergyMonthRow]], until: int
    ) -> list[Table]:
        """The tables, with days and months as revisions of what was stated: those that differ, and no others."""
        fleet = self._engine.fleet
        days, months = stated

        def day_is_over(series: Series, at: int) -> bool:
            return fleet.calendar_of(series.meter).day_of(at // BLOCK_MS).end * BLOCK_MS <= until

        def month_is_over(series: Series, at: int) -> bool:
            return fleet.calendar_of(series.meter).month_of(at // BLOCK_MS).end * BLOCK_MS <= until

        stated_days = {(Series(one.gateway, one.meter), one.day_start): one.values for one in days}
        stated_months = {(Series(one.gateway, one.meter), one.month_start): one.values for one in months}
        return [
            *(one for one in tables if one.measurement not in (ENERGY_DAY, ENERGY_MONTH)),
            *restated([one for one in tables if one.measurement == ENERGY_DAY], stated_days, day_is_over),
            *restated([one for one in tables if one.measurement == ENERGY_MONTH], stated_months, month_is_over),
        ]

    def _events_before(self, gateway: str, upto: int) -> list[dict[str, Any]]:
        """The events that were found after an instant, about the gateway's meters or the days of its sites."""
        sites = self._sites(gateway)
        return [
            body
            for body in self._queries.events(upto + 1, _FOREVER_MS)
            if (body["data"]["gateway"] == gateway and not _of_the_log(body))
            or (body["data"]["kind"] in DAY_KINDS and body["data"]["site"] in sites)
        ]

    def _sites(self, gateway: str) -> set[str]:
        registry = self._engine.fleet.registry
        found = (registry.site_of(meter) for meter in self._engine.fleet.meters_of(gateway))
        return {site.id for site in found if site is not None}


def rows_of(fleet: Fleet, gateway: str, stored: StoredReadings) -> ReadingRows:
    """Stored readings as rows for the engine."""
    slots = fleet.slots(gateway, tuple(stored.meters)) if stored.meters else np.empty(0, np.intp)
    columns = dict(stored.values)
    bits = columns.pop("quality", None)
    quality = np.zeros(len(stored), np.uint32) if bits is None else np.nan_to_num(bits).astype(np.uint32)
    kept = np.flatnonzero(~misdated(quality, stored.profiled))
    return ReadingRows(
        slots[stored.meter[kept]],
        stored.at[kept].astype(np.float64),
        quality[kept],
        {name: values[kept] for name, values in columns.items()},
        profiled=stored.profiled[kept],
    )


def _of_the_log(body: dict[str, Any]) -> bool:
    return of_the_log(body["data"]["kind"], body["data"]["part"])


def _differences(before: Sequence[dict[str, Any]], after: Sequence[Event]) -> list[Event]:
    """Events that are new or say something else, then those that are not found any more."""
    known = {body["id"]: body for body in before}
    found = {event.id: event for event in after}
    back = {body["data"]["condition"] for body in before if body["data"]["lifecycle"] == "withdrawn"}
    changed = [one for one in found.values() if known.get(one.id) != one.cloudevent() or one.condition in back]
    gone = [
        body
        for name, body in known.items()
        if name not in found and body["data"]["lifecycle"] == "opened" and body["data"]["condition"] not in back
    ]
    return changed + [withdrawn(body) for body in gone]


def _moved(before: Sequence[dict[str, Any]], after: Sequence[Event]) -> list[Event]:
    now = {event.id: event for event in after}
    then = ((now[body["id"]], milliseconds(body["time"])) for body in before if body["id"] in now)
    return [replace(event, at=at) for event, at in then if at != event.at]
