"""Verdicts in the state file: written by whoever takes them (a command, the HTTP feed), read by everybody.

The collector writes the same file from another process: WAL, and a wait for the lock. A verdict is never changed; the
newest one about a case counts. What the verdict says to the consumers of the MQTT feed goes into the outbox in the same
transaction, and leaves when the collector looks there next, which is within two seconds.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from collector.engine.progress import Outgoing
from collector.engine.state_file import has_table, looking_into
from collector.errors import CannotStart, StoreBusy
from collector.feeds.case import Verdict

VERDICT_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS verdict (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " body TEXT NOT NULL)"
)
_BUSY_S: Final = 10.0


class Verdicts:
    """The verdicts of one state file; every call opens it anew."""

    def __init__(self, path: Path) -> None:
        """Use this state file; nothing is opened yet."""
        self._path = path

    def all(self) -> list[Verdict]:
        """All verdicts, in the order they were given; none if the file is not there yet.

        Raises:
            CannotStart: the file is none of ours, or holds a verdict that nobody can read.
        """
        if not self._path.exists():
            return []
        with looking_into(self._path) as db:
            rows = db.execute("SELECT body FROM verdict ORDER BY n").fetchall() if has_table(db, "verdict") else []
        try:
            return [Verdict.model_validate_json(body) for (body,) in rows]
        except ValidationError as error:
            raise CannotStart(f"{self._path}: {error}") from error

    def give(self, verdict: Verdict, announced: Iterable[Outgoing] = ()) -> str:
        """Keep a verdict and what is to be said about it; return its id. The same verdict again changes nothing.

        Raises:
            CannotStart: there is no state file.
            StoreBusy: the disk is full or the file stays locked; nothing was kept.
        """
        body = verdict.model_dump_json()
        name = hashlib.sha256(body.encode()).hexdigest()[:16]

        def keep(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR IGNORE INTO verdict (id, body) VALUES (?, ?)", (name, body))

        self._write(keep, announced)
        return name

    def announce(self, outgoing: Iterable[Outgoing]) -> None:
        """Put messages into the outbox of the collector.

        Raises:
            CannotStart: there is no state file.
            StoreBusy: the disk is full or the file stays locked; nothing was kept.
        """
        self._write(lambda _: None, outgoing)

    def _write(self, change: Callable[[sqlite3.Connection], None], announced: Iterable[Outgoing]) -> None:
        if not self._path.exists():
            raise CannotStart(f"{self._path}: there is no such state file; has the collector run?")
        try:
            with self._transaction() as db:
                change(db)
                db.executemany(
                    "INSERT OR IGNORE INTO outbox (id, topic, body) VALUES (?, ?, ?)",
                    ((one.id, one.topic, one.body) for one in announced),
                )
        except sqlite3.Error as error:
            raise StoreBusy(f"{self._path}: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_S)) as db:
            db.execute("PRAGMA synchronous=FULL")
            db.execute("BEGIN IMMEDIATE")
            try:
                db.execute(VERDICT_SCHEMA)
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
