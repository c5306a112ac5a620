"""Operators' questions to an embedded store, which a collector may be writing meanwhile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from collector.errors import CannotStart
from collector.store.sqlite_schema import BUSY_S, COLUMNS, TIME
from collector.store.store import DeterminantQueries, EventRow, Latest, LoadPoint, LogEntry, StoredReadings
from collector.store.table import LOAD_PROFILE, READING


class SqliteQueries(DeterminantQueries):
    """Operators' questions to a database file; every question opens it read-only."""

    def __init__(self, path: Path) -> None:
        """Ask this file."""
        self._path = path

    def readings(self, gateway: str, since: int, until: int) -> StoredReadings:
        """See ``Queries``."""
        rows = self._ask(
            "SELECT s.meter, r.* FROM series s JOIN reading_row r ON r.series = s.id"
            " WHERE s.gateway = ? AND r.measured_at >= ? AND r.measured_at < ?",
            (gateway, since, until),
        )
        meters = sorted({row["meter"] for row in rows})
        number = {name: n for n, name in enumerate(meters)}
        values = {name: np.array([row[name] for row in rows], np.float64) for name in COLUMNS[READING]}
        return StoredReadings(
            meters,
            np.array([number[row["meter"]] for row in rows], np.int64),
            np.array([row["measured_at"] for row in rows], np.int64),
            {name: column for name, column in values.items() if not np.isnan(column).all()},
            np.array([row["origin"] == LOAD_PROFILE for row in rows], np.bool_),
        )

    def meter_events(
        self, since: int, until: int, meter: str | None = None, gateway: str | None = None
    ) -> list[LogEntry]:
        """See ``Queries``."""
        rows = self._ask(
            "SELECT gateway, meter, at, event, quality FROM meter_event WHERE at >= ? AND at < ?"
            " AND (? IS NULL OR meter = ?) AND (? IS NULL OR gateway = ?) ORDER BY at, meter, event",
            (since, until, meter, meter, gateway, gateway),
        )
        return [LogEntry(*row) for row in rows]

    def latest(self, meter: str | None = None) -> list[Latest]:
        """See ``Queries``."""
        rows = self._ask(
            "SELECT s.gateway, s.meter, r.* FROM series s JOIN reading_row r ON r.series = s.id AND r.measured_at ="
            " (SELECT max(measured_at) FROM reading_row WHERE series = s.id)"
            " WHERE ? IS NULL OR s.meter = ? ORDER BY s.meter, s.gateway",
            (meter, meter),
        )
        return [
            Latest(
                row["gateway"],
                row["meter"],
                row["measured_at"],
                _present(row, COLUMNS[READING]),
                row["origin"] or "",
            )
            for row in rows
        ]

    def load_curve(self, meter: str, since: int, until: int, step_ms: int) -> list[LoadPoint]:
        """See ``Queries``."""
        rows = self._ask(
            "SELECT measured_at / :step * :step AS at, avg(active_power) AS mean, min(active_power) AS low,"
            " max(active_power) AS high, count(active_power) AS n FROM reading"
            " WHERE meter = :meter AND measured_at >= :since AND measured_at < :until AND active_power IS NOT NULL"
            " GROUP BY 1 ORDER BY 1",
            {"step": step_ms, "meter": meter, "since": since, "until": until},
        )
        return [LoadPoint(row["at"], row["mean"], row["low"], row["high"], row["n"]) for row in rows]

    def _determinants(
        self, measurement: str, since: int, until: int, meter: str | None
    ) -> Iterator[tuple[str, str, int, dict[str, float]]]:
        time = TIME[measurement]
        rows = self._ask(
            f"SELECT * FROM {measurement} WHERE {time} >= ? AND {time} < ? AND (? IS NULL OR meter = ?)"  # noqa: S608
            f" ORDER BY {time}, meter",
            (since, until, meter, meter),
        )
        for row in rows:
            yield row["gateway"], row["meter"], row[time], _present(row, COLUMNS[measurement])

    def events(self, since: int, until: int, meter: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """See ``Queries``."""
        rows = self._ask(
            "SELECT body FROM event WHERE time >= ? AND time < ? AND (? IS NULL OR meter = ?)"
            " AND (? IS NULL OR kind = ?) ORDER BY time, id",
            (since, until, meter, meter, kind, kind),
        )
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
        """See ``Queries``."""
        rows = self._ask(
            "SELECT time, id, body FROM event WHERE time >= ? AND time < ? AND (time, id) > (?, ?)"
            " AND (? IS NULL OR meter = ?) AND (? IS NULL OR kind = ?) ORDER BY time, id LIMIT ?",
            (since, until, *(after or (since - 1, "")), meter, meter, kind, kind, limit),
        )
        return [EventRow(row["time"], row["id"], json.loads(row["body"])) for row in rows]

    def _ask(self, statement: str, values: Any) -> list[sqlite3.Row]:
        if not self._path.exists():
            raise CannotStart(f"{self._path}: there is no such store; has the collector run?")
        try:
            with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=BUSY_S)) as db:
                db.row_factory = sqlite3.Row
                return db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise CannotStart(f"{self._path}: {error}") from error


def _present(row: sqlite3.Row, columns: Iterable[str]) -> dict[str, float]:
    return {name: row[name] for name in columns if row[name] is not None}
