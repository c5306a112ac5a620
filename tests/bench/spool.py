"""How many rounds a second the spool keeps, each safe from a power cut before the next begins.

This is the one subject measured in wall time: it is the disk that is asked. The peer keeps the same readings as most
gateways do, a transaction a reading, on the same file system and with the same guarantees.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from edge_agent.spool.spool import Spool
from metering.round import Round
from tests.bench.figures import Figure, compared
from tests.bench.readings import Row, World, rows_of
from tests.bench.usual import json_of

_METERS = 100
_MEBIBYTE = 1024 * 1024


def run(quick: bool) -> Iterator[Figure]:
    """Append rounds of a hundred meters."""
    rounds = World(1, _METERS).rounds(100 if quick else 300)
    batches = [rounds[i : i + 50] for i in range(0, len(rounds), 50)]
    with TemporaryDirectory(dir=".", prefix=".bench-") as folder:
        spool = Spool(Path(folder) / "spool.db", "gw-01", 256 * _MEBIBYTE, 86_400_000)
        ours, theirs = [], []
        with closing(spool), closing(_transactions(Path(folder) / "rows.db")) as database:
            for batch in batches:
                ours.append(_appended(spool, batch))
                theirs.append(_one_by_one(database, rows_of(batch[0])) / _METERS)
    rate, peer = median(ours), median(theirs)
    yield compared("spool, rounds of 100", "spool.appends_per_s", rate, "rounds/s", peer, "a transaction a reading")


def _appended(spool: Spool, batch: list[Round]) -> float:
    started_s = time.perf_counter()
    for content in batch:
        spool.append(content, content.scheduled_at)
    return len(batch) / (time.perf_counter() - started_s)


def _transactions(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE reading (n INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    return database


def _one_by_one(database: sqlite3.Connection, rows: list[Row]) -> float:
    started_s = time.perf_counter()
    for row in rows:
        database.execute("INSERT INTO reading (body) VALUES (?)", (json_of(row),))
    return len(rows) / (time.perf_counter() - started_s)
