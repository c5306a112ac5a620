"""What an embedded store holds, so that two of them can be compared."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

Stored = dict[str, dict[Any, Any]]
"""Measurement → row's key → row; ``event``: id → body, without what was taken back."""


def stored(path: Path) -> Stored:
    found: Stored = {}
    with closing(sqlite3.connect(path)) as db:
        for name in ("reading", "load_block", "energy_day", "energy_month", "suspicion"):
            asked = db.execute(f"SELECT * FROM {name}")
            columns = [one[0] for one in asked.description]
            found[name] = {row[1:3]: _without_revision(columns, row) for row in asked}
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM event")]
    taken_back = {body["data"]["condition"] for body in bodies if body["data"]["lifecycle"] == "withdrawn"}
    found["event"] = {body["id"]: body for body in bodies if body["data"]["condition"] not in taken_back}
    return found


def _without_revision(columns: list[str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The figures of a row; a day that was stated twice is a revision, which the same day in time is not."""
    return tuple(value for name, value in zip(columns[3:], row[3:], strict=True) if name != "revision")


def same(one: Stored, other: Stored) -> None:
    for name, wanted in one.items():
        found = other[name]
        assert not [wanted.get(key, found.get(key)) for key in wanted.keys() ^ found.keys()], name
        different = {key: (row, found[key]) for key, row in wanted.items() if row != found[key]}
        assert not different, (name, len(different), next(iter(different.items())))
