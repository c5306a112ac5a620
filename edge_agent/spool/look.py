"""Rounds of a spool for an observer: read-only, while its owner may be running. What has changed is left out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zlib import crc32

from edge_agent.errors import NoSpool
from metering.codec import decode, encode_packed
from metering.errors import DecodeError
from metering.message import Envelope
from metering.round import Round


def rounds_since(path: Path, since_ms: int) -> list[tuple[int, Round]]:
    """Number and content of every round that was spooled at or after an instant, oldest first.

    Raises:
        NoSpool: there is no such file, or it is no spool.
    """
    return list(_rounds(path, "polled_at >= ? ORDER BY seq", since_ms))


def rounds_after(path: Path, seq: int) -> list[tuple[int, Round]]:
    """Every round with a higher number, oldest first.

    Raises:
        NoSpool: there is no such file, or it is no spool.
    """
    return list(_rounds(path, "seq > ? ORDER BY seq", seq))


def marks_of(path: Path) -> dict[str, str]:
    """What the spool's owner has marked, by name; see ``Spool.marks``.

    Raises:
        NoSpool: there is no such file, or it is no spool.
    """
    return dict(_rows(path, "SELECT name, value FROM mark"))


def last_seq(path: Path) -> int:
    """The highest number held; 0 if there is none.

    Raises:
        NoSpool: there is no such file, or it is no spool.
    """
    return max((seq for (seq,) in _rows(path, "SELECT coalesce(max(seq), 0) FROM item")), default=0)


def _rounds(path: Path, which: str, argument: int) -> Iterator[tuple[int, Round]]:
    query = f"SELECT seq, crc32, body FROM item WHERE NOT gap AND {which}"  # noqa: S608 - our own words
    for seq, checksum, body in _rows(path, query, argument):
        if crc32(body) != checksum:
            continue
        try:
            content = decode(encode_packed(Envelope(0, seq, 0), body)).content
        except DecodeError:
            continue
        if isinstance(content, Round):
            yield seq, content


def _rows(path: Path, query: str, *arguments: int) -> list[tuple[Any, ...]]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            return db.execute(query, arguments).fetchall()
    except sqlite3.Error as error:
        raise NoSpool(f"{path}: {error}") from error
