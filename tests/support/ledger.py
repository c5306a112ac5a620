"""What a gateway produced, value by value, and what the store holds of it; read without either program's help.

``Verdict`` of ``simulators.oracle`` compares keys. This compares whole rows and whole events, so that a row that was
stored under the right key with a wrong or a missing value is seen too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from collector.config import load
from collector.engine.engine import Engine
from collector.engine.fleet import Fleet
from metering.codec import Envelope, decode, encode_packed
from metering.round import NULL, Gap, Round, unpack
from simulators.oracle import Key
from tests.support.engines import judge

Values = dict[str, float]


def contents_of(spool: Path) -> list[Round | Gap]:
    """Everything a spool file holds, in the order of its numbers."""
    with closing(sqlite3.connect(f"{spool.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
        rows = db.execute("SELECT seq, first, body FROM item ORDER BY seq").fetchall()
    return [decode(encode_packed(Envelope(0, seq, seq - first), body)).content for seq, first, body in rows]


def rows_of(content: Round) -> Iterable[tuple[Key, Values]]:
    """Each row of a round as the store should hold it; a row of nulls holds its quality bits."""
    times, quality = unpack(content.measured_at, "q"), unpack(content.quality, "I")
    columns = []
    for column in content.columns:
        width = len(column.data) // content.rows
        columns.append((column, width, unpack(column.data, "i" if width == 4 else "q")))
    for row, meter in enumerate(content.meters):
        values = {
            column.quantity: integers[row] / 10**column.decimals
            for column, width, integers in columns
            if integers[row] != NULL[width]
        }
        if quality[row]:
            values["quality"] = float(quality[row])
        yield (content.gateway, meter, times[row]), values


def produced_rows(rounds: Iterable[Round]) -> dict[Key, Values]:
    """All rows of some rounds; no two rounds may hold the same meter and instant."""
    rows: dict[Key, Values] = {}
    for content in rounds:
        for key, values in rows_of(content):
            assert key not in rows, f"produced twice: {key}"
            rows[key] = values
    return rows


def stored_rows(url: str, database: str = "wattline") -> dict[Key, Values]:
    """All rows of an InfluxDB 1.x with all their fields."""
    rows: dict[Key, Values] = {}
    for series in ask(url, "SELECT * FROM reading GROUP BY gateway, meter", database):
        names = series["columns"][1:]
        for at, *values in series["values"]:
            key = (series["tags"]["gateway"], series["tags"]["meter"], at)
            rows[key] = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return rows


def stored_events(url: str, database: str = "wattline") -> list[tuple[str, str]]:
    """Id and body of every event of an InfluxDB 1.x, each as often as it is stored."""
    found = ask(url, "SELECT id, body FROM event", database)
    return sorted((identity, body) for series in found for _, identity, body in series["values"])


def undisturbed_events(collector_yaml: Path, rounds: Sequence[Round]) -> list[tuple[str, str]]:
    """Id and body of the events that a collector without any mishap finds in the same rounds."""
    configuration = load(collector_yaml)
    fleet = Fleet(configuration.registry, configuration.tariffs)
    engine = Engine(fleet, configuration.checks(), configuration.digest, version("wattline"))
    events = [event for content in rounds for event in judge(engine, [content]).events]
    return sorted((event.id, event.body()) for event in events)


def ask(url: str, statement: str, database: str = "wattline") -> list[dict[str, Any]]:
    """The series that answer an InfluxQL statement."""
    words = urlencode({"db": database, "epoch": "ms", "q": statement})
    with urlopen(Request(f"{url}/query", words.encode(), method="POST"), timeout=60) as response:
        (result,) = json.load(response)["results"]
    assert "error" not in result, result
    series: list[dict[str, Any]] = result.get("series", [])
    return series
