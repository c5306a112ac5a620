"""Late readings are judged from the store: what was found wrongly is withdrawn, and nothing depends on who is late."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from collector.days.day import decode_day
from collector.errors import CannotStart
from collector.ingest.intake import Arrival
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from collector.retrying import Stopping
from collector.store.sqlite_queries import SqliteQueries
from collector.store.store import StoredReadings
from metering.round import Origin, Quality
from tests.support.pipelines import PipelineRoom
from tests.support.rounds import T0, make_round, message
from tests.support.stored import same, stored
from tests.support.waiting import until

QUARTER_MS = 900_000
CONTRACT_KVA = 8
GATEWAY_OF = {"a": "gw-1", "b": "gw-2", "c": "gw-2"}
HIGH = [2.5] * 4 + [0.0] * 4
"""Two hours of 10 kWh in which the contract is exceeded …"""
EVEN = [1.25] * 8
"""… and in which it is not."""

Quarter = tuple[int, str]
Reading = tuple[float, float]
"""Register, kWh, and mean power of the quarter, kW."""


def registry() -> Registry:
    document = {
        "sites": [{"id": "park"}],
        "meters": [{"id": name, "site": "park", "contract_kva": CONTRACT_KVA} for name in GATEWAY_OF],
    }
    return Registry(RegistrySettings.model_validate(document), "test")


def readings(days: float, peaks: Mapping[Quarter, Sequence[float]] | None = None) -> dict[Quarter, Reading]:
    """The readings at the end of each quarter; ``peaks`` stand in for the 0.25 kWh that all meters draw."""
    found: dict[Quarter, Reading] = {}
    for meter in GATEWAY_OF:
        kwh = np.full(round(96 * days), 0.25)
        for (first, name), drawn in (peaks or {}).items():
            if name == meter:
                kwh[first : first + len(drawn)] = drawn
        for quarter, register in enumerate(100 + np.cumsum(kwh)):
            found[quarter, meter] = round(float(register), 4), 4 * float(kwh[quarter])
    return found


def only(given: Mapping[Quarter, Reading], meters: str, first: int, last: int) -> dict[Quarter, Reading]:
    return {key: value for key, value in given.items() if key[1] in meters and first <= key[0] < last}


def without(given: Mapping[Quarter, Reading], gone: Iterable[Quarter]) -> dict[Quarter, Reading]:
    left = set(gone)
    return {key: value for key, value in given.items() if key not in left}


class Collector:
    """A collector in a folder, started anew as often as one likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sent = dict.fromkeys(GATEWAY_OF.values(), 0)

    async def start(self, late_settles_s: float = 0.0) -> PipelineRoom:
        self.room = PipelineRoom(self.folder, registry(), late_settles_s=late_settles_s)
        await self.room.store.prepare()
        return self.room

    async def stop(self) -> None:
        await self.room.store.close()
        self.room.checkpoint.close()

    async def take(
        self,
        given: Mapping[Quarter, Reading],
        origin: Origin = Origin.LIVE,
        quality: int = 0,
        shifted_ms: int = 0,
    ) -> None:
        """One round a gateway and quarter; a commit of all of them."""
        arrivals = self.rounds(given, origin, quality, shifted_ms)
        for n in range(0, len(arrivals), 50):
            await self.room.pipeline.commit(arrivals[n : n + 50])

    def rounds(
        self,
        given: Mapping[Quarter, Reading],
        origin: Origin = Origin.LIVE,
        quality: int = 0,
        shifted_ms: int = 0,
    ) -> list[Arrival]:
        rounds: dict[tuple[int, str], dict[str, Reading]] = {}
        for (quarter, meter), reading in sorted(given.items()):
            rounds.setdefault((quarter, GATEWAY_OF[meter]), {})[meter] = reading
        arrivals = []
        for (quarter, gateway), values in rounds.items():
            self._sent[gateway] += 1
            content = make_round(
                {
                    "active_energy_import": [register for register, _ in values.values()],
                    "active_power": [power for _, power in values.values()],
                },
                meters=list(values),
                at=T0 + (quarter + 1) * QUARTER_MS + shifted_ms,
                gateway=gateway,
                quality=[quality] * len(values),
                period_ms=QUARTER_MS,
                origin=origin,
            )
            arrivals.append(Arrival("00", gateway, message(content, self._sent[gateway])))
        return arrivals

    async def judge_late(self) -> None:
        await self.room.judge_late()

    def told(self) -> list[str]:
        """The ids of what waits to be told to the consumers of events; it is taken away."""
        pending = self.room.checkpoint.pending(1000)
        self.room.checkpoint.relayed([one.id for one in pending])
        return [one.id for one in pending]

    def closed(self) -> list[bytes]:
        return [body for _, body in self.room.checkpoint.closed_days()]

    def stored(self) -> dict[str, dict[Any, Any]]:
        return stored(self.folder / "readings.db")


async def in_time(folder: Path, given: Mapping[Quarter, Reading]) -> tuple[dict[str, dict[Any, Any]], list[bytes]]:
    """What the store and the closed days come to if nothing is late."""
    collector = Collector(folder)
    await collector.start()
    await collector.take(given)
    await collector.judge_late()
    await collector.stop()
    await collector.start()
    found = collector.stored(), collector.closed()
    await collector.stop()
    return found


PEAK = {(140, "a"): HIGH}
PEAK_KINDS = {"over_capacity", "capacity_warning"}


async def test_what_corrected_readings_refute_is_withdrawn_and_found_again_if_they_come_back(tmp_path: Path) -> None:
    wrong, right = readings(2.5, PEAK), readings(2.5, {(140, "a"): EVEN})
    collector = Collector(tmp_path)
    await collector.start()
    await collector.take(wrong)
    told = collector.told()
    opened = [one for one in told if one.endswith("-opened")]
    assert {body["data"]["kind"] for body in collector.stored()["event"].values()} == PEAK_KINDS

    await collector.take(only(right, "a", 140, 148), Origin.BACKFILL)
    await collector.judge_late()
    assert sorted(collector.told()) == sorted(one.replace("opened", "withdrawn") for one in opened)
    assert collector.stored()["event"] == {}

    await collector.take(only(wrong, "a", 140, 148), Origin.BACKFILL)
    await collector.judge_late()
    assert sorted(collector.told()) == sorted(told)
    await collector.stop()


async def test_judging_again_what_has_not_changed_tells_nobody_anything(tmp_path: Path) -> None:
    given = readings(2.5, PEAK)
    collector = Collector(tmp_path)
    await collector.start()
    await collector.take(given)
    before, closed = collector.stored(), collector.closed()
    collector.told()
    await collector.take(only(given, "a", 130, 150), Origin.BACKFILL)
    await collector.judge_late()

    assert collector.room.counters.judged_again == 1
    assert collector.told() == []
    assert collector.stored() == before
    assert collector.closed() == closed
    await collector.stop()


class Away(SqliteQueries):
    """A store that does not answer the first time it is asked about readings, or about determinants."""

    def __init__(self, path: Path, question: str) -> None:
        super().__init__(path)
        self.question = question
        self.refused = 0

    def readings(self, gateway: str, since: int, until: int) -> StoredReadings:
        self._refuse("readings")
        return super().readings(gateway, since, until)

    def months(self, since: int, until: int, meter: str | None = None) -> list[Any]:
        self._refuse("months")
        return super().months(since, until, meter)

    def _refuse(self, question: str) -> None:
        if question == self.question and not self.refused:
            self.refused += 1
            raise CannotStart("the store is away")


@pytest.mark.parametrize("question", ["readings", "months"])
async def test_while_the_store_is_away_nothing_changes_and_it_is_tried_again(tmp_path: Path, question: str) -> None:
    given = readings(2.5, PEAK)
    late = only(given, "a", 100, 180)
    expected, closed = await in_time(tmp_path / "in-time", given)
    collector = Collector(tmp_path / "late")
    room = await collector.start()
    await collector.take(without(given, late))
    await collector.take(late, Origin.BACKFILL)
    rejudging = room.rejudging
    rejudging._queries = Away(tmp_path / "late" / "readings.db", question)
    before = room.engine.snapshot("gw-1"), room.days.snapshot("gw-1"), [list(days) for days in room.days._past.values()]
    with pytest.raises(CannotStart):
        rejudging.run("gw-1", T0 + 101 * QUARTER_MS, T0 + 240 * QUARTER_MS)
    assert before == (
        room.engine.snapshot("gw-1"), room.days.snapshot("gw-1"), [list(days) for days in room.days._past.values()]
    )  # fmt: skip

    rejudging._queries = Away(tmp_path / "late" / "readings.db", question)
    await collector.judge_late()
    assert rejudging._queries.refused == 1
    assert room.counters.store_retries == 1
    same(expected, collector.stored())
    assert collector.closed() == closed
    await collector.stop()


class Unreadable(SqliteQueries):
    """A store that takes rows, but may not be asked about them: a token that may write and not read."""

    def readings(self, gateway: str, since: int, until: int) -> StoredReadings:
        raise CannotStart(f"not allowed to read {gateway} from {since} to {until}")


async def test_a_store_that_cannot_be_asked_goes_on_storing_and_what_is_late_waits(tmp_path: Path) -> None:
    given = readings(2.5, PEAK)
    late = only(given, "ab", 130, 150)
    expected, closed = await in_time(tmp_path / "in-time", given)
    collector = Collector(tmp_path / "late")
    room = await collector.start()
    await collector.take(without(only(given, "abc", 0, 200), late))
    await collector.take(late, Origin.BACKFILL)
    room.rejudging._queries = Unreadable(tmp_path / "late" / "readings.db")
    for _ in GATEWAY_OF.values():
        await collector.judge_late()
    assert room.counters.judged_again == 0
    assert not room.pipeline.again.due()
    await collector.take(only(given, "abc", 200, 240))
    await collector.stop()

    await collector.start()
    await collector.judge_late()
    same(expected, collector.stored())
    assert collector.closed() == closed
    await collector.stop()


async def test_who_becomes_due_after_another_was_judged_is_judged_though_nothing_arrives(tmp_path: Path) -> None:
    given = readings(2)
    collector = Collector(tmp_path)
    await collector.start()
    await collector.take(without(given, {**only(given, "a", 100, 110), **only(given, "b", 100, 110)}))
    await collector.take(only(given, "a", 100, 110), Origin.BACKFILL)
    await collector.stop()
    room = await collector.start(late_settles_s=3.0)
    await collector.take(only(given, "b", 100, 110), Origin.BACKFILL)
    running = asyncio.create_task(room.pipeline.run())
    await until(lambda: room.counters.judged_again == 2, "both gateways are judged again")
    room.pipeline.stop()
    await running
    await collector.stop()


def as_a_wrong_boot(given: Mapping[Quarter, Reading], quarters: int) -> dict[Quarter, Reading]:
    """Readings as a gateway stamps them whose clock is behind."""
    return {(quarter - quarters, meter): reading for (quarter, meter), reading in given.items()}


async def test_rows_of_a_gateway_that_booted_with_an_old_time_are_stored_and_accuse_nobody(tmp_path: Path) -> None:
    given = readings(2.5)
    outage = {key: value for key, value in given.items() if 150 <= key[0] < 162}
    booted = as_a_wrong_boot({key: value for key, value in outage.items() if key[0] >= 158}, 18)
    expected, closed = await in_time(tmp_path / "in-time", without(given, outage))
    collector = Collector(tmp_path / "booted")
    await collector.start()
    await collector.take({key: value for key, value in given.items() if key[0] < 150})
    await collector.take(booted, quality=Quality.CLOCK_UNSYNCHRONISED | Quality.CLOCK_BEHIND, shifted_ms=60_000)
    await collector.take({key: value for key, value in given.items() if key[0] >= 162})
    late = only(given, "a", 20, 24)
    await collector.take(late, Origin.BACKFILL)  # everything since then is judged again
    await collector.judge_late()

    found = collector.stored()
    assert len(found.pop("reading")) == len(expected.pop("reading")) + len(booted)
    same(expected, found)
    assert not found["event"]
    assert collector.closed() == closed
    await collector.stop()


async def test_a_load_profile_by_a_clock_that_is_a_year_ahead_makes_nobody_late(tmp_path: Path) -> None:
    given = readings(2.5)
    collector = Collector(tmp_path)
    room = await collector.start()
    await collector.take(only(given, "abc", 0, 200))
    year_ms = 365 * 86_400_000
    await collector.take(only(given, "a", 190, 191), Origin.BACKFILL, Quality.METER_CLOCK_OFF, shifted_ms=year_ms)
    await collector.take(only(given, "abc", 200, 240))

    assert room.checkpoint.late() == {}
    assert room.newest.of_gateway("gw-1") == T0 + 240 * QUARTER_MS
    assert len(collector.stored()["reading"]) == len(given) + 1
    await collector.stop()


async def test_a_reading_from_the_future_does_not_use_up_the_states_of_the_past(tmp_path: Path) -> None:
    given = readings(2.5)
    collector = Collector(tmp_path)
    await collector.start()
    await collector.take(only(given, "abc", 0, 200))
    month_ms = 30 * 86_400_000
    await collector.take(only(given, "a", 200, 201), quality=Quality.CLOCK_UNSYNCHRONISED, shifted_ms=month_ms)
    for quarter in range(201, 210):
        await collector.take(only(given, "abc", quarter, quarter + 1))
        await collector.judge_late()

    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        kept = [at for (at,) in db.execute("SELECT upto FROM past_state WHERE gateway = 'gw-1' ORDER BY upto")]
    assert collector.room.counters.judged_again >= 9
    assert all(later - earlier >= 86_400_000 for earlier, later in pairwise(kept))
    await collector.stop()


def from_before(given: Mapping[Quarter, Reading]) -> dict[Quarter, Reading]:
    """Readings that are older than any state of their gateway."""
    first = only(given, "a", 0, 9).items()
    return {(quarter - 400, meter): (value - 100, power) for (quarter, meter), (value, power) in first}


async def test_readings_that_come_too_late_are_stored_and_said_once(tmp_path: Path) -> None:
    given = readings(2.5)
    collector = Collector(tmp_path)
    await collector.start()
    await collector.take(given)
    before = collector.stored()
    with capture_logs() as logs:
        for one in from_before(given).items():
            await collector.take(dict([one]), Origin.BACKFILL)
        await collector.judge_late()

    (said,) = [one for one in logs if one["log_level"] == "error"]
    assert said["event"] == "readings came too late to be judged; they are stored"
    assert said["gateway"] == "gw-1"
    after = collector.stored()
    assert len(after["reading"]) == len(before["reading"]) + 9
    assert after["energy_day"] == before["energy_day"]
    assert (collector.room.counters.rows_too_late, collector.room.counters.judged_again) == (9, 0)
    assert collector.room.checkpoint.late() == {}
    await collector.stop()


async def test_what_came_too_late_keeps_nothing_else_from_being_judged(tmp_path: Path) -> None:
    given = readings(2.5)
    late = only(given, "a", 100, 200)
    expected, closed = await in_time(tmp_path / "in-time", given)
    collector = Collector(tmp_path / "late")
    await collector.start()
    await collector.take(without(given, late))
    await collector.take(from_before(given) | late, Origin.BACKFILL)
    await collector.judge_late()

    found = collector.stored()
    assert len(found.pop("reading")) == len(expected.pop("reading")) + 9
    same(expected, found)
    assert collector.closed() == closed
    assert collector.room.counters.judged_again == 1
    await collector.stop()


async def test_a_late_gateway_opens_the_day_of_its_site_again_and_the_others_keep_theirs(tmp_path: Path) -> None:
    given = readings(2.5, {(140, "a"): HIGH, (150, "b"): HIGH})
    late = only(given, "a", 100, 200)
    expected, closed = await in_time(tmp_path / "in-time", given)
    collector = Collector(tmp_path / "late")
    await collector.start()
    await collector.take(without(given, late))
    first = {day.day: day for day in map(decode_day, collector.closed())}
    await collector.take(late, Origin.BACKFILL)
    await collector.judge_late()

    same(expected, collector.stored())
    assert collector.closed() == closed
    again = {day.day: day for day in map(decode_day, collector.closed())}
    assert len(again) == 2
    for day, before in first.items():
        for meter in ("b", "c"):
            rows = before.meters.index(meter), again[day].meters.index(meter)
            assert before.net[rows[0]].tobytes() == again[day].net[rows[1]].tobytes()
    await collector.stop()


async def test_what_is_late_is_known_after_a_restart(tmp_path: Path) -> None:
    given = readings(2.5, PEAK)
    late = only(given, "a", 100, 180)
    expected, closed = await in_time(tmp_path / "in-time", given)
    collector = Collector(tmp_path / "late")
    await collector.start()
    await collector.take(without(given, late))
    await collector.take(late, Origin.BACKFILL)
    await collector.stop()

    room = await collector.start()
    assert room.checkpoint.late() == {"gw-1": T0 + 101 * QUARTER_MS}
    await collector.judge_late()
    assert room.checkpoint.late() == {}
    same(expected, collector.stored())
    assert collector.closed() == closed
    await collector.stop()


async def test_what_was_found_is_told_though_the_collector_is_killed_before_it_is_done(tmp_path: Path) -> None:
    given = readings(2.5, PEAK)
    late = only(given, "a", 130, 150)
    expected, closed = await in_time(tmp_path / "in-time", given)
    collector = Collector(tmp_path / "late")
    room = await collector.start()
    await collector.take(without(given, late))
    await collector.take(late, Origin.BACKFILL)
    told = collector.told()
    with closing(sqlite3.connect(tmp_path / "late" / "state.db")) as db, db:
        db.execute("CREATE TRIGGER full BEFORE DELETE ON late BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    room.pipeline.stop()
    with pytest.raises(Stopping):
        await collector.judge_late()
    await collector.stop()
    with closing(sqlite3.connect(tmp_path / "late" / "state.db")) as db, db:
        db.execute("DROP TRIGGER full")

    await collector.start()
    await collector.judge_late()
    found = collector.stored()
    same(expected, found)
    assert collector.closed() == closed
    assert set(collector.told()) == found["event"].keys() - set(told)
    await collector.stop()


async def test_a_state_of_the_past_that_is_unreadable_stops_nothing(tmp_path: Path) -> None:
    given = readings(2.5)
    late = only(given, "ab", 100, 180)
    collector = Collector(tmp_path)
    room = await collector.start()
    await collector.take(without(given, late))
    with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        db.execute("UPDATE past_state SET snapshot = x'c1' WHERE gateway = 'gw-1'")
    await collector.take(late, Origin.BACKFILL)
    with capture_logs() as logs:
        await collector.judge_late()

    assert [one["gateway"] for one in logs if one["log_level"] == "error"] == ["gw-1", "gw-1"]
    assert (room.counters.judged_again, room.checkpoint.late()) == (1, {})
    assert len(collector.stored()["reading"]) == len(given)
    await collector.stop()


async def test_a_backfill_that_is_there_before_the_live_readings_is_judged(tmp_path: Path) -> None:
    given = readings(2.5, PEAK)
    late = only(given, "a", 130, 200)
    expected, closed = await in_time(tmp_path / "in-time", given)
    collector = Collector(tmp_path / "late")
    await collector.start()
    await collector.take(without(only(given, "abc", 0, 200), late))
    await collector.take(late, Origin.BACKFILL)
    await collector.judge_late()
    await collector.take(only(given, "abc", 200, 240))
    await collector.judge_late()

    same(expected, collector.stored())
    assert collector.closed() == closed
    await collector.stop()


async def test_a_gateway_that_was_away_over_midnight_is_judged_when_it_is_back(tmp_path: Path) -> None:
    """Its rounds waited in its spool: they are live, and newer than all that it had sent."""
    given = readings(3, {(180, "a"): HIGH})
    held = only(given, "a", 170, 250)
    expected, closed = await in_time(tmp_path / "in-time", given)
    collector = Collector(tmp_path / "late")
    await collector.start()
    await collector.take(without(only(given, "abc", 0, 250), held))
    assert len(collector.closed()) == 2
    await collector.take(held)
    await collector.judge_late()
    await collector.take(only(given, "abc", 250, 288))
    await collector.judge_late()

    same(expected, collector.stored())
    assert collector.closed() == closed
    await collector.stop()


async def test_what_is_late_in_the_first_commit_of_a_gateway_is_judged_whatever_arrives_meanwhile(
    tmp_path: Path,
) -> None:
    given = only(readings(1), "a", 0, 96)
    late = only(given, "a", 20, 30)
    expected, _ = await in_time(tmp_path / "in-time", given)
    collector = Collector(tmp_path / "late")
    await collector.start()
    first = collector.rounds(only(without(given, late), "a", 0, 40)) + collector.rounds(late, Origin.BACKFILL)
    await collector.room.pipeline.commit(first)
    await collector.take(only(given, "a", 40, 96))
    await collector.judge_late()

    same(expected, collector.stored())
    await collector.stop()


async def test_a_gateway_that_is_young_is_judged_from_its_first_reading(tmp_path: Path) -> None:
    """No state of it is kept yet; the years before it were not asked for."""
    given = readings(1, {(40, "a"): HIGH})
    late = only(given, "a", 30, 60)
    collector = Collector(tmp_path / "late")
    room = await collector.start()
    arrivals = without(given, late)
    rejudging = room.rejudging
    asked: list[int] = []

    class Counted(SqliteQueries):
        def readings(self, gateway: str, since: int, until: int) -> StoredReadings:
            asked.append(since)
            return super().readings(gateway, since, until)

    rejudging._queries = Counted(tmp_path / "late" / "readings.db")
    await collector.take(only(arrivals, "a", 0, 1))
    await collector.take(only(arrivals, "a", 1, 96))
    await collector.take(late, Origin.BACKFILL)
    await collector.judge_late()

    assert 0 < len(asked) < 20
    assert {body["data"]["kind"] for body in collector.stored()["event"].values()} == PEAK_KINDS
    await collector.stop()
