"""Upkeep of one meter beside a spool that gives rows up, and on a gateway that boots with a wrong time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.drivers.driver import GOOD, Cost, ReadFailure, Reading
from edge_agent.drivers.memory import IntervalRow, Intervals
from edge_agent.polling.bus import Bus
from edge_agent.polling.care import care_of
from edge_agent.polling.filing import Filing
from edge_agent.polling.rate_group import GroupSettings
from edge_agent.polling.upkeep import Upkeep
from edge_agent.polling.upkeep_settings import UpkeepSettings
from edge_agent.signals import Counters
from edge_agent.spool.spool import Spool
from metering.ending import end
from metering.round import Column, Origin, Quality, Round, pack
from tests.support.dlms_park import NOON_MS
from tests.support.upkeep_park import HOUR_MS, QUARTER_MS, clock_at, quarters_between, read_back
from tests.support.waiting import until

IMPORT = "active_energy_import"
GROUP = GroupSettings(id="main", every="10s", quantities=(IMPORT,))


class HesitantMeter:
    """A line with one meter that keeps quarters of an hour; from its second answer on it waits to be let on."""

    connected = True

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.may_answer = asyncio.Event()

    async def connect(self) -> None:
        """It is there."""

    def close(self) -> None:
        """It stays there."""

    async def read(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """Polls are no business of these tests."""
        raise NotImplementedError(meter, quantities)

    def offers(self, meter: str) -> frozenset[str]:
        """One register."""
        del meter
        return frozenset({IMPORT})

    def cost(self, meter: str, quantities: frozenset[str]) -> Cost:
        """Nothing."""
        del meter, quantities
        return Cost(0, 0, 0.0)

    def interval_ms(self, meter: str) -> int | None:
        """Quarters of an hour."""
        del meter
        return QUARTER_MS

    async def load_profile(self, meter: str, first_ms: int, last_ms: int) -> Intervals:
        """Every quarter of the time asked for."""
        del meter
        self.asked.append(first_ms)
        if len(self.asked) > 1:
            await self.may_answer.wait()
        begin = -(-first_ms // QUARTER_MS) * QUARTER_MS
        rows = (IntervalRow(at, {IMPORT: at / HOUR_MS}) for at in range(begin, last_ms + 1, QUARTER_MS))
        return Intervals(QUARTER_MS, tuple(rows))


class Room:
    """A spool of a megabyte, and upkeep of one meter that was not heard for hours."""

    def __init__(self, folder: Path) -> None:
        clock, counters = clock_at(NOON_MS, 600.0), Counters()
        self.now_ms = clock.now_ms()
        self.spool = Spool(folder / "spool.db", "g1", 1 << 20, 0)
        self.meter = HesitantMeter()
        self.bus = Bus("b1", self.meter, ["m1"], clock, counters, chore_share=1.0)
        settings = UpkeepSettings()
        cares = {self.bus: [care_of("m1", self.meter, (GROUP,), settings)]}
        filing = Filing(self.spool, clock, counters, lambda: None)
        self.upkeep = Upkeep(settings, "g1", cares, filing, clock, counters)
        self.upkeep.kept(live("m1", self.now_ms - 10 * HOUR_MS))

    def give_up(self, items: int) -> None:
        """Rounds of another meter until so many items are gone, and the collector knows of it."""
        rng = random.Random(1)
        before = self.spool.state().evicted_rows
        while self.spool.state().evicted_rows < before + items:
            kwh = [float(rng.randrange(2**31)) for _ in range(2000)]
            meters = tuple(f"f{n}" for n in range(2000))
            self.spool.append(live(meters, self.now_ms, kwh), self.now_ms)
        self.spool.acknowledge(self.spool.state().next_seq - 1)


def live(meters: str | tuple[str, ...], at: int, kwh: list[float] | None = None, doubts: Quality = GOOD) -> Round:
    meters = (meters,) if isinstance(meters, str) else meters
    column = Column.of(IMPORT, kwh or [at / HOUR_MS] * len(meters))
    times, quality = pack([at] * len(meters), "q"), pack([int(doubts)] * len(meters), "I")
    return Round("g1", "main", Origin.LIVE, 60_000, at // 60_000 * 60_000, meters, times, quality, (column,))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.spool.close()


async def test_rows_given_up_while_the_next_piece_is_under_way_are_asked_once_more(room: Room) -> None:
    room.upkeep.kept(live("m1", room.now_ms))
    tasks = [asyncio.create_task(room.bus.run()), asyncio.create_task(room.upkeep.run())]
    try:
        await until(lambda: len(room.meter.asked) == 2, "the second piece")
        first = read_back(room.spool, "m1")
        await asyncio.to_thread(room.give_up, len(first))
        room.upkeep.marks_due(room.now_ms)
        room.meter.may_answer.set()
        await until(lambda: not room.upkeep.reading_back, "the rest")
        again = read_back(room.spool, "m1")
    finally:
        await end(tasks)

    assert first
    assert set(first) <= set(again)


async def test_all_rows_of_a_piece_that_was_given_up_are_asked_once_more_also_those_at_its_ends(room: Room) -> None:
    room.meter.may_answer.set()
    room.upkeep.kept(live("m1", room.now_ms))
    tasks = [asyncio.create_task(room.bus.run()), asyncio.create_task(room.upkeep.run())]
    try:
        await until(lambda: not room.upkeep.reading_back, "the whole hole")
        first = read_back(room.spool, "m1")
        await asyncio.to_thread(room.give_up, len(first))
        room.upkeep.marks_due(room.now_ms)
        await until(lambda: not room.upkeep.reading_back, "the rest")
        again = read_back(room.spool, "m1")
    finally:
        await end(tasks)

    assert len(first) >= 39
    assert set(first) <= set(again)


@pytest.mark.parametrize("shown_h", [-10_000, -12, -10.4, -10.01])
async def test_a_gateway_that_boots_with_an_old_time_still_reads_back_what_it_was_not_there_for(
    room: Room, shown_h: float
) -> None:
    room.meter.may_answer.set()
    for second in (0, 10, 20):
        shown_ms = room.now_ms + round(shown_h * HOUR_MS) + second * 1000
        now_kwh = [(room.now_ms + second * 1000) / HOUR_MS]
        room.upkeep.kept(live("m1", shown_ms, now_kwh, Quality.CLOCK_UNSYNCHRONISED))
    room.upkeep.kept(live("m1", room.now_ms + 30_000))
    tasks = [asyncio.create_task(room.bus.run()), asyncio.create_task(room.upkeep.run())]
    try:
        await until(lambda: not room.upkeep.reading_back, "the whole hole")
    finally:
        await end(tasks)

    first, last = room.now_ms - 10 * HOUR_MS, room.now_ms + 30_000
    assert read_back(room.spool, "m1") == quarters_between(first, last)


async def test_what_is_missing_is_said_along_with_the_loss_until_the_disk_has_both(room: Room) -> None:
    room.upkeep.kept(live("m1", room.now_ms))
    room.spool.append(live("m1", room.now_ms - 20 * HOUR_MS), room.now_ms - 20 * HOUR_MS)
    room.upkeep.marks_due(room.now_ms)
    room.give_up(1)

    not_taken = room.upkeep.marks_due(room.now_ms)  # the disk had no room for the round that was to carry it
    said = room.upkeep.marks_due(room.now_ms)

    assert said["missing/m1"] == not_taken["missing/m1"]
    assert said["loss_taken"] == str(room.spool.loss)
