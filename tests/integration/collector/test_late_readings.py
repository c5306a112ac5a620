"""Live, late, twice, in another order, from a file: the same readings end as the same findings and determinants."""

from __future__ import annotations

import asyncio
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
from collector.events.event import iso
from collector.ingest.intake import Arrival
from collector.registry.registry import Registry, load_registry
from metering.round import Origin
from simulators.history.files import write_history
from simulators.history.metering import History
from simulators.history.scenarios import Incident
from simulators.history.span import Span
from tests.support.pipelines import PipelineRoom
from tests.support.rounds import make_round, message
from tests.support.stored import same, stored

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
        await room.judge_late()
        await room.store.close()
        room.checkpoint.close()
    return stored(folder / "readings.db")


def revisions(path: Path) -> dict[tuple[str, int], float | None]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT meter, day_start, revision FROM energy_day").fetchall()
    return {(meter, at): revision for meter, at, revision in rows}


@pytest.fixture(scope="module")
def expected(town: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[Any, Any]]:
    """What readings that come in time end as."""
    registry, folder = load_registry(town / "registry.yaml"), tmp_path_factory.mktemp("in-order")
    return asyncio.run(collected(folder, registry, [messages(readings_of(town))]))


async def test_late_readings_end_as_readings_that_came_in_time(
    town: Path, expected: dict[str, dict[Any, Any]], tmp_path: Path
) -> None:
    registry, readings = load_registry(town / "registry.yaml"), readings_of(town)
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


async def test_a_restart_in_the_middle_changes_nothing(
    town: Path, expected: dict[str, dict[Any, Any]], tmp_path: Path
) -> None:
    registry, sent = load_registry(town / "registry.yaml"), messages(readings_of(town))
    middle = len(sent) // 2

    same(expected, await collected(tmp_path / "restarted", registry, [sent[:middle], sent[middle - 30 :]]))


def test_a_back_test_finds_the_same_events(town: Path, expected: dict[str, dict[Any, Any]], tmp_path: Path) -> None:
    lines = (town / "readings.csv").read_text(encoding="utf-8").splitlines()
    rows = lines[1:] + lines[1:200]
    random.Random(4).shuffle(rows)
    shuffled = tmp_path / "shuffled.csv"
    shuffled.write_text("\n".join([lines[0], *rows]) + "\n", encoding="utf-8")
    found = tmp_path / "events.jsonl"
    arguments = ["backtest", "--readings", shuffled, "--registry", town / "registry.yaml", "--events", found]

    ran = CliRunner().invoke(collector_cli, [str(one) for one in arguments])

    assert ran.exit_code == 0, ran.output
    bodies = [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
    ids = [body["id"] for body in bodies]
    assert sorted(ids) == sorted(set(ids))
    # The end of a file closes the days under way; live ones wait for more.
    last = iso(max(at for _, at in expected["suspicion"]) + 86_400_000)
    closed = {name for name, body in expected["event"].items() if body["time"] <= last}
    assert closed
    assert {body["id"] for body in bodies if body["time"] <= last} == closed
