"""One SQLite transaction a commit: sequence marks, engine state, events to relay, hash chain, quarantine.

What is acknowledged to a gateway is what this file holds. WAL and synchronous=FULL: a commit that returned
survives a power cut. One row a gateway in an ordinary rowid table, written once a commit however many of its rounds
the commit held. The quarantine is bounded: beyond its cap the oldest entries go, and are counted.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from collector.engine.chain_table import CHAIN_SCHEMA, append
from collector.errors import CannotStart, StoreBusy
from collector.ingest.sequence import Mark
from metering.codec import epoch_text

QUARANTINE_CAP: Final = 100_000

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS sequence (gateway TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,"
    " rounds INTEGER NOT NULL, rounds_lost INTEGER NOT NULL, rows_lost INTEGER NOT NULL, skipped INTEGER NOT NULL,"
    " UNIQUE (gateway, epoch))",
    "CREATE TABLE IF NOT EXISTS state (gateway TEXT NOT NULL UNIQUE, snapshot BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS outbox (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " topic TEXT NOT NULL, body TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS quarantine (n INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE,"
    " kind TEXT NOT NULL, origin TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL,"
    " first_at INTEGER NOT NULL, times INTEGER NOT NULL)",
    *CHAIN_SCHEMA,
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event on its way to the broker."""

    id: str
    topic: str
    body: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that was acknowledged but not stored, and why."""

    kind: Literal["message", "line"]
    origin: str  # gateway as the topic says, or the store
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A ``Refused`` as the quarantine keeps it."""

    n: int
    refused: Refused
    first_at: int  # ms
    times: int


class Checkpoint:
    """The state file; one connection behind a lock, because commits and the outbox run in different threads."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            CannotStart: it cannot be opened, or is not a database of ours.
        """
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            for statement in _SCHEMA:
                self._db.execute(statement)
        except (sqlite3.Error, OSError) as error:
            raise CannotStart(f"{path}: cannot be used for the collector's state: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def marks(self) -> list[tuple[str, int, Mark]]:
        """All sequence marks: gateway, epoch, mark."""
        rows = self._db.execute("SELECT gateway, epoch, seq, rounds, rounds_lost, rows_lost, skipped FROM sequence")
        return [(gateway, int(epoch, 16), Mark(*numbers)) for gateway, epoch, *numbers in rows]

    def snapshots(self) -> list[tuple[str, bytes]]:
        """Engine state by gateway."""
        return self._db.execute("SELECT gateway, snapshot FROM state").fetchall()

    def commit(
        self,
        marks: Iterable[tuple[str, int, Mark]],
        snapshots: Mapping[str, bytes],
        outgoing: Sequence[Outgoing] = (),
        refused: Sequence[Refused] = (),
        chained: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Write everything or nothing; ``chained`` are events (id, body) for the hash chain.

        Raises:
            StoreBusy: the disk is full or the file is locked; nothing was written.
        """
        with self._lock:
            self._commit(marks, snapshots, outgoing, refused, chained)

    def _commit(
        self,
        marks: Iterable[tuple[str, int, Mark]],
        snapshots: Mapping[str, bytes],
        outgoing: Sequence[Outgoing],
        refused: Sequence[Refused],
        chained: Sequence[tuple[str, str]],
    ) -> None:
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany(
                    "INSERT INTO sequence VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (gateway, epoch) DO UPDATE SET"
                    " seq = excluded.seq, rounds = excluded.rounds, rounds_lost = excluded.rounds_lost,"
                    " rows_lost = excluded.rows_lost, skipped = excluded.skipped",
                    ((g, epoch_text(e), m.seq, m.rounds, m.rounds_lost, m.rows_lost, m.skipped) for g, e, m in marks),
                )
                db.executemany(
                    "INSERT INTO state VALUES (?, ?) ON CONFLICT (gateway) DO UPDATE SET snapshot = excluded.snapshot",
                    snapshots.items(),
                )
                db.executemany(
                    "INSERT OR IGNORE INTO outbox (id, topic, body) VALUES (?, ?, ?)",
                    ((one.id, one.topic, one.body) for one in outgoing),
                )
                append(db, chained)
                self._keep(refused)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreBusy(f"{self.path}: {error}") from error

    def pending(self, most: int) -> list[Outgoing]:
        """The oldest events that nobody has confirmed yet."""
        with self._lock:
            rows = self._db.execute("SELECT id, topic, body FROM outbox ORDER BY n LIMIT ?", (most,)).fetchall()
        return [Outgoing(*row) for row in rows]

    def relayed(self, ids: Iterable[str]) -> None:
        """Forget events that the broker has taken.

        Raises:
            StoreBusy: the disk is full or the file is locked; they will be relayed again.
        """
        try:
            with self._lock:
                self._db.executemany("DELETE FROM outbox WHERE id = ?", ((one,) for one in ids))
        except sqlite3.Error as error:
            raise StoreBusy(f"{self.path}: {error}") from error

    def quarantined(self, kind: str | None = None) -> list[Quarantined]:
        """What was refused, oldest first."""
        rows = self._db.execute(
            "SELECT n, kind, origin, reason, payload, first_at, times FROM quarantine"
            " WHERE ? IS NULL OR kind = ? ORDER BY n",
            (kind, kind),
        )
        return [Quarantined(n, Refused(*rest), first_at, times) for n, *rest, first_at, times in rows]

    def release(self, numbers: Iterable[int]) -> None:
        """Forget entries of the quarantine that have found their way into the store."""
        self._db.executemany("DELETE FROM quarantine WHERE n = ?", ((n,) for n in numbers))

    def _keep(self, refused: Sequence[Refused]) -> None:
        now = time.time_ns() // 1_000_000
        self._db.executemany(
            "INSERT INTO quarantine (digest, kind, origin, reason, payload, first_at, times)"
            " VALUES (?, ?, ?, ?, ?, ?, 1) ON CONFLICT (digest) DO UPDATE SET times = times + 1",
            ((_digest(one), one.kind, one.origin, one.reason, one.payload, now) for one in refused),
        )
        if refused:
            self._db.execute("DELETE FROM quarantine WHERE n <= (SELECT max(n) FROM quarantine) - ?", (QUARANTINE_CAP,))


def read_sequence(path: Path) -> list[dict[str, Any]]:
    """The sequence marks of a state file that a collector may be writing: one dict a gateway and epoch.

    Raises:
        CannotStart: there is no such file, or it is none of ours.
    """
    if not path.exists():
        raise CannotStart(f"{path}: there is no such state file; has the collector run?")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM sequence ORDER BY gateway, epoch")]
    except sqlite3.Error as error:
        raise CannotStart(f"{path}: {error}") from error


def _digest(refused: Refused) -> str:
    return hashlib.sha256(refused.origin.encode() + b"\n" + refused.payload).hexdigest()
