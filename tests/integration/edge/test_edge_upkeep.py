"""The agent in front of meters that remember: what it was not there for comes out of them, and polls are on time."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge_agent.polling.missing import Missing
from edge_agent.spool.look import rounds_after
from edge_agent.spool.spool import Spool
from metering.clock import SimulatedClock
from metering.meter_event import MeterEvent, MeterEvents
from metering.round import Column, Origin, Quality, Round, pack
from simulators.dlms.objects import MeterClock
from simulators.dlms_meter import DlmsServer
from simulators.faults import Fault
from tests.support.dlms_park import NOON_MS, READER, SHANGHAI, device, import_wh, serving
from tests.support.paced_relay import paced
from tests.support.upkeep_park import (
    HOUR_MS,
    QUARTER_MS,
    ParkClock,
    clock_at,
    contents,
    gateway_file,
    good_rows,
    quarters_between,
    read_back,
    rounds,
    rows,
    running,
)
from tests.support.waiting import until

SPEED = 600.0
METERS = [f"id: m{n}, profile: iec_generic, dlms: {{server: {n}, client: {READER}, security: none}}" for n in (1, 2)]


@pytest.fixture
def park() -> ParkClock:
    return ParkClock(clock_at(NOON_MS, SPEED))


def bus_of(server: DlmsServer) -> str:
    kind = "dlms_tcp" if server.endpoint.framing == "wrapper" else "dlms_hdlc_tcp"
    return f"type: {kind}, host: 127.0.0.1, port: {server.port}"


async def polled(file: Path, park: ParkClock, start_ms: int, meter: str = "m1", ticks: int = 4) -> None:
    """Let the agent run for some ticks, and stop it in good order."""
    park.shown = clock = clock_at(start_ms, SPEED)
    async with running(file, clock) as gateway:
        before = len(good_rows(gateway.spool, meter))
        await until(lambda: len(good_rows(gateway.spool, meter)) >= before + ticks, "a few ticks")


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
async def test_a_gateway_that_stood_still_for_26_hours_reads_every_missing_quarter(
    tmp_path: Path, park: ParkClock, framing
) -> None:
    async with serving({1: device(), 2: device()}, framing, clock=park) as server:
        file = gateway_file(tmp_path, bus_of(server), METERS)
        await polled(file, park, NOON_MS)
        park.shown = clock = clock_at(NOON_MS + 26 * HOUR_MS, SPEED)
        async with running(file, clock) as gateway:
            spool = gateway.spool
            await until(lambda: min(len(read_back(spool, m)) for m in ("m1", "m2")) >= 103, "a day of quarters")
            seen = len(good_rows(spool, "m1"))
            await until(lambda: len(good_rows(spool, "m1")) >= seen + 5, "some more ticks")
            skipped = gateway._counters.ticks_skipped
            found = {meter: read_back(spool, meter) for meter in ("m1", "m2")}
            live = {meter: good_rows(spool, meter) for meter in ("m1", "m2")}
            values = rows(rounds(spool, Origin.BACKFILL))
            ticks = sorted({one.scheduled_at for one in rounds(spool, Origin.LIVE, "main")})

    assert skipped == 0
    for meter in ("m1", "m2"):
        before = max(at for at in live[meter] if at < NOON_MS + HOUR_MS)
        after = min(at for at in live[meter] if at > NOON_MS + HOUR_MS)
        assert found[meter] == quarters_between(before, after)
    assert all(value == import_wh(at) / 1000 and not quality for _, at, quality, value in values)
    second = [tick for tick in ticks if tick > NOON_MS + 26 * HOUR_MS - 60_000]
    assert second == list(range(second[0], second[-1] + 1, 60_000))


async def test_a_meter_that_was_dead_for_hours_is_read_back_when_it_answers(tmp_path: Path, park: ParkClock) -> None:
    devices = {1: device(), 2: device()}
    async with serving(devices, clock=park) as server:
        file = gateway_file(tmp_path, bus_of(server), METERS, every="5min")
        park.shown = clock = clock_at(NOON_MS, SPEED)
        async with running(file, clock) as gateway:
            spool = gateway.spool
            await until(lambda: len(good_rows(spool, "m2")) >= 3, "a few ticks")
            gone = devices.pop(2)
            at = clock.now_ms()
            await until(lambda: clock.now_ms() > at + 2 * HOUR_MS, "two hours")
            devices[2] = gone
            await until(lambda: len(read_back(spool, "m2")) >= 7, "its history")
            assert gateway._counters.ticks_skipped == 0
            others = read_back(spool, "m1")

    assert others == []


def fill(spool: Spool, at_ms: int) -> None:
    """Rounds of another meter, until the spool has given up something of the others."""
    while spool.state().evicted_rows < 8:
        noise = pack(random.Random(spool.state().next_seq).choices(range(2**40), k=5000), "q")
        column = Column("active_energy_import", 0, noise)
        times, quality = pack([at_ms + n for n in range(5000)], "q"), pack([0] * 5000, "I")
        meters = tuple(["filler"] * 5000)
        spool.append(Round("g1", "fill", Origin.BACKFILL, 60_000, at_ms, meters, times, quality, (column,)), at_ms)


async def test_what_a_full_spool_gave_up_is_asked_from_the_meters_once_the_collector_knows(
    tmp_path: Path, park: ParkClock
) -> None:
    async with serving({1: device()}, clock=park) as server:
        file = gateway_file(tmp_path, bus_of(server), METERS[:1], every="5min", spool_mb=1)
        await polled(file, park, NOON_MS, ticks=12)
        park.shown = clock = clock_at(NOON_MS + 3 * HOUR_MS, SPEED)
        async with running(file, clock) as gateway:
            spool = gateway.spool
            kept = good_rows(spool, "m1")
            await asyncio.to_thread(fill, spool, clock.now_ms())
            gone = [at for at in kept if at not in good_rows(spool, "m1")]
            before = len(good_rows(spool, "m1"))
            await until(lambda: len(good_rows(spool, "m1")) > before + 3, "ticks of a full spool")
            asked_before = Missing.of(spool.marks()["missing/m1"]).stretches
            spool.acknowledge(spool.state().next_seq - 1)
            await until(
                lambda: set(quarters_between(gone[0], gone[-1])) <= set(read_back(spool, "m1")), "the lost rows"
            )
            await until(lambda: not gateway._upkeep.reading_back, "the rest")
            told = read_back(spool, "m1")
        await polled(file, park, clock.now_ms() + HOUR_MS // 6, ticks=3)
        spool = Spool(tmp_path / "spool.db", "g1", 1 << 20, 0)
        told_again = [at for at in read_back(spool, "m1") if at <= max(told)]
        spool.close()

    assert len(gone) >= 8
    assert all(one.first > gone[-1] for one in asked_before)
    assert told_again == told


async def test_what_was_read_back_and_given_up_by_a_full_spool_is_read_back_again(
    tmp_path: Path, park: ParkClock
) -> None:
    async with serving({1: device()}, clock=park) as server:
        file = gateway_file(tmp_path, bus_of(server), METERS[:1], every="5min", spool_mb=1)
        await polled(file, park, NOON_MS)
        spool = Spool(tmp_path / "spool.db", "g1", 1 << 20, 0)
        spool.acknowledge(spool.state().next_seq - 1)
        spool.close()
        park.shown = clock = clock_at(NOON_MS + 8 * HOUR_MS, SPEED)
        async with running(file, clock) as gateway:
            spool = gateway.spool
            await until(lambda: len(read_back(spool, "m1")) >= 30, "eight hours of quarters")
            await until(lambda: not gateway._upkeep.reading_back, "the rest")
            first = read_back(spool, "m1")
            await asyncio.to_thread(fill, spool, clock.now_ms())
            await until(lambda: not set(first) & set(read_back(spool, "m1")), "all of it given up")
            spool.acknowledge(spool.state().next_seq - 1)
            await until(lambda: set(first) <= set(read_back(spool, "m1")), "the same once more")


async def test_a_new_meter_misses_nothing_and_what_one_denies_stays_missing(tmp_path: Path, park: ParkClock) -> None:
    without = device()
    for place in [place for place in without.objects if place[0] == 7]:
        del without.objects[place]  # type: ignore[attr-defined]
    async with serving({1: device(), 2: without}, clock=park) as server:
        file = gateway_file(tmp_path, bus_of(server), METERS[1:])
        await polled(file, park, NOON_MS, "m2")
        file = gateway_file(tmp_path, bus_of(server), METERS)
        park.shown = clock = clock_at(NOON_MS + 5 * HOUR_MS, SPEED)
        async with running(file, clock) as gateway:
            await until(lambda: gateway._counters.chores_failed >= 2, "the refusals")
            await until(lambda: len(good_rows(gateway.spool, "m2")) >= 12, "more ticks")
            assert rounds(gateway.spool, Origin.BACKFILL) == []
            assert gateway._counters.ticks_skipped == 0
            assert (await gateway._status()).reading_back == ("m2",)
    spool = Spool(tmp_path / "spool.db", "g1", 8 << 20, 0)
    marks = spool.marks()
    spool.close()

    assert "log/m2" not in marks
    assert Missing.of(marks["missing/m2"]).stretches
    assert not Missing.of(marks["missing/m1"]).stretches


async def test_rows_of_a_clock_that_is_ten_minutes_off_say_so_and_stay_out_of_what_was_seen(
    tmp_path: Path, park: ParkClock
) -> None:
    fast = device(MeterClock(SHANGHAI, offset_s=600))
    async with serving({1: fast}, clock=park) as server:
        file = gateway_file(tmp_path, bus_of(server), METERS[:1])
        await polled(file, park, NOON_MS)
        park.shown = clock = clock_at(NOON_MS + 4 * HOUR_MS, SPEED)
        async with running(file, clock) as gateway:
            spool = gateway.spool
            await until(lambda: len(read_back(spool, "m1")) >= 13, "four hours less the margins")
            await until(lambda: rows(rounds(spool, Origin.LIVE, "main"))[-1][2] == Quality.METER_CLOCK_OFF, "the bit")
            offsets = rows(rounds(spool, Origin.LIVE, "clock"), "clock_offset")
            told = rows(rounds(spool, Origin.BACKFILL))
            assert (await gateway._status()).clocks_off == ("m1",)
            live = [at for _, at, _, _ in rows(rounds(spool, Origin.LIVE, "main"))]

    assert {quality for _, _, quality, _ in told} == {Quality.METER_CLOCK_OFF}
    before, after = max(at for at in live if at < NOON_MS + HOUR_MS), min(at for at in live if at > NOON_MS + HOUR_MS)
    assert [at for _, at, _, _ in told] == quarters_between(before, after, 1_200_000)
    assert [offset for _, _, _, offset in offsets] == [pytest.approx(600, abs=15)] * len(offsets)
    assert {quality for _, _, quality, _ in offsets} == {Quality.METER_CLOCK_OFF}


def logged(spool) -> list[tuple[MeterEvent, ...]]:
    return [one.events for one in contents(spool) if isinstance(one, MeterEvents)]


async def test_what_a_meter_logs_is_sent_once_also_over_a_restart(tmp_path: Path, park: ParkClock) -> None:
    before = [(NOON_MS - 7_000, 44), (NOON_MS - 6_999, 42), (NOON_MS - 6_000, 99), (NOON_MS - 5_000, 45)]
    after = [(NOON_MS + 2 * QUARTER_MS, 40), (NOON_MS + 2 * QUARTER_MS + 1, 41)]
    async with serving({1: device(meter={"events": [*before, *after]})}, clock=park) as server:
        file = gateway_file(tmp_path, bus_of(server), METERS[:1], "events_every: 1min")
        await polled(file, park, NOON_MS)
        await polled(file, park, NOON_MS + QUARTER_MS)
        park.shown = clock = clock_at(NOON_MS + 2 * QUARTER_MS, SPEED)
        async with running(file, clock) as gateway:
            await until(lambda: len(logged(gateway.spool)) >= 2, "the new entries")
            await until(lambda: clock.now_ms() > NOON_MS + 3 * QUARTER_MS, "some more questions")
            found = logged(gateway.spool)
            assert gateway._counters.log_entries_unknown == 0

    opened = MeterEvent.TERMINAL_COVER_OPENED
    assert found == [
        (MeterEvent.COVER_OPENED, MeterEvent.MAGNETIC_FIELD, MeterEvent.COVER_CLOSED),
        (opened, MeterEvent.TERMINAL_COVER_CLOSED),
    ]


async def test_entries_of_a_log_that_a_full_spool_gave_up_are_asked_from_the_meter_again(
    tmp_path: Path, park: ParkClock
) -> None:
    entries = [(NOON_MS - 7_000, 44), (NOON_MS - 5_000, 45)]
    async with serving({1: device(meter={"events": entries})}, clock=park) as server:
        file = gateway_file(tmp_path, bus_of(server), METERS[:1], every="5min", spool_mb=1)
        async with running(file, park.shown) as gateway:
            spool = gateway.spool
            await until(lambda: logged(spool), "the log")
            first = logged(spool)
            await asyncio.to_thread(fill, spool, park.now_ms())
            assert logged(spool) == []
            spool.acknowledge(spool.state().next_seq - 1)
            await until(lambda: logged(spool), "the log again")
            again = logged(spool)

    assert again == first == [(MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED)]


def durable(path: Path, meter: str) -> list[int]:
    """What a spool holds of a meter's history, seen from outside."""
    found = [one for _, one in rounds_after(path, 0) if one.origin is Origin.BACKFILL]
    return [at for name, at, _, _ in rows(found) if name == meter]


@asynccontextmanager
async def killed(file: Path, clock: SimulatedClock) -> AsyncIterator[None]:
    """The agent as a process of its own, ended by kill -9."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_agent.cli", "run", "-c", str(file), "--simulated-clock", str(clock),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        await asyncio.wait_for(process.wait(), 20)


async def test_killed_while_it_reads_back_it_goes_on_where_it_was(tmp_path: Path, park: ParkClock) -> None:
    async with serving({1: device()}, clock=park) as server:
        file = gateway_file(tmp_path, bus_of(server), METERS[:1])
        await polled(file, park, NOON_MS)
        server.endpoint.wire.faults = (Fault("delay", delay_s=0.03),)
        start_ms, told = NOON_MS + 26 * HOUR_MS, 0
        for _ in range(3):
            park.shown = clock = clock_at(start_ms, SPEED / 2)
            async with killed(file, clock):
                await until(lambda n=told: len(durable(tmp_path / "spool.db", "m1")) > n, "another piece")
            told, start_ms = len(durable(tmp_path / "spool.db", "m1")), clock.now_ms() + 60_000
        park.shown = clock = clock_at(start_ms, SPEED / 2)
        async with running(file, clock) as gateway:
            await until(lambda: len(read_back(gateway.spool, "m1")) >= 103, "the whole day")
            found, live = read_back(gateway.spool, "m1"), good_rows(gateway.spool, "m1")

    before, after = max(at for at in live if at < NOON_MS + HOUR_MS), min(at for at in live if at > NOON_MS + HOUR_MS)
    assert 0 < told < 103
    assert set(found) >= set(quarters_between(before, after))
    assert len(found) == len(set(found))


async def test_a_slow_line_keeps_its_period_while_half_a_day_is_read_back(tmp_path: Path, park: ParkClock) -> None:
    """9600 Bd: a row of the history takes some 40 ms, a poll 150 ms; every period lasts two seconds."""
    speed = 60.0
    async with serving({1: device()}, "hdlc", clock=park) as server, paced(server.port, 9600) as port:
        bus = f"type: dlms_hdlc_tcp, host: 127.0.0.1, port: {port}, baudrate: 9600"
        file = gateway_file(tmp_path, bus, METERS[:1], "line_share: 0.4", "2min", "800ms")
        park.shown = clock = clock_at(NOON_MS, speed)
        async with running(file, clock) as gateway:
            await until(lambda: good_rows(gateway.spool, "m1"), "a tick")
        park.shown = clock = clock_at(NOON_MS + 12 * HOUR_MS, speed)
        async with running(file, clock) as gateway:
            spool = gateway.spool
            await until(lambda: len(read_back(spool, "m1")) >= 47, "half a day of quarters", 90)
            live = [one for one in rounds(spool, Origin.LIVE, "main") if one.scheduled_at > NOON_MS + HOUR_MS]
            assert gateway._counters.ticks_skipped == gateway._counters.reads_overrun == 0
            assert gateway._counters.reads_failed == 0

    ticks = [one.scheduled_at for one in live]
    assert ticks == list(range(ticks[0], ticks[-1] + 1, 120_000))
    assert len(ticks) >= 3
    assert not any(quality for _, _, quality, _ in rows(live))
