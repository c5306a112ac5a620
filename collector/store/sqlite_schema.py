"""The tables and views of an embedded store, whoever writes or asks it.

One table a measurement, a row a series and instant. A view by the measurement's name (``reading``, ``energy_day`` …)
gives every row its gateway and meter, so that ``sqlite3 readings.db`` is enough to look around.
"""

from __future__ import annotations

import sqlite3
from typing import Final

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
    READING,
    SUSPICION,
    SUSPICION_COLUMNS,
    Table,
)
from metering.quantity import QUANTITIES

COLUMNS: Final = {
    READING: (*QUANTITIES, "quality"),
    LOAD_BLOCK: LOAD_BLOCK_COLUMNS,
    ENERGY_DAY: ENERGY_DAY_COLUMNS,
    ENERGY_MONTH: ENERGY_DAY_COLUMNS,
    SUSPICION: SUSPICION_COLUMNS,
    FORECAST_BLOCK: FORECAST_BLOCK_COLUMNS,
    FORECAST_DAY: FORECAST_DAY_COLUMNS,
    FORECAST_MONTH: FORECAST_MONTH_COLUMNS,
}
TIME: Final = {
    READING: "measured_at",
    LOAD_BLOCK: "block_start",
    ENERGY_DAY: "day_start",
    ENERGY_MONTH: "month_start",
    SUSPICION: "day_start",
    FORECAST_BLOCK: "block_start",
    FORECAST_DAY: "day_start",
    FORECAST_MONTH: "month_start",
}
BUSY_S: Final = 5.0
"""How long a connection waits for another one."""


def schema() -> list[str]:
    """The statements that create what a file lacks."""
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
    for measurement, columns in COLUMNS.items():
        time = TIME[measurement]
        numbers = ", ".join(f"{name} REAL" for name in columns)
        if measurement == READING:
            numbers += ", origin TEXT"
        statements += [
            f"CREATE TABLE IF NOT EXISTS {measurement}_row (series INTEGER NOT NULL, {time} INTEGER NOT NULL,"
            f" {numbers}, PRIMARY KEY (series, {time})) WITHOUT ROWID",
            _view(measurement),
        ]
    return statements


def widen(db: sqlite3.Connection) -> None:
    """Add the columns that a file of an earlier version lacks; a view shows what its table has."""
    for measurement, columns in COLUMNS.items():
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
    columns = ", ".join(f"r.{name}" for name in (TIME[measurement], *COLUMNS[measurement], *origin))
    return (
        f"CREATE VIEW IF NOT EXISTS {measurement} AS SELECT s.gateway, s.meter, {columns}"  # noqa: S608
        f" FROM {measurement}_row r JOIN series s ON s.id = r.series"
    )


def upsert(table: Table) -> str:
    """The statement that stores one row of a table: series, instant, its columns, its origin if it has one."""
    time = TIME[table.measurement]
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
