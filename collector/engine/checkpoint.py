"""One SQLite transaction a commit: sequence marks, engine state, events, hash chain, quarantine.

The approvals that arrive at run time are kept here too, each list by a transaction of its own.

What is acknowledged to a gateway is what this file holds. WAL and synchronous=FULL: a commit that returned
survives a power cut. One row a gateway in an ordinary rowid table, written once a commit however many of its rounds
the commit held. The quarantine is bounded: beyond its cap the oldest entries go, and are counted.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from collector.engine.chain_table import CHAIN_SCHEMA, append
from collector.engine.progress import Outgoing, Progress, Quarantined, Refused
from collector.engine.state_file import has_table, looking_into
from collector.errors import CannotStart, StoreBusy
from collector.ingest.sequence import Mark
from metering.message import epoch_text

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
    "CREATE TABLE IF NOT EXISTS newest (gateway TEXT NOT NULL UNIQUE, snapshot BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS past_state (gateway TEXT NOT NULL, upto INTEGER NOT NULL, snapshot BLOB NOT NULL,"
    " UNIQUE (gateway, upto))",
    "CREATE TABLE IF NOT EXISTS open_days (gateway TEXT NOT NULL UNIQUE, snapshot BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS closed_day (site TEXT NOT NULL, day TEXT NOT NULL, body BLOB NOT NULL,"
    " UNIQUE (site, day))",
    "CREATE TABLE IF NOT EXISTS festival_day (site TEXT NOT NULL, day TEXT NOT NULL, body BLOB NOT NULL,"
    " UNIQUE (site, day))",
    "CREATE TABLE IF NOT EXISTS late (gateway TEXT NOT NULL UNIQUE, since INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS late_log (gateway TEXT NOT NULL UNIQUE, since INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS approval (meter TEXT NOT NULL UNIQUE, body BLOB NOT NULL)",
    *CHAIN_SCHEMA,
)

PAST_STATES: Final = 42
"""Days of engine state that are kept for each gateway: late readings of so long ago are judged."""

_CLOSED_DAYS: Final = 98  # as many as ``collector.days`` remembers
_FESTIVAL_DAYS: Final = 64


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

    def commit(self, progress: Progress) -> None:
        """Write everything or nothing.

        Raises:
            StoreBusy: the disk is full or the file is locked; nothing was written.
        """
        with self._lock:
            db = self._db
            try:
                db.execute("BEGIN IMMEDIATE")
                try:
                    self._write(progress)
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise StoreBusy(f"{self.path}: {error}") from error

    def _write(self, progress: Progress) -> None:
        db = self._db
        db.executemany(
            "INSERT INTO sequence VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (gateway, epoch) DO UPDATE SET"
            " seq = excluded.seq, rounds = excluded.rounds, rounds_lost = excluded.rounds_lost,"
            " rows_lost = excluded.rows_lost, skipped = excluded.skipped",
            ((g, epoch_text(e), m.seq, m.rounds, m.rounds_lost, m.rows_lost, m.skipped) for g, e, m in progress.marks),
        )
        for table, snapshots in (
            ("state", progress.snapshots),
            ("newest", progress.newest),
            ("open_days", progress.open_days),
        ):
            db.executemany(
                f"INSERT INTO {table} VALUES (?, ?)"  # noqa: S608 - one of the three names above
                " ON CONFLICT (gateway) DO UPDATE SET snapshot = excluded.snapshot",
                snapshots.items(),
            )
        self._write_days(progress)
        db.executemany(
            "INSERT INTO outbox (id, topic, body) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            ((one.id, one.topic, one.body) for one in progress.outgoing),
        )
        append(db, progress.chained)
        self._keep(progress.refused)

    def _write_days(self, progress: Progress) -> None:
        db = self._db
        for gateway, since in progress.judged_again.items():
            db.execute("DELETE FROM past_state WHERE gateway = ? AND upto > ?", (gateway, since))
            db.execute("DELETE FROM late WHERE gateway = ?", (gateway,))
        db.executemany("INSERT OR REPLACE INTO past_state VALUES (?, ?, ?)", progress.past)
        for gateway in {gateway for gateway, _, _ in progress.past}:
            db.execute(
                "DELETE FROM past_state WHERE gateway = ? AND upto NOT IN"
                " (SELECT upto FROM past_state WHERE gateway = ? ORDER BY upto DESC LIMIT ?)",
                (gateway, gateway, PAST_STATES),
            )
        db.executemany("DELETE FROM late_log WHERE gateway = ?", ((one,) for one in progress.logs_judged_again))
        for table, late in (("late", progress.late), ("late_log", progress.late_logs)):
            db.executemany(
                f"INSERT INTO {table} VALUES (?, ?)"  # noqa: S608 - one of these two
                " ON CONFLICT (gateway) DO UPDATE SET since = min(since, excluded.since)",
                late.items(),
            )
        for table, days, most in (
            ("closed_day", progress.closed_days, _CLOSED_DAYS),
            ("festival_day", progress.festivals, _FESTIVAL_DAYS),
        ):
            db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", days)  # noqa: S608 - one of these two
            for site in {site for site, _, _ in days}:
                db.execute(
                    f"DELETE FROM {table} WHERE site = ? AND day NOT IN"  # noqa: S608 - the same
                    f" (SELECT day FROM {table} WHERE site = ? ORDER BY day DESC LIMIT ?)",
                    (site, site, most),
                )

    def newest(self) -> list[tuple[str, bytes]]:
        """The newest reading of each meter, by gateway."""
        return self._db.execute("SELECT gateway, snapshot FROM newest").fetchall()

    def open_days(self) -> list[tuple[str, bytes]]:
        """The days under way, by gateway."""
        return self._db.execute("SELECT gateway, snapshot FROM open_days").fetchall()

    def closed_days(self) -> list[tuple[str, bytes]]:
        """Site and closed day, oldest first."""
        return self._db.execute("SELECT site, body FROM closed_day ORDER BY site, day").fetchall()

    def festivals(self) -> list[tuple[str, bytes]]:
        """Site and what a festival day brought, oldest first."""
        return self._db.execute("SELECT site, body FROM festival_day ORDER BY site, day").fetchall()

    def late(self) -> dict[str, int]:
        """Gateways that have to be judged again, and since when."""
        return dict(self._db.execute("SELECT gateway, since FROM late").fetchall())

    def late_logs(self) -> dict[str, int]:
        """Gateways whose meters' logs have to be judged again, and since when."""
        return dict(self._db.execute("SELECT gateway, since FROM late_log").fetchall())

    def past_state(self, gateway: str, before: int) -> tuple[int, bytes] | None:
        """The last kept state of a gateway whose last reading is older than ``before``: its instant, the state."""
        with self._lock:
            found: tuple[int, bytes] | None = self._db.execute(
                "SELECT upto, snapshot FROM past_state WHERE gateway = ? AND upto < ? ORDER BY upto DESC LIMIT 1",
                (gateway, before),
            ).fetchone()
        return found

    def past_states_span(self, gateway: str) -> tuple[int, int] | None:
        """The instants of the oldest and of the newest state that is kept of a gateway."""
        with self._lock:
            oldest, newest = self._db.execute(
                "SELECT min(upto), max(upto) FROM past_state WHERE gateway = ?", (gateway,)
            ).fetchone()
        return None if oldest is None else (oldest, newest)

    def approvals(self) -> dict[str, bytes]:
        """The lists of approvals that arrived, by meter."""
        with self._lock:
            return dict(self._db.execute("SELECT meter, body FROM approval ORDER BY meter").fetchall())

    def keep_approvals(self, meter: str, body: bytes) -> None:
        """Keep the list of approvals of a meter in the place of the one before.

        Raises:
            StoreBusy: the disk is full or the file is locked; nothing was written.
        """
        try:
            with self._lock:
                self._db.execute(
                    "INSERT INTO approval VALUES (?, ?) ON CONFLICT (meter) DO UPDATE SET body = excluded.body",
                    (meter, body),
                )
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
    with looking_into(path) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM sequence ORDER BY gateway, epoch")]


def read_approval_lists(path: Path) -> dict[str, bytes]:
    """The lists of approvals in a state file that a collector may be writing; none if there is no such file.

    Raises:
        CannotStart: it is none of ours.
    """
    if not path.exists():
        return {}
    with looking_into(path) as db:
        return dict(db.execute("SELECT meter, body FROM approval").fetchall()) if has_table(db, "approval") else {}


def _digest(refused: Refused) -> str:
    return hashlib.sha256(refused.origin.encode() + b"\n" + refused.payload).hexdigest()
