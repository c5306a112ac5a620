"""Whoever asks while the agent polls is answered between two polls, on the one connection there is."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from modbus_script import ModbusScript, floats, silent

from edge_agent.desk import Desk, ask_at, door_beside, is_open
from edge_agent.drivers.modbus.bus_settings import ModbusTcpSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.modbus_driver import ModbusDriver, ModbusMeter
from edge_agent.drivers.registry import ProfileShelf
from edge_agent.polling.agenda import Errand
from edge_agent.polling.bus import Bus
from edge_agent.signals import Counters
from metering.clock import SystemClock
from metering.control import ReadCommand
from metering.ending import end
from metering.round import Quality

POWER = frozenset({"active_power"})
NOBODY = 65534


@pytest.fixture
async def bus(endpoint: ModbusScript):
    meters = {f"m{u}": ModbusMeter(u, ProfileShelf().profile("eastron_sdm630")) for u in (1, 2)}
    settings = ModbusTcpSettings(id="b1", type="modbus_tcp", host="127.0.0.1", port=endpoint.port, timeout="100ms")
    clock = SystemClock()
    one = Bus("b1", ModbusDriver(make_link(settings), meters, clock), meters, clock, Counters())
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        await end([task])


@asynccontextmanager
async def door(bus: Bus, folder: Path):
    path = door_beside(folder / "spool.db")
    async with Desk([bus]).open_at(path):
        yield path


async def test_a_meter_is_read_through_the_running_agent_before_what_is_due(
    endpoint: ModbusScript, bus: Bus, tmp_path: Path
):
    endpoint.units = dict.fromkeys((1, 2), floats({0x0034: 1500.0}))
    rows = []
    async with door(bus, tmp_path) as path:
        for _ in range(50):
            bus.submit(Errand("m2", POWER, SystemClock().now_ms() + 9000, rows.append))
        reply = await ask_at(path, ReadCommand("q", "m1", ("active_power",)))

    assert (reply.values, reply.quality, reply.requests, reply.failure) == ({"active_power": 1.5}, 0, 1, "")
    assert len(rows) < 50
    assert endpoint.calls == 1


async def test_a_meter_that_is_being_left_alone_is_asked_all_the_same_and_is_back_when_it_answers(
    endpoint: ModbusScript, bus: Bus, tmp_path: Path
):
    endpoint.units[1] = silent
    for _ in range(3):
        done = asyncio.get_running_loop().create_future()
        bus.submit(Errand("m1", POWER, SystemClock().now_ms() + 9000, done.set_result, tries_left=1))
        await done
    assert bus.suspect("m1")
    async with door(bus, tmp_path) as path:
        dead = await ask_at(path, ReadCommand("q1", "m1"))
        endpoint.units[1] = floats({0x0034: 1500.0})
        back = await ask_at(path, ReadCommand("q2", "m1"))

    assert (dead.failure, back.failure) == ("silent", "")
    assert not bus.suspect("m1")


async def test_what_nobody_knows_is_said(bus: Bus, tmp_path: Path):
    async with door(bus, tmp_path) as path:
        meter = await ask_at(path, ReadCommand("q1", "m9"))
        quantity = await ask_at(path, ReadCommand("q2", "m1", ("colour",)))

    assert (meter.failure, quantity.failure) == ("not_polled", "unknown_quantity")
    assert "active_power" in quantity.detail


async def test_nobody_waits_behind_a_crowd(endpoint: ModbusScript, bus: Bus):
    endpoint.units[1] = silent
    desk = Desk([bus])
    replies = await asyncio.gather(*(desk.answer(ReadCommand(str(n), "m1", ("active_power",))) for n in range(12)))

    failures = [reply.failure for reply in replies]
    assert (failures.count("silent"), failures.count("too_many")) == (8, 4)


async def test_a_door_that_a_killed_agent_left_is_opened_again_and_a_running_one_is_left_in_peace(
    endpoint: ModbusScript, bus: Bus, tmp_path: Path
):
    endpoint.units[1] = floats({0x0034: 1500.0})
    async with door(bus, tmp_path) as path:
        async with Desk([]).open_at(path):  # says so in the log, and does without
            reply = await ask_at(path, ReadCommand("q", "m1", ("active_power",)))
        assert path.exists()
        kept = path.with_suffix(".kept")
        path.rename(kept)
    kept.rename(path)  # nobody listens behind it any more
    assert not await is_open(path)
    assert (await ask_at(path, ReadCommand("q", "m1"))).failure == "no_reply"
    async with door(bus, tmp_path) as path:
        again = await ask_at(path, ReadCommand("q", "m1", ("active_power",)))

    assert reply.values == again.values == {"active_power": 1.5}


async def test_who_may_not_ask_the_agent_does_not_take_its_line_for_free(bus: Bus, tmp_path: Path):
    me = os.geteuid()
    async with door(bus, tmp_path) as path:
        path.chmod(0)
        if me == 0:
            os.seteuid(NOBODY)
        try:
            taken = await is_open(path)
            reply = await ask_at(path, ReadCommand("q", "m1"))
        finally:
            os.seteuid(me)

    assert taken
    assert (reply.failure, "sudo" in reply.detail) == ("no_reply", True)


async def test_nonsense_at_the_door_ends_the_visit_and_nothing_else(endpoint: ModbusScript, bus: Bus, tmp_path: Path):
    endpoint.units[1] = floats({0x0034: 1500.0})
    async with door(bus, tmp_path) as path:
        for nonsense in (b"\n", b"{}\n", b"x" * 10_000):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(nonsense)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        reply = await ask_at(path, ReadCommand("q", "m1", ("active_power",)))

    assert Quality(reply.quality) == Quality(0)
