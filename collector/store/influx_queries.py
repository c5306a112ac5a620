"""Operators' questions to InfluxDB, in InfluxQL: 1.x, 2.x and 3.x all answer it under ``/query``.

On 2.x a bucket needs a DBRP mapping, which the server makes by itself for the name of the bucket.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import numpy as np

from collector.engine.fleet import Floats
from collector.errors import CannotStart
from collector.store.influx_connection import InfluxConnection, InfluxSettings
from collector.store.store import (
    DeterminantQueries,
    EventRow,
    Latest,
    LoadPoint,
    LogEntry,
    StoredReadings,
)
from collector.store.table import LOAD_PROFILE, Ints
from metering.errors import BackOff

_OK = 200
_STANDS = " AND id != ''"  # an event that has moved leaves an empty point behind


class InfluxQueries(DeterminantQueries):
    """Questions to one database."""

    def __init__(self, settings: InfluxSettings) -> None:
        """Ask this server."""
        self._settings = settings
        self._connection = InfluxConnection(settings)

    def readings(self, gateway: str, since: int, until: int) -> StoredReadings:
        """See ``Queries``."""
        series = self._ask(
            f"SELECT * FROM reading WHERE gateway = {_text(gateway)} AND {_between(since, until)} GROUP BY meter"  # noqa: S608
        )
        meters = [one["tags"]["meter"] for one in series]
        names = sorted({name for one in series for name in one["columns"]} - {"time", "gateway", "origin"})
        parts: dict[str, list[Floats]] = {name: [] for name in names}
        at: list[Ints] = []
        origins: list[str | None] = []
        for one in series:
            by_name = dict(zip(one["columns"], zip(*one["values"], strict=True), strict=True))
            at.append(np.array(by_name["time"], np.int64))
            origins += by_name.get("origin", [None] * len(at[-1]))
            for name in names:
                parts[name].append(np.array(by_name.get(name, [None] * len(at[-1])), np.float64))
        return StoredReadings(
            meters,
            np.repeat(np.arange(len(series)), [len(one) for one in at]),
            np.concatenate(at) if at else np.empty(0, np.int64),
            {name: np.concatenate(columns) for name, columns in parts.items()},
            np.array([origin == LOAD_PROFILE for origin in origins], np.bool_),
        )

    def meter_events(
        self, since: int, until: int, meter: str | None = None, gateway: str | None = None
    ) -> list[LogEntry]:
        """See ``Queries``."""
        named = (("meter", meter), ("gateway", gateway))
        chosen = "".join(f" AND {name} = {_text(value)}" for name, value in named if value)
        where = f"{_between(since, until)}{chosen}"
        series = self._ask(f"SELECT quality FROM meter_event WHERE {where} GROUP BY gateway, meter, event")  # noqa: S608
        found = [
            LogEntry(tags["gateway"], tags["meter"], row["time"], tags["event"], int(row["quality"]))
            for one in series
            for tags in [one["tags"]]
            for row in _rows(one)
        ]
        return sorted(found, key=lambda one: (one.at, one.meter, one.event))

    def latest(self, meter: str | None = None) -> list[Latest]:
        """See ``Queries``."""
        where = f"WHERE meter = {_text(meter)}" if meter else ""
        series = self._ask(f"SELECT * FROM reading {where} GROUP BY gateway, meter ORDER BY time DESC LIMIT 1")  # noqa: S608
        rows = [(*row[:3], dict(row[3])) for row in _rows_of_meters(series)]
        found = [Latest(*row, origin=str(row[3].pop("origin", ""))) for row in rows]
        return sorted(found, key=lambda one: (one.meter, one.gateway))

    def load_curve(self, meter: str, since: int, until: int, step_ms: int) -> list[LoadPoint]:
        """See ``Queries``."""
        power = "active_power"
        series = self._ask(
            f"SELECT mean({power}) AS mean, min({power}) AS low, max({power}) AS high, count({power}) AS n FROM reading"  # noqa: S608
            f" WHERE meter = {_text(meter)} AND {_between(since, until)} GROUP BY time({step_ms}ms) fill(none)"
        )
        return [
            LoadPoint(row["time"], row["mean"], row["low"], row["high"], int(row["n"]))
            for one in series
            for row in _rows(one)
            if row.get("n")
        ]

    def _determinants(
        self, measurement: str, since: int, until: int, meter: str | None
    ) -> list[tuple[str, str, int, dict[str, float]]]:
        chosen = f" AND meter = {_text(meter)}" if meter else ""
        where = f"{_between(since, until)}{chosen}"
        series = self._ask(f"SELECT * FROM {measurement} WHERE {where} GROUP BY gateway, meter")  # noqa: S608
        return sorted(_rows_of_meters(series), key=lambda row: (row[2], row[1]))

    def events(self, since: int, until: int, meter: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """See ``Queries``."""
        chosen = "".join(f" AND {name} = {_text(value)}" for name, value in (("meter", meter), ("kind", kind)) if value)
        series = self._ask(f"SELECT id, body FROM event WHERE {_between(since, until)}{chosen}{_STANDS}")  # noqa: S608
        rows = sorted((row for one in series for row in _rows(one)), key=lambda row: (row["time"], row["id"]))
        return [json.loads(row["body"]) for row in rows]

    def events_page(
        self,
        since: int,
        until: int,
        limit: int,
        after: tuple[int, str] | None = None,
        meter: str | None = None,
        kind: str | None = None,
    ) -> list[EventRow]:
        """See ``Queries``: events of one instant come in no order, so that the last instant is asked for as a whole."""
        chosen = "".join(f" AND {name} = {_text(value)}" for name, value in (("meter", meter), ("kind", kind)) if value)
        found: list[EventRow] = []
        if after is not None:
            found += self._events(f"time = {after[0]}ms AND {_between(since, until)}{chosen}")
            since = max(since, after[0] + 1)
        following = self._events(f"{_between(since, until)}{chosen}", f" ORDER BY time LIMIT {limit}")
        if len(following) == limit:
            last = max(row.at for row in following)
            following = [row for row in following if row.at < last] + self._events(f"time = {last}ms{chosen}")
        whole = sorted(found + following, key=lambda row: (row.at, row.id))
        return [row for row in whole if after is None or (row.at, row.id) > after][:limit]

    def _events(self, where: str, order: str = "") -> list[EventRow]:
        series = self._ask(f"SELECT id, body FROM event WHERE {where}{_STANDS}{order}")  # noqa: S608
        return [EventRow(row["time"], row["id"], json.loads(row["body"])) for one in series for row in _rows(one)]

    def _ask(self, statement: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"db": self._settings.database, "epoch": "ms", "q": statement})
        try:
            answer = self._connection.send("GET", f"/query?{query}")
        except BackOff as error:
            raise CannotStart(str(error)) from error
        finally:
            self._connection.close()
        if answer.status != _OK:
            raise CannotStart(f"{self._settings.url}: {answer.status} {answer.text[:300]}")
        result = json.loads(answer.text)["results"][0]
        if "error" in result:
            raise CannotStart(f"{self._settings.url}: {result['error']}")
        series: list[dict[str, Any]] = result.get("series", [])
        # Half of the readings would be judged as if they were all.
        if any(one.get("partial") for one in (result, *series)):
            raise CannotStart(f"{self._settings.url}: the answer was cut short: set max-row-limit of the server to 0")
        return series


def _rows(series: dict[str, Any]) -> list[dict[str, Any]]:
    columns = series["columns"]
    pairs = (zip(columns, row, strict=True) for row in series["values"])
    return [{name: value for name, value in row if value is not None} for row in pairs]


def _rows_of_meters(series: list[dict[str, Any]]) -> Iterator[tuple[str, str, int, dict[str, float]]]:
    """Gateway, meter, time and values of every row of series that are grouped by gateway and meter."""
    for one in series:
        for row in _rows(one):
            yield one["tags"]["gateway"], one["tags"]["meter"], row.pop("time"), row


def _between(since: int, until: int) -> str:
    return f"time >= {since}ms AND time < {until}ms"


def _text(value: str | None) -> str:
    escaped = (value or "").replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
