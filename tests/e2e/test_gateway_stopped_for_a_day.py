"""A gateway without power for 26 hours: what its meters remember is read back, and the day is billed as if nothing was.

The meters of one endpoint speak DLMS and keep a load profile; those of the other speak Modbus and keep nothing, so that
their day shows what a day is without. While nobody looked, one cover was opened: the meter's own log tells it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edge_agent.spool.look import rounds_after
from metering.clock import SimulatedClock
from metering.round import FAILED, Origin, Quality, unpack
from simulators.program import Program
from simulators.stack import script
from tests.support.roadside import Roadside
from tests.support.servers import Mosquitto
from tests.support.waiting import until

pytestmark = pytest.mark.servers

SPEED = 600
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
QUARTER_MS = 900_000
PERIOD_MS = 300_000
LOST_DAY = "2026-06-19"
REMEMBERING, FORGETTING = ("shop-101", "shop-102"), ("kitchen-301", "kitchen-302")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path / "broker")
    one.start()
    yield one
    one.kill()


async def query(street: Roadside, *words: str) -> list[dict[str, Any]]:
    """What operations see."""
    config = str(street.stack.folder / "collector.yaml")
    process = await asyncio.create_subprocess_exec(
        script("wattline-collector"), "query", *words, "--json", "-c", config, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    rows: list[dict[str, Any]] = json.loads(out)
    return rows


def ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


async def coverage(street: Roadside, meters: tuple[str, ...]) -> list[float]:
    """Of the lost day."""
    found = {row["meter"]: row["coverage"] for row in await query(street, "energy") if row["day"] == LOST_DAY}
    return [found.get(meter, 0.0) for meter in meters]


async def run_from(street: Roadside, at_ms: int) -> Program:
    """Meters and gateway, from an instant on."""
    for name in ("edge", "park"):
        if name in street.stack.programs:
            await street.stack.programs[name].kill()
    street.clock = SimulatedClock(at_ms, SPEED, time.time_ns() // 1_000_000)
    await street.stack.start_park(str(street.clock))
    return await street.stack.start_edge(str(street.clock))


async def test_a_day_without_the_gateway_is_billed_from_what_the_meters_remember(
    tmp_path: Path, broker: Mosquitto
) -> None:
    lines = [{"line": "dlms_tcp"}, {"line": "modbus_tcp"}]
    opened = {"meter": "shop-102", "scenario": "cover_opened", "after": "12h", "lasts": "10min"}
    park: dict[str, object] = {"trades": {"retail": 2, "catering": 2}, "meters_per_endpoint": 2}
    park |= {"start": f"{LOST_DAY[:-2]}18T22:30:00+08:00", "lines": lines, "scenarios": [opened]}
    street = Roadside(tmp_path / "street", broker.port, SPEED, **park)
    midnight_ms = street.park.start_ms + HOUR_MS * 3 // 2
    async with street.stack:
        await street.stack.start_collector()
        await run_from(street, street.park.start_ms)
        await until(lambda: street.clock.now_ms() > midnight_ms + QUARTER_MS, "a quarter past midnight", 60)
        before = len(rounds_after(street.spool, 0))
        back_ms = midnight_ms + 26 * HOUR_MS + QUARTER_MS
        await run_from(street, back_ms)
        async with asyncio.timeout(120):
            while min(await coverage(street, REMEMBERING)) < 1:
                await asyncio.sleep(0.5)
        await until(lambda: street.clock.now_ms() > back_ms + 2 * HOUR_MS, "two hours of polling", 60)
        days = {row["meter"]: row for row in await query(street, "energy") if row["day"] == LOST_DAY}
        events = await query(street, "events")
        log = await query(street, "meter-events")

    assert before > 10
    rounds = [one for _, one in rounds_after(street.spool, 0)]
    read_back = [one for one in rounds if one.origin is Origin.BACKFILL]
    instants = {
        meter: {
            at
            for one in read_back
            for named, at in zip(one.meters, unpack(one.measured_at, "q"), strict=True)
            if named == meter
        }
        for meter in REMEMBERING
    }
    lost = range(midnight_ms + 2 * QUARTER_MS, back_ms - QUARTER_MS, QUARTER_MS)
    assert all(set(lost) <= instants[meter] for meter in REMEMBERING)

    live = [one for one in rounds if one.origin is Origin.LIVE and one.group == "main" and one.scheduled_at >= back_ms]
    ticks = [one.scheduled_at for one in live]
    assert ticks == list(range(ticks[0], ticks[-1] + 1, PERIOD_MS))
    assert not any(bits & (FAILED | Quality.OVERRUN) for one in live for bits in unpack(one.quality, "I"))

    for meter in REMEMBERING:
        truth = next(one.meter for one in street.park.meters if one.meter.name == meter)
        kwh = sum(truth.reading(midnight_ms + 24 * HOUR_MS).import_kwh) - sum(truth.reading(midnight_ms).import_kwh)
        assert days[meter]["coverage"] == 1
        assert days[meter]["total"] == pytest.approx(kwh, abs=0.05)
    assert all(days[meter]["coverage"] < 0.1 for meter in FORGETTING)
    opened_ms = street.park.start_ms + 12 * HOUR_MS
    assert [(one["meter"], one["event"], ms(one["at"])) for one in log] == [
        ("shop-102", "cover_opened", opened_ms),
        ("shop-102", "cover_closed", opened_ms + 10 * MINUTE_MS),
    ]
    kinds = {(one["data"]["kind"], one["data"]["meter"]) for one in events}
    assert ("cover_opened", "shop-102") in kinds
    assert not [kind for kind, _ in kinds if kind.startswith("register")]
