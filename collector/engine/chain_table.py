"""The hash chain as a table of the state file: appended in the transaction that commits the events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from collector.engine.state_file import looking_into
from collector.events.chain import GENESIS, Link, body_digest, link_after

CHAIN_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS chain (n INTEGER PRIMARY KEY, id TEXT NOT NULL, digest TEXT NOT NULL,"
    " previous TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS chain_id ON chain (id, n)",
)


def append(db: sqlite3.Connection, events: Iterable[tuple[str, str]]) -> None:
    """Add a link for every event (id, body) whose newest link has another body; within the caller's transaction."""
    head = db.execute("SELECT n, hash FROM chain ORDER BY n DESC LIMIT 1").fetchone()
    n, previous = head or (0, GENESIS)
    for event_id, body in events:
        digest = body_digest(body)
        newest = db.execute("SELECT digest FROM chain WHERE id = ? ORDER BY n DESC LIMIT 1", (event_id,)).fetchone()
        if newest == (digest,):
            continue
        link = link_after(previous, n + 1, event_id, digest)
        db.execute("INSERT INTO chain VALUES (?, ?, ?, ?, ?)", (link.n, link.id, link.digest, link.previous, link.hash))
        n, previous = link.n, link.hash


def read_chain(path: Path) -> list[Link]:
    """All links of a state file that a collector may be writing.

    Raises:
        CannotStart: there is no such file, or it is none of ours.
    """
    with looking_into(path) as db:
        return [Link(*row) for row in db.execute("SELECT n, id, digest, previous, hash FROM chain ORDER BY n")]
