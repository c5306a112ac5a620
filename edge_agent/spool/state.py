"""How full a spool is and how far it has got; for its owner, and for a look from outside that touches nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.errors import NoSpool

PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class SpoolState:
    """How full the spool is and how far it has got."""

    epoch: int
    oldest: int  # oldest number held; equals next_seq if the spool is empty
    next_seq: int
    acknowledged: int
    unacknowledged: int  # items
    oldest_unacknowledged_at: int | None  # ms since 1970 UTC
    share: float  # of the page cap
    evicted_rows: int


def read_state(path: Path, max_bytes: int) -> SpoolState:
    """Look at a spool without touching it, while its owner may be running.

    Raises:
        NoSpool: there is no such file, or it is no spool.
    """
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    except sqlite3.Error as error:
        raise NoSpool(f"{path}: {error}") from error
    try:
        meta = dict(db.execute("SELECT key, value FROM meta"))
        acknowledged, evicted = int(meta.get("acknowledged", 0)), int(meta.get("evicted_rows", 0))
        return state_of(db, int(meta["epoch"], 16), acknowledged, evicted, max(max_bytes // PAGE_BYTES, 1))
    except (sqlite3.Error, KeyError, ValueError) as error:
        raise NoSpool(f"{path}: {error}") from error
    finally:
        db.close()


def state_of(db: sqlite3.Connection, epoch: int, acknowledged: int, evicted_rows: int, max_pages: int) -> SpoolState:
    """Everything at once, read through the owner's or an observer's connection."""
    waiting, since = db.execute(
        "SELECT count(*), (SELECT polled_at FROM item WHERE seq > ?1 ORDER BY seq LIMIT 1) FROM item WHERE seq > ?1",
        (acknowledged,),
    ).fetchone()
    share = min(used_pages_of(db) / max_pages, 1.0)
    return SpoolState(epoch, oldest_of(db), next_seq_of(db), acknowledged, waiting, since, share, evicted_rows)


def oldest_of(db: sqlite3.Connection) -> int:
    """First number of the oldest item; the next to be given out if there is none."""
    row = db.execute("SELECT first FROM item ORDER BY seq LIMIT 1").fetchone()
    return int(row[0]) if row else next_seq_of(db)


def next_seq_of(db: sqlite3.Connection) -> int:
    """The number the next item gets."""
    last: int = db.execute(
        "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'item'), 0),"
        " coalesce((SELECT max(seq) FROM item), 0))"
    ).fetchone()[0]
    return last + 1


def used_pages_of(db: sqlite3.Connection) -> int:
    """Pages that hold something."""
    pages: int = db.execute("PRAGMA page_count").fetchone()[0]
    free: int = db.execute("PRAGMA freelist_count").fetchone()[0]
    return pages - free
