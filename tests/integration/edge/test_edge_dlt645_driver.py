"""The driver on simulated DL/T 645 meters, whose frames and tables are their own."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from edge_agent.drivers.dlt645.dlt645_driver import Dlt645Driver, Dlt645Meter
from edge_agent.drivers.dlt645.link import make_dlt645_link
from edge_agent.drivers.dlt645.profile import Dlt645Profile, load_dlt645_profile
from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from edge_agent.drivers.memory import Intervals, NewEvents
from edge_agent.drivers.registry import ProfileShelf, shipped_profiles
from metering.clock import SystemClock
from metering.meter_event import MeterEvent
from metering.round import Quality
from simulators import dlt645_meter as simulated
from simulators.dlt645_meter import Dlt645Endpoint
from simulators.faults import Fault, Wire
from simulators.meter_images import EASTRON_SDM630
from simulators.paced_line import LineSpeed
from tests.support.dlt645_answers import BEIJING, AnswerLine, At
from tests.support.dlt645_line import KINDS, address, endpoint, served
from tests.support.metered import READING, Still
from tests.support.register_links import ImageLine, driver_on

TIMEOUT_S = 0.12
FAST = {"timeout": f"{TIMEOUT_S * 1000:g}ms", "quiet": "40ms"}


def profile(name: str = "dlt645_three_phase", **changes: object) -> Dlt645Profile:
    return load_dlt645_profile(shipped_profiles() / "dlt645" / f"{name}.yaml").model_copy(update=changes)


def driver_for(settings, of: Dlt645Profile | None = None, clock=None) -> Dlt645Driver:
    meters = {f"m{unit}": Dlt645Meter(address(unit), of or profile()) for unit in (1, 2)}
    return Dlt645Driver(make_dlt645_link(settings), meters, clock or SystemClock())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_meter_says_the_same_as_a_modbus_meter_that_measures_the_same(kind: str, tmp_path: Path):
    modbus = driver_on(ImageLine(image=EASTRON_SDM630, physics=READING), ProfileShelf().profile("eastron_sdm630"))
    other = await modbus.read("m", modbus.offers("m"))
    async with served(kind, endpoint(), tmp_path, **FAST) as (settings, _):
        driver = driver_for(settings)
        assert await driver.connect() is None

        reading = await driver.read("m1", driver.offers("m1"))

        driver.close()
    assert isinstance(reading, Reading)
    assert isinstance(other, Reading)
    both = {name for name in reading.values.keys() & other.values.keys() if reading.values[name] is not None}
    assert {name: reading.values[name] for name in both} == pytest.approx(
        {name: other.values[name] for name in both}, abs=0.06
    )
    assert both >= {"active_energy_import", "active_power_l2", "voltage_l3", "current_l1", "power_factor", "frequency"}
    assert abs(reading.values["clock_offset"] or 0) <= 1
    assert reading.quality == Quality.PARTIAL  # no demand is simulated


async def test_the_line_takes_the_time_that_the_plan_says(tmp_path: Path):
    wanted = frozenset({"active_energy_import", "voltage_l1", "voltage_l2", "voltage_l3", "active_power"})
    async with served("dlt645_tcp", endpoint(), tmp_path, LineSpeed(2400, 11)) as (settings, _):
        driver = driver_for(settings)
        assert await driver.connect() is None
        started_s = asyncio.get_running_loop().time()

        reading = await driver.read("m1", wanted)

        took_s = asyncio.get_running_loop().time() - started_s
        cost = driver.cost("m1", wanted)
        driver.close()
    assert isinstance(reading, Reading)
    assert (cost.requests, reading.requests) == (3, 3)
    assert cost.line_s == pytest.approx(took_s, rel=0.25)


@pytest.mark.parametrize("ahead_s", [-400, 0, 73])
async def test_a_meters_clock_is_compared_with_ours(ahead_s: int, tmp_path: Path):
    async with served("dlt645_tcp", endpoint(ahead_s=ahead_s), tmp_path, **FAST) as (settings, _):
        driver = driver_for(settings)
        assert await driver.connect() is None

        reading = await driver.read("m1", frozenset({"clock_offset"}))

        driver.close()
    assert isinstance(reading, Reading)
    assert reading.values["clock_offset"] == pytest.approx(ahead_s, abs=1)


async def test_a_date_read_before_midnight_does_not_go_with_a_time_read_after_it():
    line = AnswerLine(
        {
            "04000101": [bytes.fromhex("06110726"), bytes.fromhex("00120726")],
            "04000102": bytes.fromhex("010000"),
        }
    )
    driver = Dlt645Driver(
        line, {"m": Dlt645Meter(address(1), profile())}, At(datetime(2026, 7, 12, 0, 0, 1, tzinfo=BEIJING))
    )

    reading = await driver.read("m", frozenset({"clock_offset"}))

    assert isinstance(reading, Reading)
    assert reading.values == {"clock_offset": 0}
    assert line.asked == ["04000101", "04000102", "04000101"]


async def test_a_meter_without_a_time_has_no_offset():
    line = AnswerLine({"04000101": bytes(4), "04000102": bytes.fromhex("053010")})
    driver = Dlt645Driver(line, {"m": Dlt645Meter(address(1), profile())}, SystemClock())

    reading = await driver.read("m", frozenset({"clock_offset"}))

    assert isinstance(reading, Reading)
    assert reading.values == {"clock_offset": None}
    assert reading.quality == Quality.PARTIAL | Quality.OUT_OF_RANGE


def midnight(day: int) -> int:
    return int(datetime(2026, 7, day, tzinfo=BEIJING).timestamp() * 1000)


async def test_the_registers_of_past_midnights_are_read_by_time(tmp_path: Path):
    clock = At(datetime(2026, 7, 11, 10, 4, tzinfo=BEIJING))
    async with served("dlt645_tcp", endpoint(), tmp_path, clock=clock, **FAST) as (settings, server):
        driver = driver_for(settings, clock=clock)
        assert await driver.connect() is None

        found = await driver.load_profile("m1", midnight(9), clock.now_ms())
        requests = server.requests_total
        nothing = await driver.load_profile("m1", midnight(9) + 60_000, midnight(10) - 60_000)
        asked_for_nothing = server.requests_total - requests
        none = driver_for(settings, profile(freezes=None), clock)
        refused = await none.load_profile("m1", midnight(9), midnight(10))

        driver.close()
    assert isinstance(found, Intervals)
    assert found.period_ms == driver.interval_ms("m1") == 86_400_000
    assert [row.measured_at for row in found.rows] == [midnight(9), midnight(10), midnight(11)]
    assert requests == 1 + 3 * 4
    first = found.rows[0].values
    assert first["active_energy_import"] == pytest.approx(sum(READING.import_kwh), abs=0.01)
    tariffs = [first[f"active_energy_import_t{n}"] or 0 for n in (1, 2, 3, 4)]
    assert sum(tariffs) == pytest.approx(sum(READING.import_kwh), abs=0.03)
    assert nothing == Intervals(86_400_000, ())
    assert asked_for_nothing == 0
    assert none.interval_ms("m1") is None
    assert isinstance(refused, ReadFailure)
    assert refused.reason is Reason.UNABLE


def frozen(*days: int) -> dict[str, bytes | list[bytes]]:
    """The freezes of a meter, the newest first, each with its day as the register."""
    found: dict[str, bytes | list[bytes]] = {}
    for back, day in enumerate(days, 1):
        found[f"050600{back:02X}"] = bytes.fromhex(f"0000{day:02d}0726")
        found[f"050601{back:02X}"] = bytes((0, int(f"{day:02d}", 16), 0, 0)) * 5
    return found


async def test_a_freeze_is_found_where_it_stands_though_the_meter_was_without_power_for_days():
    line = AnswerLine(frozen(20, 19, 14, 13, 12, 11, 10))
    driver = Dlt645Driver(line, {"m": Dlt645Meter(address(1), profile())}, SystemClock())

    found = await driver.load_profile("m", midnight(12), midnight(13))

    assert isinstance(found, Intervals)
    assert [(row.measured_at, row.values["active_energy_import"]) for row in found.rows] == [
        (midnight(12), 12),
        (midnight(13), 13),
    ]
    assert {identifier for identifier in line.asked if identifier.startswith("050601")} == {"05060104", "05060105"}


async def test_a_freeze_that_moves_on_while_it_is_read_is_read_again():
    moved = frozen(12, 11)
    moved["05060001"] = [bytes.fromhex("0000110726")] * 2 + [bytes.fromhex("0000120726")]
    line = AnswerLine(moved)
    driver = Dlt645Driver(line, {"m": Dlt645Meter(address(1), profile())}, SystemClock())

    once = await driver.load_profile("m", midnight(11), midnight(11) + 1000)
    again = await driver.load_profile("m", midnight(11), midnight(11) + 1000)

    assert isinstance(once, ReadFailure)
    assert isinstance(again, Intervals)
    assert [row.values["active_energy_import"] for row in again.rows] == [11]


@pytest.mark.parametrize("time", ["ffffffffff", "0000000000", "0000a10726"])
async def test_a_freeze_without_a_time_does_not_hide_the_older_ones(time: str):
    held = frozen(20, 19, 18, 17, 16)
    held["05060003"] = bytes.fromhex(time)
    driver = Dlt645Driver(AnswerLine(held), {"m": Dlt645Meter(address(1), profile())}, SystemClock())

    found = [await driver.load_profile("m", midnight(first), midnight(20)) for first in (16, 18)]
    exactly = await driver.load_profile("m", midnight(17), midnight(18))

    assert all(isinstance(one, Intervals) for one in (*found, exactly))
    assert [[row.measured_at for row in one.rows] for one in (*found, exactly) if isinstance(one, Intervals)] == [
        [midnight(day) for day in (16, 17, 19, 20)],
        [midnight(day) for day in (19, 20)],
        [midnight(17)],
    ]


async def test_timed_freezes_tell_how_far_apart_they_stand():
    line = AnswerLine(
        {f"050000{n:02X}": bytes.fromhex(f"00{20 - 2 * n:02d}110726") for n in (1, 2, 3, 4)}
        | {f"050001{n:02X}": bytes(20) for n in (1, 2, 3, 4)}
    )
    driver = Dlt645Driver(line, {"m": Dlt645Meter(address(1), profile(freezes="timed"))}, SystemClock())
    assert driver.interval_ms("m") == 3_600_000

    found = await driver.load_profile("m", midnight(11) + 13 * 3_600_000, midnight(11) + 17 * 3_600_000)

    assert isinstance(found, Intervals)
    assert [row.measured_at - midnight(11) for row in found.rows] == [14 * 3_600_000, 16 * 3_600_000]
    assert driver.interval_ms("m") == found.period_ms == 7_200_000


@pytest.mark.parametrize(
    "minutes",
    [
        pytest.param([720, 420, 360, 300, 240, 180, 120, 60], id="without power before the newest"),
        pytest.param([720, 540, 480, 420, 360, 300, 240, 180, 120, 60], id="for a shorter while"),
        pytest.param([720, 660, 600, 540, 480, 420, 360, 300, 240, 180, 120, 60], id="never"),
        pytest.param([720, 705, 690, 480, 420, 360, 300, 240, 180, 120, 60], id="told another period"),
    ],
)
@pytest.mark.parametrize(("first", "last"), [(2 * 60, 6 * 60 + 30), (2 * 60, 2 * 60), (1, 60), (7 * 60, 7 * 60 + 59)])
async def test_timed_freezes_are_found_whatever_stands_between_the_newest_two(
    minutes: list[int], first: int, last: int
):
    line = AnswerLine(
        {f"050000{n:02X}": bytes.fromhex(f"{m % 60:02d}{m // 60:02d}110726") for n, m in enumerate(minutes, 1)}
        | {f"050001{n:02X}": bytes(20) for n in range(1, 13)}
    )
    driver = Dlt645Driver(line, {"m": Dlt645Meter(address(1), profile(freezes="timed"))}, SystemClock())

    found = await driver.load_profile("m", midnight(11) + first * 60_000, midnight(11) + last * 60_000)

    assert isinstance(found, Intervals)
    held = sorted(m for m in minutes if first <= m <= last)
    assert [(row.measured_at - midnight(11)) // 60_000 for row in found.rows] == held


async def test_a_clock_is_not_set_without_the_password_that_we_do_not_have():
    line = AnswerLine({})
    driver = Dlt645Driver(line, {"m": Dlt645Meter(address(1), profile())}, SystemClock())

    refused = await driver.set_clock("m")

    assert isinstance(refused, ReadFailure)
    assert refused.reason is Reason.UNABLE
    assert "password" in refused.detail
    assert line.asked == []


def cover(opened: str, closed: str) -> bytes:
    return bytes.fromhex(opened)[::-1] + bytes.fromhex(closed)[::-1] + bytes(48)


async def test_what_a_meter_has_logged_is_read_once(tmp_path: Path):
    records = [cover("260711100000", "FFFFFFFFFFFF"), cover("260711080000", "260711081500")]
    failures = [bytes.fromhex("260710010000")[::-1] + bytes.fromhex("260710010500")[::-1]] * 12
    log = {0x03300D: records[1:], 0x031100: failures, 0x033004: []}
    behind = endpoint(log=log)
    async with served("dlt645_tcp", behind, tmp_path, **FAST) as (settings, _):
        driver = driver_for(settings)
        assert await driver.connect() is None

        first = await driver.new_events("m1", "")
        assert isinstance(first, NewEvents)
        nothing = await driver.new_events("m1", first.mark)
        log[0x03300D] = records
        log[0x031100] = failures * 2
        second = await driver.new_events("m1", first.mark)
        cleared = await driver.new_events("m1", '{"cover_openings": 40}')
        strange = await driver.new_events("m1", "what is this?")

        driver.close()
    covers = [one.event for one in first.events if "cover" in one.event]
    assert covers == [MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED]
    assert len(first.events) == 22
    assert first.missed == 0
    assert nothing == NewEvents((), first.mark)
    assert isinstance(second, NewEvents)
    assert [one.event for one in second.events][-1] is MeterEvent.COVER_OPENED
    assert second.missed == 2
    assert isinstance(cleared, NewEvents)
    assert cleared.missed == 0
    assert isinstance(strange, NewEvents)
    assert strange.mark == second.mark == cleared.mark


async def test_records_that_move_on_while_they_are_read_are_read_again():
    one, two = cover("260711080000", "260711081500"), cover("260711100000", "260711101500")
    line = AnswerLine({"03300D00": [b"\1\0\0", b"\2\0\0"], "03300D01": [one, two], "03300D02": one})
    only = profile(events=("cover_openings",))
    driver = Dlt645Driver(line, {"m": Dlt645Meter(address(1), only)}, SystemClock())

    log = await driver.new_events("m", "")
    assert isinstance(log, NewEvents)
    again = await driver.new_events("m", log.mark)

    assert [event.event for event in log.events] == [MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED] * 2
    assert again == NewEvents((), log.mark)


async def test_the_end_of_a_record_that_was_read_before_it_ended_is_told_when_it_is_there():
    held: dict[str, bytes | list[bytes]] = {"03300D00": b"\1\0\0", "03300D01": cover("260711100000", "FFFFFFFFFFFF")}
    driver = Dlt645Driver(
        AnswerLine(held), {"m": Dlt645Meter(address(1), profile(events=("cover_openings",)))}, SystemClock()
    )
    told: list[list[MeterEvent]] = []
    mark = ""

    async def look() -> None:
        nonlocal mark
        log = await driver.new_events("m", mark)
        assert isinstance(log, NewEvents)
        assert log.missed == 0
        mark = log.mark
        told.append([one.event for one in log.events])

    await look()
    await look()
    held["03300D01"] = cover("260711100000", "260711103000")
    await look()
    await look()
    held |= {"03300D00": b"\2\0\0", "03300D01": cover("260712100000", "FFFFFFFFFFFF"), "03300D02": held["03300D01"]}
    await look()
    held |= {"03300D00": b"\3\0\0", "03300D01": cover("260713100000", "260713100100")}
    held["03300D02"] = cover("260712100000", "260712100100")
    await look()

    opened, closed = MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED
    assert told == [[opened], [], [closed], [], [opened], [closed, opened, closed]]


async def test_a_meter_that_keeps_fewer_records_than_it_counts_tells_those_that_it_keeps():
    held: dict[str, bytes | list[bytes]] = {"03300D00": bytes.fromhex("030000")}
    for back, hour in ((1, "05"), (2, "04")):
        times = "0000" + hour + "100726" + "0010" + hour + "100726"
        held[f"03300D{back:02X}"] = bytes.fromhex(times) + bytes(48)
    only = profile(events=("cover_openings",))
    driver = Dlt645Driver(AnswerLine(held), {"m": Dlt645Meter(address(1), only)}, SystemClock())

    first = await driver.new_events("m", "")
    assert isinstance(first, NewEvents)
    again = await driver.new_events("m", first.mark)
    later = await driver.new_events("m", '{"cover_openings": 0}')

    assert [one.event for one in first.events] == [MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED] * 2
    assert (first.missed, first.mark) == (0, '{"cover_openings":3}')
    assert again == NewEvents((), first.mark)
    assert isinstance(later, NewEvents)
    assert (later.events, later.missed) == (first.events, 1)


@pytest.mark.parametrize("octets", [b"\xff\xff\xff", b"\x00\x0a\x00", b"", b"\x01\x00"])
async def test_a_kind_of_records_without_a_number_does_not_cost_the_others(octets: bytes):
    line = AnswerLine({"03110000": octets, "03300D00": b"\1\0\0", "03300D01": cover("260711080000", "260711081500")})
    both = profile(events=("power_failures", "cover_openings"))
    driver = Dlt645Driver(line, {"m": Dlt645Meter(address(1), both)}, SystemClock())

    log = await driver.new_events("m", "")

    assert isinstance(log, NewEvents)
    assert [event.event for event in log.events] == [MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED]
    assert log.mark == '{"cover_openings":1}'


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("late", [0.5, 1.5, 2.2])
async def test_no_late_answer_becomes_another_identifiers_value(kind: str, late: float, tmp_path: Path):
    voltages = frozenset({"voltage_l1", "voltage_l2", "voltage_l3"})
    powers = frozenset({"active_power", "active_power_l1", "active_power_l2", "active_power_l3"})
    true = {"voltage_l1": 229.5, "voltage_l2": 230.2, "voltage_l3": 231.0}
    true |= {"active_power": 6.75, "active_power_l1": 2.0, "active_power_l2": 2.25, "active_power_l3": 2.5}
    async with served(kind, endpoint(), tmp_path, **FAST) as (settings, server):
        driver = driver_for(settings)
        assert await driver.connect() is None
        outcomes = []
        for n in range(6):
            faults = (Fault("delay", delay_s=late * TIMEOUT_S),) if n % 2 == 0 else ()
            server.endpoint.wire.faults = faults
            outcomes.append(await driver.read("m1", powers if n % 3 else voltages))
        await asyncio.sleep(late * TIMEOUT_S)
        server.endpoint.wire.faults = ()
        last = await driver.read("m1", voltages | powers)
        driver.close()

    for outcome in outcomes:
        if isinstance(outcome, Reading):
            assert outcome.values == {name: true[name] for name in outcome.values}
        else:
            assert outcome.reason in (Reason.SILENT, Reason.NOISE)
    assert isinstance(last, Reading)
    assert last.values == true


async def test_silence_in_the_middle_keeps_what_was_heard(tmp_path: Path):
    behind = Dlt645Endpoint({1: simulated.Dlt645Meter(Still())}, Wire(7))
    async with served("dlt645_tcp", behind, tmp_path, **FAST) as (settings, server):
        driver = driver_for(settings)
        assert await driver.connect() is None
        heard = 0

        def deliver(answer, now_ms, deliver=server.endpoint.wire.deliver):
            nonlocal heard
            heard += 1
            if heard > 1:
                server.endpoint.wire.faults = (Fault("silent"),)
            return deliver(answer, now_ms)

        server.endpoint.wire.deliver = deliver

        reading = await driver.read("m1", frozenset({"voltage_l1", "frequency"}))

        driver.close()
    assert isinstance(reading, Reading)
    assert reading.values == {"voltage_l1": 229.5, "frequency": None}
    assert reading.quality == Quality.PARTIAL
