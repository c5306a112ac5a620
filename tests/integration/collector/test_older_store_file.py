"""A store file of an earlier version gets the columns it lacks, and keeps its rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from collector.store.sqlite_queries import SqliteQueries
from collector.store.sqlite_store import SqliteStore
from collector.store.store import EnergyDayRow, Latest
from tests.support.rounds import T0


async def test_an_older_file_is_widened(tmp_path: Path) -> None:
    path = tmp_path / "readings.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE series (id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, meter TEXT NOT NULL)")
        db.execute(
            "CREATE TABLE energy_day_row (series INTEGER NOT NULL, day_start INTEGER NOT NULL, total REAL,"
            " PRIMARY KEY (series, day_start)) WITHOUT ROWID"
        )
        db.execute(
            "CREATE VIEW energy_day AS SELECT s.gateway, s.meter, r.day_start, r.total"
            " FROM energy_day_row r JOIN series s ON s.id = r.series"
        )
        db.execute(
            "CREATE TABLE reading_row (series INTEGER NOT NULL, measured_at INTEGER NOT NULL, active_power REAL,"
            " quality REAL, PRIMARY KEY (series, measured_at)) WITHOUT ROWID"
        )
        db.execute(
            "CREATE VIEW reading AS SELECT s.gateway, s.meter, r.measured_at, r.active_power, r.quality"
            " FROM reading_row r JOIN series s ON s.id = r.series"
        )
        db.execute("INSERT INTO reading_row VALUES (1, ?, 2.5, NULL)", (T0,))
        db.execute("INSERT INTO series VALUES (1, 'gw-1', 'm-1')")
        db.execute("INSERT INTO energy_day_row VALUES (1, ?, 12.5)", (T0,))

    for _ in range(2):
        store = SqliteStore(path)
        await store.prepare()
        await store.close()

    assert SqliteQueries(path).latest() == [Latest("gw-1", "m-1", T0, {"active_power": 2.5})]
    assert SqliteQueries(path).meter_events(0, 2**43) == []
    assert SqliteQueries(path).energy(0, 2**43) == [EnergyDayRow("gw-1", "m-1", T0, {"total": 12.5})]
