"""Meters push, polls take every push in its order, and what must not be believed is refused by name."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.config import load
from edge_agent.drivers.dlms.counter_store import CounterFile
from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from edge_agent.polling.agenda import Errand
from edge_agent.polling.bus import Bus
from edge_agent.polling.gathering import Row
from edge_agent.signals import Counters
from metering.round import Quality
from simulators.dlms.pushing import PushingMeter, send, wrapped
from simulators.dlms.seal import MeterKeys
from simulators.stack import free_port
from tests.support.dlms_park import AK, EK, METER_TITLE, NOON_MS, StandingClock
from tests.support.pushing import ALL, driver_of, entries, gateway, listening, sealing
from tests.support.waiting import until


async def test_a_sealed_push_is_read_with_the_time_of_the_meter(tmp_path: Path):
    async with listening(tmp_path, port := free_port()) as driver:
        await send(port, wrapped(sealing().push(entries(100, at_ms=NOON_MS - 2000))))
        await until(lambda: driver.pushes_total, "a push was taken")
        outcome = await driver.read("m1", ALL)
        again = await driver.read("m1", ALL)
        other = await driver.read("m2", ALL)

    values = {"active_energy_import": 100.0 * 40, "voltage_l1": 230.1}
    assert outcome == Reading(NOON_MS - 2000, values)
    assert again == outcome
    assert isinstance(other, ReadFailure)
    assert other.reason is Reason.NO_PUSH
    assert other.quality is Quality.NO_ANSWER


async def test_pushes_between_two_polls_are_all_read_in_their_order(tmp_path: Path):
    meter = sealing()
    async with listening(tmp_path, port := free_port()) as driver:
        pushes = [wrapped(meter.push(entries(n, at_ms=NOON_MS + 1000 * n))) for n in range(5)]
        stream = b"".join(pushes)
        await send(port, stream[:33], stream[33:])
        await until(lambda: driver.pushes_total == 5, "all pushes were taken")
        seen = driver.newest("m1", ALL)
        polled = [await driver.read("m1", ALL) for _ in range(6)]
        other_group = await driver.read("m1", frozenset({"voltage_l1"}))

    assert isinstance(seen, Reading)
    assert seen.values["active_energy_import"] == 4 * 40
    assert [one.values["active_energy_import"] for one in polled if isinstance(one, Reading)] == [
        40.0 * n for n in (0, 1, 2, 3, 4, 4)
    ]
    assert isinstance(other_group, Reading)
    assert (other_group.measured_at, other_group.values) == (NOON_MS, {"voltage_l1": 230.1})


async def test_a_push_in_the_clear_is_taken_of_the_meter_that_may_and_of_no_other(tmp_path: Path):
    clear = PushingMeter()
    async with listening(tmp_path, port := free_port()) as driver:
        await send(port, wrapped(clear.push(entries(7, "CLEAR001"))), wrapped(clear.push(entries(9, "SIM00001"))))
        await until(lambda: driver.refused["plaintext"], "the other is refused")
        allowed, forbidden = await driver.read("m2", ALL), await driver.read("m1", ALL)

    assert isinstance(allowed, Reading)
    assert allowed.values["active_energy_import"] == 7
    assert isinstance(forbidden, ReadFailure)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda good: good[:-1] + bytes([good[-1] ^ 1]), "forged"),
        (lambda good: good[:12] + b"\xff\xff\xff\xff" + good[16:], "forged"),
        (lambda good: good[:2] + b"BAD" + good[5:], "wrong_title"),
        (lambda good: good[:11] + b"\x10" + good[12:], "downgrade"),
        (lambda good: good[:40], "malformed"),
        (lambda good: b"\xe0" + good[1:], "malformed"),
    ],
)
async def test_what_was_tampered_with_is_refused_by_name_and_moves_nothing(tmp_path: Path, spoil, reason: str):
    meter = sealing()
    good = meter.push(entries(1))
    async with listening(tmp_path, port := free_port()) as driver:
        await send(port, wrapped(spoil(good)))
        await until(lambda: sum(driver.refused.values()), "it is refused")
        before = CounterFile(tmp_path / "counters" / "m1.json").marks().heard
        held = await send(port, wrapped(good))
        await until(lambda: driver.pushes_total, "the genuine push is taken")

    assert dict(driver.refused) == {reason: 1}
    assert before == -1
    assert held


async def test_a_replay_is_refused_over_a_restart(tmp_path: Path):
    octets = wrapped(sealing(counter=41).push(entries(1)))
    async with listening(tmp_path, port := free_port()) as driver:
        await send(port, octets, octets)
        await until(lambda: driver.refused["replay"], "the second is refused")
        assert driver.pushes_total == 1
    async with listening(tmp_path, port := free_port()) as driver:
        await send(port, octets)
        await until(lambda: driver.refused["replay"], "it is refused again")
        outcome = await driver.read("m1", ALL)
        await send(port, wrapped(sealing(counter=42).push(entries(2))))
        await until(lambda: driver.pushes_total, "the next is taken")

    assert isinstance(outcome, ReadFailure)
    assert outcome.detail == "refused: replay 1"
    assert CounterFile(tmp_path / "counters" / "m1.json").marks().heard == 43


async def test_another_key_is_no_key(tmp_path: Path):
    stranger = PushingMeter(METER_TITLE, MeterKeys(AK, EK))
    async with listening(tmp_path, port := free_port()) as driver:
        await send(port, wrapped(stranger.push(entries(1))))
        await until(lambda: driver.refused["forged"], "it is refused")

    assert driver.pushes_total == 0


async def test_a_list_of_another_length_is_not_read(tmp_path: Path):
    async with listening(tmp_path, port := free_port()) as driver:
        await send(port, wrapped(sealing().push(entries(1)[:-1])))
        await until(lambda: driver.refused["malformed"], "it is refused")

    assert driver.pushes_total == 0


async def test_a_stream_that_cannot_be_understood_ends_its_connection_and_no_other(tmp_path: Path):
    async with listening(tmp_path, port := free_port()) as driver:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        meter = sealing()
        first = wrapped(meter.push(entries(1)))
        try:
            writer.write(first[:20])
            await writer.drain()
            await send(port, b"GET / HTTP/1.1\r\n\r\n")
            await until(lambda: driver.refused["malformed"], "the stranger is refused")
            writer.write(first[20:])
            await until(lambda: driver.pushes_total, "the meter is heard")
        finally:
            writer.close()


async def test_who_is_silent_longest_makes_room(tmp_path: Path):
    async with listening(tmp_path, port := free_port(), more=", connections: 2") as driver:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        try:
            await until(lambda: driver.refused["crowded"] >= 2, "two made room")
            await send(port, wrapped(sealing().push(entries(1))))
            await until(lambda: driver.pushes_total, "a meter is heard all the same")
        finally:
            for _, writer in idle:
                writer.close()


async def test_a_caller_who_says_nothing_is_sent_away(tmp_path: Path):
    async with listening(tmp_path, port := free_port(), more=", idle: 1s"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 20)
        finally:
            writer.close()


async def test_a_meter_clock_that_is_far_off_does_not_stamp_the_row(tmp_path: Path):
    async with listening(tmp_path, port := free_port()) as driver:
        await send(port, wrapped(sealing().push(entries(1, at_ms=NOON_MS + 7_200_000))))
        await until(lambda: driver.pushes_total, "the push is taken")
        outcome = await driver.read("m1", ALL)

    assert isinstance(outcome, Reading)
    assert (outcome.measured_at, outcome.quality) == (NOON_MS, Quality.METER_CLOCK_OFF)


async def test_a_port_that_is_taken_is_said(tmp_path: Path):
    async with listening(tmp_path, port := free_port()):
        second = driver_of(load(tmp_path / "gateway.yaml"), StandingClock())
        failure = await second.connect()

    assert failure is not None
    assert str(port) in failure.detail


async def test_the_bus_listens_at_once_and_silence_does_not_close_the_door(tmp_path: Path):
    driver = driver_of(load(gateway(tmp_path, port := free_port())), clock := StandingClock())
    bus = Bus("b1", driver, ["m1", "m2"], clock, counters := Counters())
    running = asyncio.create_task(bus.run())
    rows: list[Row] = []
    try:
        await until(lambda: driver.connected, "the door is open before anybody polls")
        for _ in range(8):
            bus.submit(Errand("m2", ALL, NOON_MS + 60_000, rows.append, 0))
            clock.at_ms += 1
        await until(lambda: len(rows) == 8, "all polls are answered")
        await send(port, wrapped(sealing().push(entries(3))))
        await until(lambda: driver.pushes_total, "the push is taken")
        asked = await bus.inquire("m1", ALL)
        bus.submit(Errand("m1", ALL, NOON_MS + 60_000, rows.append, 0))
        await until(lambda: len(rows) == 9, "the poll has its row")
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    assert isinstance(asked, Reading)
    assert rows[-1].values == asked.values
    assert {row.quality for row in rows[:8]} <= {Quality.NO_ANSWER, Quality.SUSPENDED}
    assert counters.reads_good == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=80), max_size=4), st.booleans())
def test_whatever_a_stranger_says_the_next_meter_is_heard(tmp_path: Path, said: list[bytes], heads: bool):
    async def talk() -> None:
        (tmp_path / "counters" / "m1.json").unlink(missing_ok=True)
        async with listening(tmp_path, port := free_port()) as driver:
            await send(port, *(wrapped(octets) if heads else octets for octets in said))
            await send(port, wrapped(sealing().push(entries(1))))
            await until(lambda: driver.pushes_total == 1, "the meter is heard")

    asyncio.run(talk())
