"""What can still be read from a spool file that was set aside.

Rows whose checksum holds are good, wherever they stand; the others are gone. Nothing here raises: a file that
gives nothing is an ordinary case.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from edge_agent.spool import tables
from edge_agent.spool.retention import Loss

_GIVE_UP_AFTER: Final = 10_000  # numbers in a row that cannot be read
_NEXT: Final = "SELECT seq, rows, polled_at, gap, crc32, body FROM item WHERE seq > ? ORDER BY seq LIMIT 1"


@dataclass(frozen=True, slots=True)
class Salvaged:
    """One round that had not been acknowledged."""

    seq: int  # in the damaged file
    rows: int
    polled_at: int
    body: bytes


def salvage(path: Path, after: int = 0) -> Iterator[Salvaged]:
    """The sound rounds of a damaged file behind a number that nobody has acknowledged, oldest first."""
    with suppress(sqlite3.Error, OSError), closing(sqlite3.connect(path, isolation_level=None)) as db:
        after, misses = max(after, _acknowledged(db)), 0
        while misses < _GIVE_UP_AFTER:
            try:
                found = db.execute(_NEXT, (after,)).fetchone()
            except sqlite3.DatabaseError:  # a page that cannot be read: step over its rows one by one
                after, misses = after + 1, misses + 1
                continue
            if found is None:
                return
            after, rows, polled_at, gap, crc, body = found
            misses = 0
            if not gap and isinstance(body, bytes) and crc32(body) == crc:
                yield Salvaged(after, rows, polled_at, body)


def salvage_marks(path: Path) -> dict[str, str]:
    """The marks of a damaged file; none if they cannot be read. Whoever wrote them does not trust them blindly."""
    with suppress(sqlite3.Error, OSError), closing(sqlite3.connect(path, isolation_level=None)) as db:
        return {str(name): str(value) for name, value in db.execute("SELECT name, value FROM mark")}
    return {}


def salvage_loss(path: Path) -> Loss | None:
    """What a damaged file had given up and nobody had taken care of; ``None`` if it does not say."""
    with suppress(sqlite3.Error, OSError, ValueError, TypeError), closing(sqlite3.connect(path)) as db:
        return Loss.of(tables.read_meta(db, "loss"))
    return None


def _acknowledged(db: sqlite3.Connection) -> int:
    with suppress(sqlite3.Error, ValueError):
        return int(tables.read_meta(db, "acknowledged") or 0)
    return 0
