"""Nothing is lost and nothing is stored twice, whatever is killed, and whenever.

Fifty meters are polled over real Modbus sockets while edge, collector, broker and store are killed with SIGKILL, each
ten times or more, at moments drawn from a seed, independently of each other: sometimes two or three of them are away
together. Then it becomes quiet, everything drains, and what the edge's spool says it has produced is compared with what
the store holds, value by value. The events are compared with those of a collector that nobody disturbed.

What is promised about events: the store has each of them once, with the body it would have without any mishap. On
MQTT each is sent until the broker has taken it (at least once); a broker that dies with what it has taken takes it
along, and a subscriber that is away misses what passes. So what is heard is a part of what is stored, never anything
else.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from collector.engine.checkpoint import read_sequence
from metering.clock import SimulatedClock
from metering.codec import read_envelope
from metering.round import Round
from metering.topics import Topics
from simulators.oracle import judge, last_number, produced_in, stored_in_influx
from simulators.park import Park, ParkSettings, expand
from simulators.stack import Stack, free_port
from tests.support.ear import Ear, hearing
from tests.support.ledger import ask, contents_of, produced_rows, stored_events, stored_rows, undisturbed_events
from tests.support.waiting import until

SEED = 20260618
KILLS = 10  # of each of the four
ENDPOINTS = 5
SPEED = 1200  # a five-minute round every quarter of a second
STILL = 1e-6  # a clock that stands still for all practical purposes
BOUND_S = 240  # never reached; a test that hangs ends by itself
GATEWAY = "park-50"
TOPICS = Topics()


def a_park() -> Park:
    """Fifty meters; with four of them something is wrong from early on, so that there are events to lose."""
    scenarios = [
        {"meter": "shop-101", "scenario": "current_loss", "after": "1h", "lasts": "6h"},
        {"meter": "works-203", "scenario": "current_loss", "after": "9h", "lasts": "5h"},
        {"meter": "shop-104", "scenario": "slow_register", "after": "0h", "lasts": "90h"},
        {"meter": "kitchen-302", "scenario": "bypass", "after": "10h", "lasts": "14h"},
        {"meter": "works-202", "scenario": "overload", "after": "4h", "lasts": "4h"},
        {"meter": "online-501", "scenario": "approved_surge", "after": "8h", "lasts": "5h"},
        {"meter": "online-502", "scenario": "over_approved", "after": "6h", "lasts": "8h"},
    ]
    settings = {
        "park": GATEWAY,
        "seed": 11,
        "start": datetime.fromisoformat("2026-06-18T08:00:00+08:00"),
        "port": free_port(ENDPOINTS),
        "meters_per_endpoint": 10,
        "every": "5min",
        "trades": {"retail": 10, "manufacturing": 10, "catering": 10, "logistics": 10, "ecommerce": 10},
        "scenarios": scenarios,
    }
    return expand(ParkSettings.model_validate(settings), datetime.now(UTC))


async def kill_now_and_then(stack: Stack, name: str, again: Callable[[], Awaitable[object]]) -> list[int | None]:
    """Kill one program at random moments and start it again after a moment; give how each of them ended."""
    dice = random.Random(f"{SEED} {name}")
    ended = []
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(1.0, 8.0))
        victim = stack.programs[name]
        victim.check()  # it must not have ended by itself
        await victim.kill()
        ended.append(await victim.stop())
        await asyncio.sleep(dice.uniform(0.02, 1.2))
        await again()
    return ended


async def drain(stack: Stack, clock: SimulatedClock) -> Path:
    """End the polling, let the edge send what it has, and wait until the collector has all of it."""
    spool = stack.folder / "spool.db"
    await stack.programs["edge"].stop()
    still = SimulatedClock(clock.now_ms(), STILL, time.time_ns() // 1_000_000)
    await stack.start_edge(str(still))

    def drained() -> bool:
        stack.check()
        marks = read_sequence(stack.folder / "state.db") if (stack.folder / "state.db").exists() else []
        return sum(mark["seq"] for mark in marks) == last_number(spool)

    await until(drained, "everything is acknowledged", 90)
    await stack.programs["edge"].stop()
    with closing(sqlite3.connect(stack.folder / "state.db", timeout=10)) as state:
        await until(lambda: state.execute("SELECT count(*) FROM outbox").fetchone() == (0,), "the outbox is empty")
    return spool


def sent_again(ear: Ear) -> int:
    """How many rounds passed the broker more than once, as far as was heard."""
    data = TOPICS.up("00", GATEWAY, "data")
    times = Counter(read_envelope(payload).seq for topic, payload in ear.heard if topic == data)
    return sum(count > 1 for count in times.values())


@pytest.mark.servers
async def test_kills_lose_nothing_store_nothing_twice_and_change_no_event(tmp_path: Path):
    park, topics = a_park(), (TOPICS.event("+", "+"), TOPICS.up("00", "+", "data"))
    async with asyncio.timeout(BOUND_S), Stack(tmp_path, "servers") as stack:
        stack.write(park)
        await stack.start_broker()
        await stack.start_store()
        await stack.start_collector()
        clock = SimulatedClock(park.start_ms, SPEED, time.time_ns() // 1_000_000)
        await stack.start_park(str(clock))
        await stack.start_edge(str(clock))
        victims: dict[str, Callable[[], Awaitable[object]]] = {
            "edge": lambda: stack.start_edge(str(clock)),
            "collector": stack.start_collector,
            "broker": stack.start_broker,
            "store": stack.start_store,
        }
        async with hearing(stack.services.mqtt_port, *topics) as ear:
            async with asyncio.TaskGroup() as killing:
                fates = [killing.create_task(kill_now_and_then(stack, *victim)) for victim in victims.items()]
            spool = await drain(stack, clock)
            await asyncio.sleep(0.5)  # what the broker has just taken is on its way to us
        url = stack.services.influx_url
        assert url is not None
        rows, events, keys = (await asyncio.to_thread(read, url) for read in (stored_rows, stored_events, all_keys))
        ledger = json.loads(await stack.query("sequence", "--json"))

        # The faults were real.
        assert [await fate for fate in fates] == [[-signal.SIGKILL] * KILLS] * len(victims)
        assert ear.connections > KILLS
        assert sent_again(ear) > 0

        # Produced = stored, once each, value by value.
        assert not list(tmp_path.glob("spool.db.corrupt-*"))
        contents = contents_of(spool)
        rounds = [content for content in contents if isinstance(content, Round)]
        produced = produced_rows(rounds)
        print(
            f"{4 * KILLS} kills, {len(rounds)} rounds, {len(rows)} rows, {len(events)} events, {sent_again(ear)} again"
        )
        assert len(rounds) == len(contents) > 200
        assert {len(content.meters) for content in rounds} == {50}
        verdict = judge(produced_in([spool]).readings, keys)
        assert (verdict.missing, verdict.duplicates) == ((), 0)
        assert rows == produced
        assert [(mark["rounds"], mark["rounds_lost"], mark["skipped"]) for mark in ledger] == [(len(rounds), 0, 0)]

        # The events are those of a run that nobody disturbed.
        assert events == undisturbed_events(tmp_path / "collector.yaml", rounds)
        kinds = {json.loads(body)["data"]["kind"] for _, body in events}
        assert kinds >= {"current_loss", "over_capacity"}
        heard = {
            (json.loads(body)["id"], body.decode()) for topic, body in ear.heard if topic.startswith("wattline/v1/ev")
        }
        assert heard
        assert heard <= set(events)

        # The comparison is not blind: one row less and one other value in the store are seen.
        gone, changed = random.Random(SEED).sample(sorted(produced), 2)
        await asyncio.to_thread(forge, url, gone, changed)
        forged, keys = stored_rows(url), all_keys(url)
        assert judge(produced_in([spool]).readings, keys).missing == (gone,)
        assert {key for key in produced if forged.get(key) != produced[key]} == {gone, changed}


def all_keys(url: str) -> Counter[tuple[str, str, int]]:
    return stored_in_influx(url, "wattline")


def forge(url: str, gone: tuple[str, str, int], changed: tuple[str, str, int]) -> None:
    """Take one row out of the store and falsify one field of another."""
    _, meter, at = gone
    ask(url, f"DELETE FROM reading WHERE meter = '{meter}' AND time = {at}ms")
    gateway, meter, at = changed
    ask(url, f"SELECT active_power INTO reading FROM reading WHERE time < 0 /* {quote(gateway)} */")
