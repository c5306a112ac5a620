"""A bus and its poller against a misbehaving endpoint: rows, breakers, reconnects, late rows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from modbus_script import ModbusScript, counting, floats, hang_up, refusing, silent

from edge_agent.drivers.driver import ReadFailure, Reading
from edge_agent.drivers.modbus.bus_settings import ModbusTcpSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.modbus_driver import ModbusDriver, ModbusMeter
from edge_agent.drivers.registry import ProfileShelf
from edge_agent.polling.agenda import Errand
from edge_agent.polling.bus import Bus
from edge_agent.polling.filing import Filing
from edge_agent.polling.gateway_clock import GatewayClock
from edge_agent.polling.gathering import RoundName, Row
from edge_agent.polling.poller import Poller
from edge_agent.polling.register_truth import RegisterTruth
from edge_agent.polling.upkeep import Upkeep
from edge_agent.polling.upkeep_settings import UpkeepSettings
from edge_agent.signals import Counters
from edge_agent.spool.spool import Spool
from metering.clock import SimulatedClock, SystemClock
from metering.codec import decode, encode_packed
from metering.ending import end
from metering.message import Envelope
from metering.round import FAILED, Quality, Round, unpack

POWER = frozenset({"active_power"})
NOON_OF_2020_MS = 1_577_880_000_000
WANTED = frozenset({"active_power", "active_energy_import"})


def bus_at(port: int, units: int, clock=None) -> Bus:
    meters = {f"m{u}": ModbusMeter(u, ProfileShelf().profile("eastron_sdm630")) for u in range(1, units + 1)}
    link = make_link(ModbusTcpSettings(id="b1", type="modbus_tcp", host="127.0.0.1", port=port, timeout="60ms"))
    clock = clock or SystemClock()
    return Bus("b1", ModbusDriver(link, meters, clock), meters, clock, Counters())


@asynccontextmanager
async def running(bus: Bus):
    task = asyncio.create_task(bus.run())
    try:
        yield bus
    finally:
        await end([task])
    await asyncio.sleep(0.01)


async def ask(bus: Bus, *meters: str, lasting_ms: int = 5000, quantities=POWER) -> list[Row]:
    rows: list[Row] = []
    done = asyncio.Event()

    def deliver(row: Row) -> None:
        rows.append(row)
        if len(rows) == len(meters):
            done.set()

    ends_at = SystemClock().now_ms() + lasting_ms
    for meter in meters:
        bus.submit(Errand(meter, quantities, ends_at, deliver, bus.suspect(meter)))
    async with asyncio.timeout(10):
        await done.wait()
    return rows


async def test_a_silent_meter_is_asked_twice_and_last(endpoint: ModbusScript):
    endpoint.units = {1: silent, 2: counting, 3: counting}
    async with running(bus_at(endpoint.port, 3)) as bus:
        rows = await ask(bus, "m1", "m2", "m3")

    assert [row.meter for row in rows] == ["m2", "m3", "m1"]
    assert [row.quality for row in rows] == [0, 0, Quality.NO_ANSWER]
    assert [one.unit for one in endpoint.asked] == [1, 2, 3, 1]


async def test_a_meter_that_keeps_silent_is_left_alone(endpoint: ModbusScript):
    endpoint.units = {1: silent, 2: counting}
    async with running(bus_at(endpoint.port, 2)) as bus:
        rows = [row for _ in range(5) for row in await ask(bus, "m1", "m2")]

    assert [row.quality for row in rows if row.meter == "m1"] == [Quality.NO_ANSWER] * 3 + [Quality.SUSPENDED] * 2
    assert not any(row.quality for row in rows if row.meter == "m2")
    assert sum(one.unit == 1 for one in endpoint.asked) == 6


async def test_a_line_that_is_down_is_not_called_for_every_meter_and_comes_back(endpoint: ModbusScript):
    endpoint.units = dict.fromkeys((1, 2, 3), counting)
    async with running(bus_at(endpoint.port, 3)) as bus:
        assert not any(row.quality for row in await ask(bus, "m1", "m2", "m3"))
        await endpoint.stop()
        down = [row for _ in range(3) for row in await ask(bus, "m1", "m2", "m3")]
        await endpoint.start()
        await asyncio.sleep(2.1)
        rows = await ask(bus, "m1", "m2", "m3")

    assert {row.quality for row in down} == {Quality.LINK_DOWN}
    assert not any(row.quality for row in rows)


async def test_a_connection_closed_under_a_read_is_made_again_at_once(endpoint: ModbusScript):
    endpoint.units = {1: hang_up, 2: counting}
    async with running(bus_at(endpoint.port, 2)) as bus:
        rows = await ask(bus, "m1", "m2")

    assert {row.meter: row.quality for row in rows} == {"m1": Quality.LINK_DOWN, "m2": 0}
    assert endpoint.calls >= 2


async def test_a_connection_on_which_all_are_silent_is_made_again(endpoint: ModbusScript):
    endpoint.units = {}
    async with running(bus_at(endpoint.port, 6)) as bus:
        await ask(bus, *[f"m{u}" for u in range(1, 7)])

    assert endpoint.calls >= 2


async def test_what_is_over_is_not_asked(endpoint: ModbusScript):
    async with running(bus_at(endpoint.port, 2)) as bus:
        rows = await ask(bus, "m1", "m2", lasting_ms=-1)

    assert {row.quality for row in rows} == {Quality.OVERRUN}
    assert endpoint.asked == []


async def test_what_is_over_is_told_on_a_line_that_never_has_time_for_it(endpoint: ModbusScript):
    endpoint.units = {1: counting, 2: counting}
    clock, rows = SystemClock(), list[Row]()
    async with running(bus_at(endpoint.port, 2)) as bus:

        def again(_: Row | None = None) -> None:
            bus.submit(Errand("m1", POWER, clock.now_ms() + 5000, again))

        again()
        again()
        bus.submit(Errand("m2", POWER, clock.now_ms() + 50, rows.append, priority=2))
        await until(lambda: rows)

    assert [(row.meter, row.quality) for row in rows] == [("m2", Quality.OVERRUN)]


async def test_what_is_over_gives_no_chore_a_turn_before_its_rest(endpoint: ModbusScript):
    endpoint.units = {1: counting}
    rows = list[Row]()

    async def long() -> bool:
        await asyncio.sleep(0.1)
        return True

    async def rested() -> bool:
        return asyncio.get_running_loop().time() >= bus._rests_until_s

    async with running(bus_at(endpoint.port, 1)) as bus:
        await bus.chore("m1", long)
        chore = asyncio.create_task(bus.chore("m1", rested))
        await asyncio.sleep(0)
        bus.submit(Errand("m1", POWER, SystemClock().now_ms(), rows.append))
        has_rested = await chore

    assert [row.quality for row in rows] == [Quality.OVERRUN]
    assert has_rested


async def test_a_block_the_meter_does_not_have_costs_only_its_own_values(endpoint: ModbusScript):
    power, refuse = floats({0x0034: 1500.0}), refusing(2)
    endpoint.units[1] = lambda one: refuse(one) if one.address + one.count > 0x48 else power(one)
    async with running(bus_at(endpoint.port, 1)) as bus:
        (both,) = await ask(bus, "m1", quantities=frozenset({"active_power", "voltage_l1"}))
        (split,) = await ask(bus, "m1", quantities=frozenset({"voltage_l1", "active_energy_import"}))

    assert (both.quality, both.values["active_power"]) == (0, 1.5)
    assert split.quality == Quality.PARTIAL
    assert split.values == {"voltage_l1": 0.0, "active_energy_import": None}


@asynccontextmanager
async def polling(bus: Bus, meters: list[str], spool: Spool, clock, synchronised=lambda: True, period_ms: int = 60_000):
    name = RoundName("g", "main", period_ms, ("active_energy_import", "active_power"))
    counters = Counters()
    filing = Filing(spool, clock, counters, lambda: None)
    upkeep = Upkeep(UpkeepSettings(), "g", {}, filing, clock, counters)
    knows = GatewayClock(clock, synchronised, spool.marks(), spool.kept_until())
    asks = {bus: [(m, WANTED) for m in meters]}
    poller = Poller(name, asks, filing, RegisterTruth(), clock, knows, counters, upkeep)
    stop = asyncio.Event()
    task = asyncio.create_task(poller.run(stop))
    yield poller
    stop.set()
    await task


def rounds(spool: Spool) -> list[Round]:
    items = spool.next_after(0, 1000)
    found = [decode(encode_packed(Envelope(spool.epoch, i.seq, 0), i.body)).content for i in items]
    return [one for one in found if isinstance(one, Round)]


async def until(condition, within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def spool(tmp_path: Path):
    one = Spool(tmp_path / "spool.db", "g", 1 << 20, 0)
    yield one
    one.close()


async def test_late_rows_make_a_further_round_of_the_same_instant(endpoint: ModbusScript, spool: Spool):
    endpoint.units = {1: counting}
    clock = SimulatedClock.parse(f"2026-03-02T06:00:00+08:00/400/{SystemClock().now_ms()}")  # a minute in 150 ms
    async with running(bus_at(endpoint.port, 2, clock)) as bus, polling(bus, ["m1", "m2"], spool, clock):
        await until(lambda: len(rounds(spool)) >= 2)

    first, second = rounds(spool)[:2]
    assert (first.meters, second.meters) == (("m1",), ("m2",))
    assert first.scheduled_at == second.scheduled_at
    assert unpack(second.quality, "I")[0] & FAILED


async def test_stopping_spools_the_rows_that_are_there(endpoint: ModbusScript, spool: Spool):
    endpoint.units = {1: counting}
    clock = SimulatedClock.parse(f"2026-03-02T06:00:00+08:00/600/{SystemClock().now_ms()}")
    async with running(bus_at(endpoint.port, 2, clock)) as bus, polling(bus, ["m1", "m2"], spool, clock):
        await until(lambda: len(endpoint.asked) >= 2)

    assert rounds(spool)[0].meters == ("m1",)


class SetClock(SystemClock):
    """The system's clock, set ahead or back by somebody."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


@pytest.mark.parametrize("ahead_ms", [-3_600_000, 7 * 86_400_000])
async def test_a_clock_that_is_set_is_followed_at_once(endpoint: ModbusScript, spool: Spool, ahead_ms: int):
    endpoint.units = {1: counting}
    clock = SetClock()
    async with running(bus_at(endpoint.port, 1, clock)) as bus, polling(bus, ["m1"], spool, clock, period_ms=200):
        await until(lambda: len(rounds(spool)) >= 2)
        clock.ahead_ms = ahead_ms
        before = len(rounds(spool))
        await until(lambda: len(rounds(spool)) >= before + 3)
        first, *_, newest = rounds(spool)

    assert abs(newest.scheduled_at - first.scheduled_at - ahead_ms) < 60_000


async def test_nothing_is_read_while_the_clock_has_lost_the_time(endpoint: ModbusScript, spool: Spool):
    endpoint.units = {1: counting}
    clock = SetClock()
    async with running(bus_at(endpoint.port, 1, clock)) as bus, polling(bus, ["m1"], spool, clock, period_ms=200):
        await until(lambda: len(rounds(spool)) >= 2)
        clock.ahead_ms = -SystemClock().now_ms()
        await asyncio.sleep(1)
        clock.ahead_ms, before = 0, len(rounds(spool))
        await until(lambda: len(rounds(spool)) >= before + 3)
        found = rounds(spool)

    assert all(one.scheduled_at > NOON_OF_2020_MS for one in found)


async def test_a_sleeper_wakes_when_the_clock_is_set_back():
    clock = SetClock()
    wakes_at = clock.now_ms() + 100
    sleeper = asyncio.create_task(clock.sleep_until(wakes_at))
    await asyncio.sleep(0)
    clock.ahead_ms = -86_400_000
    async with asyncio.timeout(10):
        await sleeper

    assert clock.now_ms() < wakes_at


async def test_ticks_nobody_was_there_for_are_counted_not_made_up_for(endpoint: ModbusScript, spool: Spool):
    endpoint.units = dict.fromkeys((1, 2), counting)
    clock = SimulatedClock.parse(f"2026-03-02T06:00:00+08:00/60000/{SystemClock().now_ms()}")  # a minute a millisecond
    async with running(bus_at(endpoint.port, 2, clock)) as bus, polling(bus, ["m1", "m2"], spool, clock) as poller:
        await until(lambda: poller._counters.rounds_spooled >= 5)

    instants = {one.scheduled_at for one in rounds(spool)}
    assert poller._counters.ticks_skipped > 0
    assert max(instants) - min(instants) > (len(instants) - 1) * 60_000


async def test_rows_the_disk_does_not_take_are_counted_and_polling_goes_on(endpoint: ModbusScript, spool: Spool):
    endpoint.units = {1: counting}
    clock = SimulatedClock.parse(f"2026-03-02T06:00:00+08:00/1200/{SystemClock().now_ms()}")
    async with running(bus_at(endpoint.port, 1, clock)) as bus, polling(bus, ["m1"], spool, clock) as poller:
        await until(lambda: poller._counters.rounds_spooled >= 2)
        pages = spool._db.execute("PRAGMA page_count").fetchone()[0]
        spool._db.execute(f"PRAGMA max_page_count={pages}")
        await until(lambda: poller._counters.rows_lost >= 2, 30)
        spool._db.execute("PRAGMA max_page_count=1000")
        before = poller._counters.rounds_spooled
        await until(lambda: poller._counters.rounds_spooled >= before + 2)

    assert len(rounds(spool)) == poller._counters.rounds_spooled


async def test_rows_say_while_the_gateway_does_not_know_the_time(endpoint: ModbusScript, spool: Spool):
    endpoint.units = {1: counting}
    answers = iter([False, False, None])
    clock = SimulatedClock.parse(f"2026-03-02T06:00:00+08:00/600/{SystemClock().now_ms()}")
    knows = lambda: next(answers, True)  # noqa: E731
    async with running(bus_at(endpoint.port, 2, clock)) as bus, polling(bus, ["m1"], spool, clock, knows):
        await until(lambda: len(rounds(spool)) >= 4)

    unsure = [bool(unpack(one.quality, "I")[0] & Quality.CLOCK_UNSYNCHRONISED) for one in rounds(spool)[:4]]
    assert unsure == [True, True, False, False]


async def test_rows_of_a_boot_with_an_old_time_say_so_over_a_restart(endpoint: ModbusScript, spool: Spool):
    endpoint.units = {1: counting}
    start = f"/600/{SystemClock().now_ms()}"
    for hour, synchronised in ((6, True), (5, False), (5, False), (7, False)):
        clock = SimulatedClock.parse(f"2026-03-02T{hour:02}:00:00+08:00{start}")
        before = len(rounds(spool))
        async with (
            running(bus_at(endpoint.port, 2, clock)) as bus,
            polling(bus, ["m1"], spool, clock, lambda known=synchronised: known),
        ):
            await until(lambda count=before: len(rounds(spool)) >= count + 1)

    said = {one.scheduled_at: unpack(one.quality, "I")[0] & Quality.CLOCK_BEHIND for one in rounds(spool)}
    six = int(datetime.fromisoformat("2026-03-02T06:00:00+08:00").timestamp() * 1000)
    assert {bool(bit) for at, bit in said.items() if at < six} == {True}
    assert {bool(bit) for at, bit in said.items() if at >= six} == {False}


@pytest.mark.parametrize("by", [Bus.chore, Bus.ask])
async def test_a_chore_or_a_question_that_breaks_is_a_failure_and_the_polls_go_on(endpoint: ModbusScript, by):
    endpoint.units = {1: counting}

    async def broken() -> Reading:
        raise KeyError("a bug")

    async with running(bus_at(endpoint.port, 1)) as bus:
        async with asyncio.timeout(10):
            outcome = await by(bus, "m1", broken)
        (row,) = await ask(bus, "m1")

    assert isinstance(outcome, ReadFailure)
    assert "KeyError" in outcome.detail
    assert row.values
