"""The agent in front of DL/T 645 meters: frozen midnights are read back, event records are told once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from metering.meter_event import MeterEvent, MeterEvents
from metering.round import Origin
from tests.support.dlt645_answers import BEIJING
from tests.support.dlt645_line import address, endpoint, served
from tests.support.metered import READING
from tests.support.upkeep_park import (
    HOUR_MS,
    ParkClock,
    clock_at,
    contents,
    gateway_file,
    good_rows,
    read_back,
    rounds,
    running,
)
from tests.support.waiting import until

NOON_MS = int(datetime(2026, 7, 11, 12, tzinfo=BEIJING).timestamp() * 1000)
METER = f'id: m1, address: "{address(1)}", profile: dlt645_three_phase'
SPEED = 300.0


def midnight(day: int) -> int:
    return int(datetime(2026, 7, day, tzinfo=BEIJING).timestamp() * 1000)


def told(spool) -> list[tuple[tuple[MeterEvent, ...], dict[str, int]]]:
    return [(one.events, one.missed) for one in contents(spool) if isinstance(one, MeterEvents)]


async def test_the_midnights_of_three_days_without_a_gateway_are_read_back_and_the_log_is_told_once(
    tmp_path: Path,
) -> None:
    opened = bytes.fromhex("260711080000")[::-1] + bytes.fromhex("260711081500")[::-1] + bytes(48)
    log = {0x03300D: [opened]}
    park = ParkClock(clock_at(NOON_MS, SPEED))
    async with served("dlt645_tcp", endpoint((1,), log=log), tmp_path, clock=park) as (bus, _):
        line = f"type: dlt645_tcp, host: 127.0.0.1, port: {bus.port}, baudrate: 115200, turnaround: 1ms"
        file = gateway_file(tmp_path, line, [METER])
        async with running(file, park.shown) as gateway:
            await until(lambda: told(gateway.spool) and len(good_rows(gateway.spool, "m1")) >= 2, "the log is read")
        log[0x03300D] = [opened] * 14
        park.shown = clock_at(NOON_MS + 72 * HOUR_MS, SPEED)
        async with running(file, park.shown) as gateway:
            spool = gateway.spool
            await until(lambda: len(read_back(spool, "m1")) >= 3 and len(told(spool)) >= 2, "three midnights")
            seen = len(good_rows(spool, "m1"))
            await until(lambda: len(good_rows(spool, "m1")) >= seen + 5, "some more ticks")
            assert gateway._counters.ticks_skipped == gateway._counters.reads_failed == 0
            found, events, frozen = read_back(spool, "m1"), told(spool), rounds(spool, Origin.BACKFILL)
            offsets = rounds(spool, Origin.LIVE, "clock")

    assert found == [midnight(12), midnight(13), midnight(14)]
    assert {one.period_ms for one in frozen} == {86_400_000}
    assert [one.quantity for one in frozen[0].columns][:2] == ["active_energy_import", "active_energy_export"]
    assert frozen[0].columns[0].values(1) == [round(sum(READING.import_kwh), 2)]
    pair = (MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED)
    assert [(len(names), set(names), missed) for names, missed in events] == [
        (2, set(pair), {}),
        (20, set(pair), {"m1": 3}),
    ]
    assert len(offsets) == 2
