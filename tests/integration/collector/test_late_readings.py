"""Live, late, twice, in another order, from a file: the same readings end as the same findings and determinants."""

from __future__ import annotations

import csv
import json
import random
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from collector.cli import cli as collector_cli
from collector.ingest.intake import Arrival
from collector.registry.registry import Registry, load_registry
from metering.round import Origin
from simulators.history.files import write_history
from simulators.history.metering import History
from simulators.history.scenarios import Incident
from simulators.history.span import Span
from tests.support.pipelines import PipelineRoom
from tests.support.rounds import make_round, message

FORECASTS = ("forecast_block", "forecast_day", "forecast_month")
_TEXT = ("measured_at", "meter_id", "meter_events")
Reading = tuple[int, str, dict[str, float | None]]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    incidents = (
        Incident("m0002", "current_loss", 2 * 96, 4 * 96 + 30),
        Incident("m0003", "slow_register", 2 * 96 + 40, 9 * 96, level=0.6),
        Incident("m0005", "over_capacity", 3 * 96, 6 * 96, 1.3, hours=(10.0, 14.0)),
        Incident("m0006", "bypass", 4 * 96 + 10, 7 * 96, level=0.08, phase=1),
        Incident("m0007", "h6", 4 * 96, 9 * 96),
        Incident("m0008", "h1", 0, 9 * 96, level=0.4),
    )
    folder = tmp_path_factory.mktemp("town") / "history"
    write_history(History(9, 16, Span(date(2026, 4, 20), 9), incidents), folder, "csv", "electrical")
    return folder


def readings_of(town: Path) -> list[Reading]:
    with (town / "readings.csv").open(encoding="utf-8") as lines:
        return [
            (
                round(datetime.fromisoformat(row["measured_at"]).timestamp() * 1000),
                row["meter_id"],
                {name: float(value) if value else None for name, value in row.items() if name not in _TEXT},
            )
            for row in csv.DictReader(lines)
        ]


def messages(readings: Sequence[Reading], start: int = 1, origin: Origin = Origin.LIVE) -> list[bytes]:
    """One round an instant (live) or a meter (backfill), in the order of the readings."""
    together: dict[Any, list[Reading]] = {}
    for reading in readings:
        together.setdefault(reading[0] if origin is Origin.LIVE else reading[1], []).append(reading)
    found = []
    for seq, rows in enumerate(together.values(), start):
        columns = {name: [values[name] for _, _, values in rows] for name in rows[0][2]}
        content = make_round(
            columns,
            meters=[meter for _, meter, _ in rows],
            at=rows[0][0],
            gateway="gw-1",
            period_ms=900_000,
            measured_at=[at for at, _, _ in rows],
            origin=origin,
        )
        found.append(message(content, seq))
    return found


async def collected(folder: Path, registry: Registry, batches: Iterable[Sequence[bytes]]) -> dict[str, dict[Any, Any]]:
    """What the store holds after a collector that is started anew for each batch has committed it."""
    for batch in batches:
        room = PipelineRoom(folder, registry)  # makes the folder
        await room.store.prepare()
        for n in range(0, len(batch), 40):
            await room.pipeline.commit([Arrival("00", "gw-1", one) for one in batch[n : n + 40]])
        await room.pipeline._judge_late()
        await room.store.close()
        room.checkpoint.close()
    return stored(folder / "readings.db")


def stored(path: Path) -> dict[str, dict[Any, Any]]:
    found: dict[str, dict[Any, Any]] = {}
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
    """The figures of a row; a day that was stated twice is a revision, which the same day in time is not."""
    return tuple(value for name, value in zip(columns[3:], row[3:], strict=True) if name != "revision")


def revisions(path: Path) -> dict[tuple[str, int], float | None]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT meter, day_start, revision FROM energy_day").fetchall()
    return {(meter, at): revision for meter, at, revision in rows}


async def in_order(town: Path, folder: Path) -> dict[str, dict[Any, Any]]:
    registry = load_registry(town / "registry.yaml")
    return await collected(folder / "in-order", registry, [messages(readings_of(town))])


def same(one: dict[str, dict[Any, Any]], other: dict[str, dict[Any, Any]]) -> None:
    for name, wanted in one.items():
        found = other[name]
        assert not [wanted.get(key, found.get(key)) for key in wanted.keys() ^ found.keys()], name
        different = {key: (row, found[key]) for key, row in wanted.items() if row != found[key]}
        assert not different, (name, len(different), next(iter(different.items())))


async def test_late_readings_end_as_readings_that_came_in_time(town: Path, tmp_path: Path) -> None:
    registry, readings = load_registry(town / "registry.yaml"), readings_of(town)
    expected = await in_order(town, tmp_path)
    rng = random.Random(3)
    meters = sorted({meter for _, meter, _ in readings})
    gone = {meter for meter in meters if rng.random() < 0.4}
    days = sorted({at // 86_400_000 for at, _, _ in readings})
    late = [one for one in readings if one[1] in gone and days[3] <= one[0] // 86_400_000 < days[5]]
    held = {(at, meter) for at, meter, _ in late}
    live = messages([one for one in readings if one[:2] not in held])
    backfill = messages(late, len(live) + 1, Origin.BACKFILL)
    assert len(late) > 500
    assert expected["event"]

    same(expected, await collected(tmp_path / "late", registry, [live, backfill]))
    stated = revisions(tmp_path / "late" / "readings.db")
    assert {revision for (meter, _), revision in stated.items() if meter not in gone} == {None}
    assert {revision for (meter, _), revision in stated.items() if meter in gone} == {None, 1.0}


async def test_a_restart_in_the_middle_changes_nothing(town: Path, tmp_path: Path) -> None:
    registry, sent = load_registry(town / "registry.yaml"), messages(readings_of(town))
    expected = await in_order(town, tmp_path)
    middle = len(sent) // 2

    same(expected, await collected(tmp_path / "restarted", registry, [sent[:middle], sent[middle - 30 :]]))


async def test_a_back_test_finds_the_same_events(town: Path, tmp_path: Path) -> None:
    expected = await in_order(town, tmp_path)
    lines = (town / "readings.csv").read_text(encoding="utf-8").splitlines()
    rows = lines[1:] + lines[1:200]
    random.Random(4).shuffle(rows)
    shuffled = tmp_path / "shuffled.csv"
    shuffled.write_text("\n".join([lines[0], *rows]) + "\n", encoding="utf-8")
    found = tmp_path / "events.jsonl"
    arguments = ["backtest", "--readings", shuffled, "--registry", town / "registry.yaml", "--events", found]

    ran = CliRunner().invoke(collector_cli, [str(one) for one in arguments])

    assert ran.exit_code == 0, ran.output
    ids = [json.loads(line)["id"] for line in found.read_text(encoding="utf-8").splitlines()]
    assert sorted(ids) == sorted(set(ids))
    assert set(ids) == set(expected["event"])
