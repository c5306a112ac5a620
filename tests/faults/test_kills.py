"""Nothing is lost and nothing is stored twice, whatever is killed, and whenever.

Fifty meters are polled over real Modbus sockets while edge, collector, broker and store are killed with SIGKILL, each
twelve times, at moments drawn from a seed, independently of each other: sometimes two or three of them are away
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
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.engine.checkpoint import read_sequence
from metering.clock import SimulatedClock
from metering.codec import read_envelope
from metering.topics import Topics
from simulators.oracle import Verdict, judge, last_number, produced_in, stored_in_influx
from simulators.park import Park, expand
from simulators.park_settings import ParkSettings
from simulators.stack import Stack, free_port
from tests.support.central import write_line
from tests.support.chain import Key, differences, expected_of, found_in, kinds_of, outbox_left, rounds_in
from tests.support.ear import Ear, hearing
from tests.support.servers import Influxd
from tests.support.waiting import until

SEED = 20260618
KILLS = 12  # of each of the four
ENDPOINTS = 5
METERS = 50
ROUNDS = 200  # at least
SPEED = 2400  # a five-minute round every eighth of a second
STILL = 1e-6  # a clock that stands still for all practical purposes
BOUND_S = 240  # never reached; a test that hangs ends by itself
GATEWAY = "park-50"
TOPICS = Topics()


def a_park() -> Park:
    """Fifty meters; with some of them something is wrong from early on, so that there are events to lose."""
    scenarios = [
        {"meter": "shop-101", "scenario": "current_loss", "after": "4h", "lasts": "6h"},
        {"meter": "works-203", "scenario": "current_loss", "after": "9h", "lasts": "5h"},
        # On a slow machine every start costs hours of simulated time: on the second day there is more to be found.
        {"meter": "shop-105", "scenario": "current_loss", "after": "26h", "lasts": "8h"},
        {"meter": "works-205", "scenario": "current_loss", "after": "25h", "lasts": "8h"},
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
    await until(lambda: not outbox_left(stack.folder / "state.db"), "the outbox is empty")
    return spool


def sent_again(ear: Ear) -> int:
    """How many rounds passed the broker more than once, as far as was heard."""
    data = TOPICS.up("00", GATEWAY, "data")
    times = Counter(read_envelope(payload).seq for topic, payload in ear.heard if topic == data)
    return sum(count > 1 for count in times.values())


@pytest.mark.servers
async def test_forty_eight_kills_lose_nothing_store_nothing_twice_and_change_no_event(tmp_path: Path):
    park = a_park()
    async with asyncio.timeout(BOUND_S), Stack(tmp_path, "servers") as stack:
        clock = await begin(stack, park)
        victims: dict[str, Callable[[], Awaitable[object]]] = {
            "edge": lambda: stack.start_edge(str(clock)),
            "collector": stack.start_collector,
            "broker": stack.start_broker,
            "store": stack.start_store,
        }
        async with hearing(stack.services.mqtt_port, TOPICS.event("+", "+"), TOPICS.up("00", "+", "data")) as ear:
            async with asyncio.TaskGroup() as killing:
                fates = [killing.create_task(kill_now_and_then(stack, *victim)) for victim in victims.items()]
            await until(
                lambda: last_number(tmp_path / "spool.db") >= ROUNDS, "enough rounds on a slow machine, too", 60
            )
            spool = await drain(stack, clock)
            await asyncio.sleep(0.5)  # what the broker has just taken is on its way to us
        store = store_of(stack)
        found = await asyncio.to_thread(found_in, store)
        (ledger,) = json.loads(await stack.query("sequence", "--json"))
        expected = await asyncio.to_thread(expected_of, rounds := rounds_in(spool), tmp_path / "collector.yaml")
        again = sent_again(ear)
        figures = {"kills": 4 * KILLS, "rounds": len(rounds), "rows": len(found.readings), "sent again": again}
        print(figures, dict(kinds_of(found.events)))  # noqa: T201 - the figures of a run, shown with -s

        # The faults were real, and so was the work they fell into.
        assert [fate.result() for fate in fates] == [[-signal.SIGKILL] * KILLS] * len(victims)
        assert ear.connections > KILLS
        assert len(rounds) > 100  # some hundreds; fewer on a machine that is busy with other things
        assert len({meter for content in rounds for meter in content.meters}) == METERS
        assert {"wattline.current_loss.opened", "wattline.current_loss.closed"} <= set(kinds_of(expected.events))

        # Produced = stored, once each, value by value; the events are those of a run that nobody disturbed.
        assert not set_aside(spool)
        assert differences(expected, found) == []
        assert {name: ledger[name] for name in ("rounds", "rounds_lost", "rows_lost", "skipped")} == {
            "rounds": len(rounds),
            "rounds_lost": 0,
            "rows_lost": 0,
            "skipped": 0,
        }
        verdict = await asyncio.to_thread(verdict_on, stack, spool)  # the oracle of the demo agrees
        assert (verdict.missing, verdict.duplicates) == ((), 0)

        # What was heard is a part of what is stored.
        heard = events_heard(ear)
        assert heard
        assert heard <= set(found.events.items())

        # The comparison is not blind: one row taken out and one value falsified are seen, and nothing else.
        gone, changed = random.Random(SEED).sample(sorted(expected.readings), 2)
        await asyncio.to_thread(forge, store, gone, changed)
        seen = differences(expected, await asyncio.to_thread(found_in, store))
        verdict = await asyncio.to_thread(verdict_on, stack, spool)
        assert [line.split(" was stored as")[0] for line in seen] == [
            f"another readings: {changed}: {expected.readings[changed]}",
            f"missing of readings: {gone}",
        ]
        assert verdict.missing == (gone,)


async def begin(stack: Stack, park: Park) -> SimulatedClock:
    """Start everything; give the clock that the park and the edge share."""
    stack.write(park)
    await stack.start_broker()
    await stack.start_store()
    await stack.start_collector()
    clock = SimulatedClock(park.start_ms, SPEED, time.time_ns() // 1_000_000)
    await stack.start_park(str(clock))
    await stack.start_edge(str(clock))
    return clock


def store_of(stack: Stack) -> Influxd:
    """The store of the stack, to be asked; it was started and is ended by the stack."""
    url = stack.services.influx_url
    assert url is not None
    return Influxd(stack.folder, int(url.rsplit(":", 1)[1]))


def verdict_on(stack: Stack, spool: Path) -> Verdict:
    url = stack.services.influx_url
    assert url is not None
    return judge(produced_in([spool]).readings, stored_in_influx(url, stack.services.database))


def set_aside(spool: Path) -> list[Path]:
    """Spool files that could not be read: killing a program must not make one."""
    return list(spool.parent.glob(f"{spool.name}.corrupt-*"))


def events_heard(ear: Ear) -> set[tuple[str, str]]:
    """Id and body of every event that passed the broker while somebody listened."""
    bodies = [payload.decode() for topic, payload in ear.heard if topic.startswith("wattline/v1/events/")]
    return {(json.loads(body)["id"], body) for body in bodies}


def forge(store: Influxd, gone: Key, changed: Key) -> None:
    """Take one row out of the store and falsify one value of another."""
    _, meter, at = gone
    store.query(f"DELETE FROM reading WHERE meter = '{meter}' AND time = {at}ms")
    gateway, meter, at = changed
    write_line(store, f"reading,gateway={gateway},meter={meter} active_power=-1 {at}")
