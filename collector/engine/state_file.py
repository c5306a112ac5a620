"""A look into the state file that a collector may be writing: read-only, and closed again at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from collector.errors import CannotStart

_BUSY_S: Final = 10.0


@contextmanager
def looking_into(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write.

    Raises:
        CannotStart: there is no such file, or it is none of ours.
    """
    if not path.exists():
        raise CannotStart(f"{path}: there is no such state file; has the collector run?")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_BUSY_S)) as db:
            yield db
    except sqlite3.Error as error:
        raise CannotStart(f"{path}: {error}") from error


def has_table(db: sqlite3.Connection, name: str) -> bool:
    """Whether the file has a table: it is made by the first who writes to it."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None
