"""The tables of a spool file, and what is written into them, in the transaction of whoever calls."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final
from zlib import crc32

from edge_agent.spool.retention import Held
from edge_agent.spool.state import PAGE_BYTES, next_seq_of
from metering.packed_body import encode_body
from metering.round import Gap

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS item (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    first     INTEGER NOT NULL,  -- the item stands for first … seq
    rows      INTEGER NOT NULL,
    polled_at INTEGER NOT NULL,  -- ms since 1970 UTC
    gap       INTEGER NOT NULL,
    crc32     INTEGER NOT NULL,
    body      BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


def check(db: sqlite3.Connection) -> None:
    """One pass over the file, so that damage shows at the start and not in an outage.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
    """
    if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("the file is damaged")


def write_meta(db: sqlite3.Connection, meta: dict[str, str]) -> None:
    """What the spool remembers about itself, by key."""
    db.executemany(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", meta.items()
    )


def read_meta(db: sqlite3.Connection, key: str) -> str:
    """What the spool remembers about itself under one key; empty if nothing."""
    found = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(found[0]) if found else ""


def write_marks(db: sqlite3.Connection, marks: Mapping[str, str]) -> None:
    """What whoever fills the spool remembers, by name."""
    db.executemany(
        "INSERT INTO mark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", marks.items()
    )


def pages_of(body: bytes) -> int:
    """At most so many does an item take."""
    return len(body) // PAGE_BYTES + 2


def pages_of_marks(marks: Mapping[str, str]) -> int:
    """As many as they can need if all are new: leaves of the tree are half full at least."""
    return 2 * sum(len(name) + len(value) + 16 for name, value in marks.items()) // PAGE_BYTES + bool(marks)


def insert(db: sqlite3.Connection, rows: int, body: bytes, polled_at: int) -> int:
    """Put one item behind all others; return its number."""
    seq = next_seq_of(db)  # asked before: a row that is changed later takes its pages twice
    db.execute(
        "INSERT INTO item (seq, first, rows, polled_at, gap, crc32, body) VALUES (?1, ?1, ?2, ?3, 0, ?4, ?5)",
        (seq, rows, polled_at, crc32(body), body),
    )
    return seq


def put_gap(db: sqlite3.Connection, gateway: str, gap: Held, reason: str, polled_at: int) -> bytes:
    """Put a gap where its numbers were; return its body."""
    body = encode_body(Gap(gateway, gap.first, gap.seq, gap.rows, reason))
    db.execute(
        "INSERT OR REPLACE INTO item (seq, first, rows, polled_at, gap, crc32, body) VALUES (?, ?, ?, ?, 1, ?, ?)",
        (gap.seq, gap.first, gap.rows, polled_at, crc32(body), body),
    )
    return body
