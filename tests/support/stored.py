"""What an embedded store holds, so that two of them can be compared."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

FORECASTS = ("forecast_block", "forecast_day", "forecast_month")
Stored = dict[str, dict[Any, Any]]
"""Measurement → row's key → row; ``event``: id → body, without what was taken back."""


def stored(path: Path) -> Stored:
    found: Stored = {}
    with closing(sqlite3.connect(path)) as db:
        for name in ("reading", "load_block", "energy_day", "energy_month", "suspicion", *FORECASTS):
            asked = db.execute(f"SELECT * FROM {name}")
            columns = [one[0] for one in asked.description]
            found[name] = {row[1:3]: _without_revision(columns, row) for row in asked}
        known = {row[:2] for row in db.execute("SELECT meter, day_start FROM forecast_day WHERE known = 1")}
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM event")]
    found["forecast_block"] = _stated(found["forecast_block"], known)
    found["forecast_day"] = {key: row for key, row in found["forecast_day"].items() if key in known}
    months = found["forecast_month"].items()
    found["forecast_month"] = {key: row if row[0] else row[:3] for key, row in months}  # known, days left, so far
    taken_back = {body["data"]["condition"] for body in bodies if body["data"]["lifecycle"] == "withdrawn"}
    found["event"] = {body["id"]: body for body in bodies if body["data"]["condition"] not in taken_back}
    return found


def _stated(blocks: dict[Any, Any], known: set[tuple[str, int]]) -> dict[Any, Any]:
    """The blocks of days that are forecast; those of one that was taken back stay in the store, unsaid."""
    return {
        (meter, at): row
        for (meter, at), row in blocks.items()
        if any(meter == one and start <= at < start + 86_400_000 for one, start in known)
    }


def _without_revision(columns: list[str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The figures of a row, without what says how they came: the revision of a day, the origin of a reading."""
    told = ("revision", "origin")
    return tuple(value for name, value in zip(columns[3:], row[3:], strict=True) if name not in told)


def same(one: Stored, other: Stored) -> None:
    for name, wanted in one.items():
        found = other[name]
        assert not [wanted.get(key, found.get(key)) for key in wanted.keys() ^ found.keys()], name
        different = {key: (row, found[key]) for key, row in wanted.items() if row != found[key]}
        assert not different, (name, len(different), next(iter(different.items())))
