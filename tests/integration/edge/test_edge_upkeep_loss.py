"""Upkeep beside a spool that gives rows up: what is said of it reaches the disk, whatever happens at the same time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.drivers.driver import Cost, ReadFailure, Reading
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
from metering.round import Column, Origin, Round, pack
from tests.support.dlms_park import NOON_MS
from tests.support.upkeep_park import HOUR_MS, QUARTER_MS, clock_at, read_back
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
        for at in (self.now_ms - 10 * HOUR_MS, self.now_ms):
            self.upkeep.kept(live("m1", at))

    def give_up(self, items: int) -> None:
        """Rounds of another meter until so many items are gone, and the collector knows of it."""
        rng = random.Random(1)
        before = self.spool.state().evicted_rows
        while self.spool.state().evicted_rows < before + items:
            kwh = [float(rng.randrange(2**31)) for _ in range(2000)]
            meters = tuple(f"f{n}" for n in range(2000))
            self.spool.append(live(meters, self.now_ms, kwh), self.now_ms)
        self.spool.acknowledge(self.spool.state().next_seq - 1)


def live(meters: str | tuple[str, ...], at: int, kwh: list[float] | None = None) -> Round:
    meters = (meters,) if isinstance(meters, str) else meters
    column = Column.of(IMPORT, kwh or [at / HOUR_MS] * len(meters))
    times, quality = pack([at] * len(meters), "q"), pack([0] * len(meters), "I")
    return Round("g1", "main", Origin.LIVE, 60_000, at // 60_000 * 60_000, meters, times, quality, (column,))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.spool.close()


async def test_rows_given_up_while_the_next_piece_is_under_way_are_asked_once_more(room: Room) -> None:
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


async def test_what_is_missing_is_said_along_with_the_loss_until_the_disk_has_both(room: Room) -> None:
    room.spool.append(live("m1", room.now_ms - 20 * HOUR_MS), room.now_ms - 20 * HOUR_MS)
    room.upkeep.marks_due(room.now_ms)
    room.give_up(1)

    not_taken = room.upkeep.marks_due(room.now_ms)  # the disk had no room for the round that was to carry it
    said = room.upkeep.marks_due(room.now_ms)

    assert said["missing/m1"] == not_taken["missing/m1"]
    assert said["loss_taken"] == str(room.spool.loss)
