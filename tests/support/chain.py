"""What a whole chain must have come to: every row and every judgement that follows from the rounds of a spool.

Expected is computed from the spool file alone, in this process: its rows as they stand, and what a fresh engine that
nothing ever disturbed makes of its rounds in their order. Found is read from InfluxDB itself, without the collector.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from collector.config import load
from collector.days.days import Days
from collector.engine.engine import Engine
from collector.engine.frame import blocks_of
from collector.store.table import (
    ENERGY_DAY,
    ENERGY_MONTH,
    FORECAST_BLOCK,
    FORECAST_DAY,
    FORECAST_MONTH,
    LOAD_BLOCK,
    SUSPICION,
    Table,
)
from metering.codec import decode, encode_packed
from metering.message import Envelope
from metering.round import Gap, Round, unpack
from tests.support.servers import Influxd

FORECASTS = (FORECAST_BLOCK, FORECAST_DAY, FORECAST_MONTH)

Key = tuple[str, str, int]  # gateway, meter, instant
Values = dict[str, float]


@dataclass
class Content:
    """Everything that matters of a store."""

    readings: dict[Key, Values] = field(default_factory=dict)
    determinants: dict[tuple[str, *Key], Values] = field(default_factory=dict)  # the measurement, then the key
    events: dict[str, str] = field(default_factory=dict)  # id → body
    repeated: list[str] = field(default_factory=list)  # keys and ids that stand there more than once


def rounds_in(spool: Path) -> list[Round]:
    """All rounds of a spool file in their order; a gap is a failure, because nothing was to be given up."""
    with closing(sqlite3.connect(f"{spool.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
        items = db.execute("SELECT seq, first, body FROM item ORDER BY seq").fetchall()
    assert [seq for seq, _, _ in items] == list(range(1, len(items) + 1)), "the numbers of the spool have a hole"
    contents = [decode(encode_packed(Envelope(0, seq, seq - first), body)).content for seq, first, body in items]
    gaps = [content for content in contents if isinstance(content, Gap)]
    assert not gaps, gaps
    return [content for content in contents if isinstance(content, Round)]


def expected_of(rounds: list[Round], collector_yaml: Path) -> Content:
    """What a collector that is never disturbed stores of these rounds."""
    configuration = load(collector_yaml)
    fleet = configuration.rules.fleet()
    engine = Engine(fleet, configuration.rules.checks(), configuration.digest, version("wattline"))
    days = Days(fleet, configuration.rules.closing(), configuration.digest)
    expected = Content()
    for content in rounds:
        _add_readings(expected, content)
        for block in blocks_of(fleet, [content]):
            for _, frame in block.frames():
                outcome = engine.process(frame)
                assert not outcome.switched, outcome.switched
                judged = days.take(outcome)
                for table in (*outcome.tables, *days.tables(judged)):
                    _add_determinants(expected, table)
                for event in (*outcome.events, *judged.events):
                    if event.id in expected.events:
                        expected.repeated.append(event.id)
                    expected.events[event.id] = event.body()
    return expected


def found_in(influxd: Influxd) -> Content:
    """What InfluxDB holds."""
    found = Content()
    for measurement in ("reading", LOAD_BLOCK, ENERGY_DAY, ENERGY_MONTH, SUSPICION, *FORECASTS):
        times: Counter[Key] = Counter()
        for series in influxd.query(f"SELECT * FROM {measurement} GROUP BY *"):
            gateway, meter = series["tags"]["gateway"], series["tags"]["meter"]
            for row in series["values"]:
                fields = dict(zip(series["columns"], row, strict=True))
                key = (gateway, meter, fields.pop("time"))
                times[key] += 1
                values = {name: value for name, value in fields.items() if value is not None}
                if measurement == "reading":
                    found.readings.setdefault(key, {}).update(values)
                else:
                    found.determinants.setdefault((measurement, *key), {}).update(values)
        found.repeated += [f"{measurement} {key}" for key, count in times.items() if count > 1]
    for series in influxd.query("SELECT id, body FROM event GROUP BY *"):
        for _, name, body in series["values"]:
            if name in found.events:
                found.repeated.append(name)
            found.events[name] = body
    return found


def differences(expected: Content, found: Content) -> list[str]:
    """What is missing, what is too much, and what is not the same; nothing if all is well."""
    said = [f"twice: {one}" for one in (*expected.repeated, *found.repeated)]
    for what in ("readings", "determinants", "events"):
        wanted, have = getattr(expected, what), getattr(found, what)
        said += [f"missing of {what}: {key}" for key in wanted.keys() - have.keys()]
        said += [f"nobody made this of {what}: {key}" for key in have.keys() - wanted.keys()]
        said += [
            f"another {what}: {key}: {wanted[key]} was stored as {have[key]}"
            for key in wanted.keys() & have.keys()
            if wanted[key] != have[key]
        ]
    return sorted(said)


def outbox_left(state: Path) -> list[str]:
    """Ids of events the broker has not taken yet."""
    with closing(sqlite3.connect(f"{state.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
        return [name for (name,) in db.execute("SELECT id FROM outbox")]


def kinds_of(events: dict[str, str]) -> Counter[str]:
    """How many events of each kind and stage."""
    return Counter(json.loads(body)["type"] for body in events.values())


def _add_readings(expected: Content, content: Round) -> None:
    columns = {column.quantity: column.values(content.rows) for column in content.columns}
    times, quality = unpack(content.measured_at, "q"), unpack(content.quality, "I")
    for row, (meter, at, bits) in enumerate(zip(content.meters, times, quality, strict=True)):
        key = (content.gateway, meter, at)
        if key in expected.readings:
            expected.repeated.append(f"spooled twice: {key}")
        values = {name: value for name, column in columns.items() if (value := column[row]) is not None}
        expected.readings[key] = values | ({"quality": float(bits)} if bits else {})


def _add_determinants(expected: Content, table: Table) -> None:
    for row, slot in enumerate(table.rows):
        series = table.series[slot]
        values = {
            column.name: int(column.integers[row]) / 10**column.decimals
            for column in table.columns
            if column.valid is None or column.valid[row]
        }
        key = (table.measurement, series.gateway, series.meter, int(table.at[row]))
        expected.determinants.setdefault(key, {}).update(values)
