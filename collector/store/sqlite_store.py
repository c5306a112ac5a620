"""The embedded store: SQLite in WAL mode, for demonstrations and small sites without a server.

Same rows, same idempotency and same queries as on InfluxDB. Other processes may read while the collector writes.
Views (``reading``, ``meter_event``, ``load_block``, ``energy_day``, ``energy_month``) give every row its gateway and
meter, so that ``sqlite3 readings.db`` is enough to look around.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from collector.errors import CannotStart, StoreBusy
from collector.events.event import Event
from collector.store.store import (
    DeterminantQueries,
    EventRow,
    Latest,
    LoadPoint,
    LogEntry,
    Rejected,
    StoredReadings,
)
from collector.store.table import (
    ENERGY_DAY,
    ENERGY_DAY_COLUMNS,
    ENERGY_MONTH,
    FORECAST_BLOCK,
    FORECAST_BLOCK_COLUMNS,
    FORECAST_DAY,
    FORECAST_DAY_COLUMNS,
    FORECAST_MONTH,
    FORECAST_MONTH_COLUMNS,
    LOAD_BLOCK,
    LOAD_BLOCK_COLUMNS,
    LOAD_PROFILE,
    READING,
    SUSPICION,
    SUSPICION_COLUMNS,
    Series,
    Table,
)
from metering.meter_event import MeterEvents
from metering.quantity import QUANTITIES
from metering.round import unpack

_COLUMNS: Final = {
    READING: (*QUANTITIES, "quality"),
    LOAD_BLOCK: LOAD_BLOCK_COLUMNS,
    ENERGY_DAY: ENERGY_DAY_COLUMNS,
    ENERGY_MONTH: ENERGY_DAY_COLUMNS,
    SUSPICION: SUSPICION_COLUMNS,
    FORECAST_BLOCK: FORECAST_BLOCK_COLUMNS,
    FORECAST_DAY: FORECAST_DAY_COLUMNS,
    FORECAST_MONTH: FORECAST_MONTH_COLUMNS,
}
_TIME: Final = {
    READING: "measured_at",
    LOAD_BLOCK: "block_start",
    ENERGY_DAY: "day_start",
    ENERGY_MONTH: "month_start",
    SUSPICION: "day_start",
    FORECAST_BLOCK: "block_start",
    FORECAST_DAY: "day_start",
    FORECAST_MONTH: "month_start",
}
_BUSY_S: Final = 5.0


class SqliteStore:
    """One database file; one writing connection."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before ``prepare``."""
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._series: dict[Series, int] = {}

    async def prepare(self) -> None:
        """Open the file and create what is missing.

        Raises:
            CannotStart: the file cannot be opened or is not a database.
        """
        await asyncio.to_thread(self._open)

    async def write(self, tables: Sequence[Table], events: Sequence[Event] = ()) -> list[Rejected]:
        """Store everything in one transaction.

        Raises:
            StoreBusy: the disk is full or the file is locked.
        """
        await asyncio.to_thread(self._in_transaction, lambda db: self._put(db, tables, events))
        return []

    async def write_log(self, logs: Sequence[MeterEvents]) -> list[Rejected]:
        """Store entries of meters' logs in one transaction.

        Raises:
            StoreBusy: the disk is full or the file is locked.
        """
        await asyncio.to_thread(self._in_transaction, lambda db: self._put_log(db, logs))
        return []

    async def write_lines(self, lines: Sequence[str]) -> list[Rejected]:
        """Refuse: this store never sends a line to the quarantine."""
        return [Rejected(line, "the embedded store takes no line protocol") for line in lines]

    async def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            await asyncio.to_thread(self._db.close)
            self._db = None

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            for statement in _schema():
                db.execute(statement)
            _widen(db)
            rows = db.execute("SELECT id, gateway, meter FROM series").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise CannotStart(f"{self._path}: cannot be used as a store: {error}") from error
        self._db = db
        self._series = {Series(gateway, meter): number for number, gateway, meter in rows}

    def _put(self, db: sqlite3.Connection, tables: Sequence[Table], events: Sequence[Event]) -> None:
        for table in tables:
            db.executemany(_upsert(table), self._rows(db, table))
        db.executemany(
            "INSERT OR REPLACE INTO event (id, time, kind, lifecycle, gateway, meter, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((e.id, e.at, e.kind, e.lifecycle, e.series.gateway, e.series.meter, e.body()) for e in events),
        )

    def _put_log(self, db: sqlite3.Connection, logs: Sequence[MeterEvents]) -> None:
        for log in logs:
            entries = zip(log.meters, unpack(log.at, "q"), log.events, unpack(log.quality, "I"), strict=True)
            db.executemany(
                "INSERT OR REPLACE INTO meter_event_row (series, at, event, quality) VALUES (?, ?, ?, ?)",
                [
                    (self._id(db, Series(log.gateway, meter)), at, str(event), bits)
                    for meter, at, event, bits in entries
                ],
            )

    def _in_transaction(self, put: Callable[[sqlite3.Connection], None]) -> None:
        db = self._db
        if db is None:
            raise StoreBusy("the store is not open")
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                put(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                self._series = {}
                self._series = {
                    Series(gateway, meter): number
                    for number, gateway, meter in db.execute("SELECT id, gateway, meter FROM series")
                }
                raise
        except sqlite3.Error as error:
            raise StoreBusy(f"{self._path}: {error}") from error

    def _rows(self, db: sqlite3.Connection, table: Table) -> Iterable[tuple[Any, ...]]:
        ids = {int(slot): self._id(db, table.series[slot]) for slot in set(table.rows.tolist())}
        columns: list[list[float | None]] = []
        for column in table.columns:
            values = (column.integers / 10.0**column.decimals).tolist()
            if column.valid is not None:
                values = [v if ok else None for v, ok in zip(values, column.valid.tolist(), strict=True)]
            columns.append(values)
        origin = (table.origin,) if table.origin else ()
        # A row without any value is not stored: there is nothing to say about that instant.
        ats = table.at.tolist()
        for slot, at, *values in zip(table.rows.tolist(), ats, *columns, strict=True):
            if any(value is not None for value in values):
                yield (ids[slot], at, *values, *origin)

    def _id(self, db: sqlite3.Connection, series: Series) -> int:
        known = self._series.get(series)
        if known is None:
            cursor = db.execute("INSERT INTO series (gateway, meter) VALUES (?, ?)", (series.gateway, series.meter))
            known = self._series[series] = int(cursor.lastrowid or 0)
        return known


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
        values = {name: np.array([row[name] for row in rows], np.float64) for name in _COLUMNS[READING]}
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
                _present(row, _COLUMNS[READING]),
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
        time = _TIME[measurement]
        rows = self._ask(
            f"SELECT * FROM {measurement} WHERE {time} >= ? AND {time} < ? AND (? IS NULL OR meter = ?)"  # noqa: S608
            f" ORDER BY {time}, meter",
            (since, until, meter, meter),
        )
        for row in rows:
            yield row["gateway"], row["meter"], row[time], _present(row, _COLUMNS[measurement])

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
            with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=_BUSY_S)) as db:
                db.row_factory = sqlite3.Row
                return db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise CannotStart(f"{self._path}: {error}") from error


def _present(row: sqlite3.Row, columns: Iterable[str]) -> dict[str, float]:
    return {name: row[name] for name in columns if row[name] is not None}


def _schema() -> list[str]:
    statements = [
        "CREATE TABLE IF NOT EXISTS series"
        " (id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, meter TEXT NOT NULL, UNIQUE (meter, gateway))",
        "CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL,"
        " lifecycle TEXT NOT NULL, gateway TEXT NOT NULL, meter TEXT NOT NULL, body TEXT NOT NULL)",
        "CREATE INDEX IF NOT EXISTS event_time ON event (time)",
        "CREATE TABLE IF NOT EXISTS meter_event_row (series INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL,"
        " quality INTEGER NOT NULL, PRIMARY KEY (series, at, event)) WITHOUT ROWID",
        "CREATE VIEW IF NOT EXISTS meter_event AS SELECT s.gateway, s.meter, r.at, r.event, r.quality"
        " FROM meter_event_row r JOIN series s ON s.id = r.series",
    ]
    for measurement, columns in _COLUMNS.items():
        time = _TIME[measurement]
        numbers = ", ".join(f"{name} REAL" for name in columns)
        if measurement == READING:
            numbers += ", origin TEXT"
        statements += [
            f"CREATE TABLE IF NOT EXISTS {measurement}_row (series INTEGER NOT NULL, {time} INTEGER NOT NULL,"
            f" {numbers}, PRIMARY KEY (series, {time})) WITHOUT ROWID",
            _view(measurement),
        ]
    return statements


def _widen(db: sqlite3.Connection) -> None:
    """Add the columns that a file of an earlier version lacks; a view shows what its table has."""
    for measurement, columns in _COLUMNS.items():
        have = {row[1] for row in db.execute(f"PRAGMA table_info({measurement}_row)")}
        missing = [name for name in columns if name not in have]
        for name in missing:
            db.execute(f"ALTER TABLE {measurement}_row ADD COLUMN {name} REAL")
        if measurement == READING and "origin" not in have:
            missing.append("origin")
            db.execute("ALTER TABLE reading_row ADD COLUMN origin TEXT")
        if missing:
            db.execute(f"DROP VIEW {measurement}")
            db.execute(_view(measurement))


def _view(measurement: str) -> str:
    origin = ("origin",) if measurement == READING else ()
    columns = ", ".join(f"r.{name}" for name in (_TIME[measurement], *_COLUMNS[measurement], *origin))
    return (
        f"CREATE VIEW IF NOT EXISTS {measurement} AS SELECT s.gateway, s.meter, {columns}"  # noqa: S608
        f" FROM {measurement}_row r JOIN series s ON s.id = r.series"
    )


def _upsert(table: Table) -> str:
    time = _TIME[table.measurement]
    names = [column.name for column in table.columns]
    if table.origin:
        names.append("origin")
    marks = ", ".join("?" for _ in range(len(names) + 2))
    # A row whose registers were read in different rounds is filled by and by: no value overwrites none.
    updates = ", ".join(f"{name} = coalesce(excluded.{name}, {name})" for name in names)
    # Names come from our own catalogue, never from a message.
    return (
        f"INSERT INTO {table.measurement}_row (series, {time}, {', '.join(names)}) VALUES ({marks})"  # noqa: S608
        f" ON CONFLICT (series, {time}) DO UPDATE SET {updates}"
    )
