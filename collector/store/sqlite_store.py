"""The embedded store: SQLite in WAL mode, for demonstrations and small sites without a server.

Same rows, same idempotency and same queries as on InfluxDB. Other processes may read while the collector writes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from collector.errors import CannotStart, StoreBusy
from collector.events.event import Event
from collector.store.sqlite_schema import BUSY_S, schema, upsert, widen
from collector.store.store import Rejected
from collector.store.table import Series, Table
from metering.meter_event import MeterEvents
from metering.round import unpack


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

    async def write(
        self,
        tables: Sequence[Table],
        events: Sequence[Event] = (),
        moved: Sequence[Event] = (),  # noqa: ARG002 - an event has one row, whatever its instant
    ) -> list[Rejected]:
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
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            for statement in schema():
                db.execute(statement)
            widen(db)
            rows = db.execute("SELECT id, gateway, meter FROM series").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise CannotStart(f"{self._path}: cannot be used as a store: {error}") from error
        self._db = db
        self._series = {Series(gateway, meter): number for number, gateway, meter in rows}

    def _put(self, db: sqlite3.Connection, tables: Sequence[Table], events: Sequence[Event]) -> None:
        for table in tables:
            db.executemany(upsert(table), self._rows(db, table))
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
