"""A DLMS meter's log, read by a mark, and its clock, set by hand: over real sockets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_edge_dlms_driver import SECURED, WAYS, connected, folder  # noqa: F401 - a fixture

from edge_agent.drivers.dlms.dlms_driver import DlmsDriver
from edge_agent.drivers.dlms.event_log import PIECE, LogMark
from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from edge_agent.drivers.memory import Clocks, EventLogs, LoadProfiles, LoggedEvent, NewEvents
from metering.meter_event import MeterEvent
from simulators.dlms.data import Data, logical_name
from simulators.dlms.device import EVERYTHING, SET, LogicalDevice
from simulators.dlms.meter import EVENT_LOG
from simulators.dlms.objects import TYPE_UNMATCHED, Column, Denied, MeterClock, Profile
from tests.support.dlms_park import DAY_MS, NOON_MS, SHANGHAI, device

OPENED, CLOSED = MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED
HOUR_MS = 3_600_000


class ByTimeOnly(Profile):
    """A profile that gives no rows by their numbers."""

    def _selected(self, instants: Sequence[int], selection: tuple[int, Data] | None) -> Sequence[int]:
        if selection is not None and selection[0] != 1:
            raise Denied(TYPE_UNMATCHED)
        return super()._selected(instants, selection)


class NewestFirst(Profile):
    """A profile that is sorted last in, first out."""

    def get(self, attribute: int, at_ms: int, selection: tuple[int, Data] | None) -> Data:
        return ("enum", 2) if attribute == 5 else super().get(attribute, at_ms, selection)

    def _selected(self, instants: Sequence[int], selection: tuple[int, Data] | None) -> Sequence[int]:
        return super()._selected(instants[::-1], selection)


class Log:
    """A meter's log: the newest ``most`` of its entries."""

    def __init__(self, most: int, *entries: tuple[int, int], kind: type[Profile] = Profile) -> None:
        self.most = most
        self.kind = kind
        self.entries = list(entries)

    def device(self, **rest: Any) -> LogicalDevice:
        """A meter with this log in place of a standing one; entries are found by their place."""
        codes = Column(1, logical_name("0-0:96.11.0"), 2, lambda at: ("unsigned", dict(self.entries)[at]))
        made = device(**rest)
        log = self.kind(EVENT_LOG, MeterClock(SHANGHAI), [codes], lambda _: [at for at, _ in self.held], 0)
        made.objects[7, EVENT_LOG] = log  # type: ignore[index]
        return made

    @property
    def held(self) -> Sequence[tuple[int, int]]:
        return self.entries[-self.most :]


async def asked(driver: DlmsDriver, mark: str) -> NewEvents:
    found = await driver.new_events("m1", mark)
    assert isinstance(found, NewEvents), found
    return found


def events(found: NewEvents) -> list[MeterEvent]:
    return [one.event for one in found.events]


async def test_a_log_is_told_once_and_two_entries_of_one_second_are_two(folder: Path) -> None:  # noqa: F811
    log = Log(100, (NOON_MS - 3 * DAY_MS, 44), (NOON_MS - 7000, 45), (NOON_MS - 6000, 99))
    async with connected(folder, meter=log.device()) as (driver, _):
        assert isinstance(driver, LoadProfiles)
        assert isinstance(driver, EventLogs)
        assert isinstance(driver, Clocks)
        first = await asked(driver, "")
        nothing = await asked(driver, first.mark)
        log.entries.append((NOON_MS - 5999, 44))  # in the hundredth of a second of the one before
        second = await asked(driver, nothing.mark)
        log.entries.append((NOON_MS - 5000, 45))
        third = await asked(driver, second.mark)
        strange = await asked(driver, "a mark of somebody else")

    assert first.events == (LoggedEvent(NOON_MS - 3 * DAY_MS, OPENED), LoggedEvent(NOON_MS - 7000, CLOSED))
    assert (first.unknown, first.missed, first.more) == (1, 0, False)
    assert nothing == NewEvents((), first.mark)
    assert (events(second), events(third)) == ([OPENED], [CLOSED])
    assert strange.events == (*first.events, *second.events, *third.events)


async def test_what_was_overwritten_unread_is_counted_and_a_log_that_was_cleared_is_not(folder: Path) -> None:  # noqa: F811
    log = Log(3, *((NOON_MS - (10 - n) * HOUR_MS, 44) for n in range(3)))
    async with connected(folder, meter=log.device()) as (driver, _):
        first = await asked(driver, "")
        log.entries += [(NOON_MS - (7 - n) * HOUR_MS, 45) for n in range(4)]
        second = await asked(driver, first.mark)
        again = await asked(driver, second.mark)
        log.entries = []
        cleared = await asked(driver, again.mark)
        log.entries.append((NOON_MS - 1000, 44))
        after = await asked(driver, cleared.mark)

    assert (len(first.events), first.missed) == (3, 0)
    assert (events(second), second.missed) == ([CLOSED] * 3, 1)
    assert (again.events, again.missed) == ((), 0)
    assert (cleared.events, cleared.missed) == ((), 0)
    assert (events(after), after.missed) == ([OPENED], 0)


@pytest.mark.parametrize("kind", [Profile, ByTimeOnly, NewestFirst])
async def test_a_meter_whose_clock_was_set_back_is_heard_below_its_own_mark(folder: Path, kind: type[Profile]) -> None:  # noqa: F811
    log = Log(100, (NOON_MS - HOUR_MS, 99), (NOON_MS + 2 * HOUR_MS, 44), kind=kind)
    async with connected(folder, meter=log.device()) as (driver, _):
        first = await asked(driver, "")
        log.entries += [(NOON_MS - 2000, 5), (NOON_MS - 1000, 45)]
        second = await asked(driver, first.mark)
        third = await asked(driver, second.mark)

        log.entries.append((NOON_MS + 3 * HOUR_MS, 44))
        fourth = await asked(driver, third.mark)

    assert events(second) == [MeterEvent.CLOCK_SET, CLOSED]
    assert third.events == ()
    assert events(fourth) == [OPENED]


@pytest.mark.parametrize("kind", [Profile, NewestFirst])
async def test_a_long_log_is_read_in_pieces(folder: Path, kind: type[Profile]) -> None:  # noqa: F811
    log = Log(100, *((NOON_MS - (50 - n) * HOUR_MS, 44 + n % 2) for n in range(40)), kind=kind)
    async with connected(folder, meter=log.device()) as (driver, _):
        answers = [await asked(driver, "")]
        while answers[-1].more:
            answers.append(await asked(driver, answers[-1].mark))
        end = await asked(driver, answers[-1].mark)

    assert [len(one.events) for one in answers] == [PIECE, PIECE, 40 - 2 * PIECE]
    assert end.events == ()
    assert LogMark.of(end.mark).entries == 40


@pytest.mark.parametrize("kind", [Profile, NewestFirst])
async def test_a_full_log_that_is_written_to_while_it_is_read_hides_no_entry(folder: Path, kind: type[Profile]) -> None:  # noqa: F811
    log = Log(40, *((NOON_MS - (60 - n) * HOUR_MS, 44 + n % 2) for n in range(40)), kind=kind)
    async with connected(folder, meter=log.device()) as (driver, _):
        answers = [await asked(driver, "")]
        log.entries.append((NOON_MS - 1000, 44))
        while answers[-1].more:
            answers.append(await asked(driver, answers[-1].mark))
        end = await asked(driver, answers[-1].mark)

    assert [at for one in answers for at, _ in one.events] == [at for at, _ in log.entries]
    assert end.events == ()


async def test_the_status_of_the_clock_is_no_event(folder: Path) -> None:  # noqa: F811
    meter = device()
    status = Column(8, logical_name("0-0:1.0.0"), 4, lambda _: ("unsigned", 1))
    code = Column(1, logical_name("0-0:96.11.0"), 2, lambda _: ("unsigned", 44))
    log = Profile(EVENT_LOG, MeterClock(SHANGHAI), [status, code], lambda _: [NOON_MS - 1000], 0)
    meter.objects[7, EVENT_LOG] = log  # type: ignore[index]
    async with connected(folder, meter=meter) as (driver, _):
        found = await asked(driver, "")

    assert events(found) == [OPENED]


class SettableClock:
    """A meter whose clock takes what it is told, or only pretends to."""

    def __init__(self, deviation: str = "standard", *, stubborn: bool = False) -> None:
        self.clock = MeterClock(SHANGHAI, deviation, offset_s=600.0)  # type: ignore[arg-type]
        self.stubborn = stubborn
        self.told: list[tuple[int, bytes, int, Data]] = []

    def device(self, **rest: Any) -> LogicalDevice:
        return device(self.clock, on_set=self._set, **rest)

    def _set(self, class_id: int, name: bytes, attribute: int, value: Data) -> None:
        self.told.append((class_id, name, attribute, value))
        if not self.stubborn:
            self.clock.offset_s = (self.clock.instant_ms(value[1]) - NOON_MS) / 1000


async def offset(driver: DlmsDriver) -> float | None:
    if not driver.connected:
        assert await driver.connect() is None
    found = await driver.read("m1", frozenset({"clock_offset"}))
    assert isinstance(found, Reading), found
    return found.values["clock_offset"]


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_clock_is_set_and_shows_it(folder: Path, way: str, framing) -> None:  # noqa: F811
    meter = SettableClock()
    async with connected(folder, WAYS[way], framing, meter.device()) as (driver, _):
        before = await offset(driver)
        assert await driver.set_clock("m1") is None
        after = await offset(driver)

    assert (before, after) == (600, 0)
    assert [(class_id, name, number) for class_id, name, number, _ in meter.told] == [(8, logical_name("0-0:1.0.0"), 2)]


@pytest.mark.parametrize("deviation", ["zero", "unspecified"])
async def test_a_clock_is_told_its_time_as_it_shows_it(folder: Path, deviation: str) -> None:  # noqa: F811
    meter = SettableClock(deviation)
    async with connected(folder, meter=meter.device()) as (driver, _):
        assert await driver.set_clock("m1") is None
        assert await offset(driver) == 0

    (told,) = (value for *_, (_, value) in meter.told)
    assert told[9:11] == {"zero": b"\0\0", "unspecified": b"\x80\0"}[deviation]
    assert told[5] == {"zero": 4, "unspecified": 12}[deviation]


async def test_a_meter_that_only_pretends_is_found_out(folder: Path) -> None:  # noqa: F811
    meter = SettableClock(stubborn=True)
    async with connected(folder, meter=meter.device()) as (driver, _):
        refused = await driver.set_clock("m1")

    assert isinstance(refused, ReadFailure)
    assert refused.reason is Reason.DECLINED
    assert "shows 2026-03-02T04:10:00+00:00" in refused.detail


async def test_a_meter_that_lets_nothing_be_set_is_told_nothing_and_reads_on(folder: Path) -> None:  # noqa: F811
    meter = SettableClock()
    async with connected(folder, SECURED, meter=meter.device(conformance=EVERYTHING & ~SET)) as (driver, _):
        refused = await driver.set_clock("m1")
        assert await offset(driver) == 600

    assert isinstance(refused, ReadFailure)
    assert "set nothing" in refused.detail
    assert meter.told == []
