"""A gateway that was silent for 26 hours, and the load profiles that its meters had kept meanwhile.

Days, months, load blocks and findings are those of the same shop without an outage, whatever piece of the profile
comes first, twice or last. What a load profile of registers has not cannot come back: voltages, currents and powers,
what is judged by them (apparent power against the contract), how many readings came, demand in steps of five minutes.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector.events.event import iso
from collector.ingest.intake import Arrival
from collector.registry.registry import Registry
from collector.store.influx_connection import InfluxSettings
from collector.store.influx_queries import InfluxQueries
from collector.store.influx_writer import InfluxStore
from collector.store.sqlite_queries import SqliteQueries
from collector.store.sqlite_store import SqliteStore
from collector.store.store import Queries, Store
from metering.round import Origin, Quality, Round
from tests.support.engines import registry
from tests.support.pipelines import PipelineRoom
from tests.support.rounds import MINUTE, T0, make_round, message
from tests.support.servers import Influxd

HOUR = 60 * MINUTE
QUARTER = 15 * MINUTE
METERS = ("shop-1", "shop-2", "shop-3")
LIVE = 5 * MINUTE
END = T0 + 84 * HOUR
OUTAGE = range(T0 + 38 * HOUR + LIVE, T0 + 64 * HOUR, LIVE)
"""The second day from 14:05 to the third day 16:00."""
ONLY_LIVE = {
    *("readings", "failures", "sliding_demand", "sliding_demand_at", "peak_kva", "peak_kva_at"),
    "revision",
}
CAPACITY = {"over_capacity", "capacity_warning"}
FAR = 2**43


@dataclass
class Site:
    """A store of its own kind; collectors in folders of their own, all with the same shop."""

    folder: Path
    server: Influxd | None

    def room(self, name: str, known: Registry) -> PipelineRoom:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        store: Store
        queries: Queries
        if self.server is None:
            store, queries = SqliteStore(folder / "readings.db"), SqliteQueries(folder / "readings.db")
        else:
            document = {"type": "influx", "url": self.server.url, "database": name.replace("-", "_")}
            settings = InfluxSettings.model_validate(document)
            store, queries = InfluxStore(settings), InfluxQueries(settings)
        return PipelineRoom(folder, known, store, queries)


@pytest.fixture(params=["sqlite", "influx"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    if request.param == "sqlite":
        yield Site(tmp_path, None)
        return
    server = Influxd(tmp_path / "influx")
    server.start()
    try:
        yield Site(tmp_path, server)
    finally:
        server.kill()


def power_kw(meter: str, at: int) -> float:
    """Another power each quarter of an hour; shop-2 exceeds its contract before the outage and in it."""
    hour = (at - T0) / HOUR
    base = 1 + METERS.index(meter) + 0.5 * ((at // QUARTER) % 7)
    return 34.0 if meter == "shop-2" and (10 <= hour < 12 or 40 <= hour < 43) else base


def registers() -> dict[tuple[str, int], float]:
    """The import register of every meter at every five minutes."""
    found = {}
    for meter in METERS:
        kwh = 1000.0
        for at in range(T0, END, LIVE):
            found[meter, at] = round(kwh, 6)
            kwh += power_kw(meter, at) / 12
    return found


REGISTERS = registers()


def live(at: int, *, failing: bool = False) -> Round:
    """One live round; one phase of shop-3 has too high a voltage on the last morning."""
    rows: dict[str, list[float | None]] = {}

    def put(name: str, value: float) -> None:
        rows.setdefault(name, []).append(None if failing else value)

    for meter in METERS:
        power = power_kw(meter, at - 1)
        put("active_power", power)
        put("power_factor", 0.95)
        for phase in (1, 2, 3):
            high = meter == "shop-3" and phase == 2 and at >= T0 + 76 * HOUR
            put(f"voltage_l{phase}", 290.0 if high else 230.0)
            put(f"current_l{phase}", power / 3 / 0.23 / 0.95)
        put("active_energy_import", REGISTERS[meter, at])
    quality = [int(Quality.NO_ANSWER if failing else 0)] * len(METERS)
    times = [at + 7_000 * failing] * len(METERS)  # an attempt ends when its time is up
    return make_round(rows, meters=METERS, at=at, period_ms=LIVE, measured_at=times, quality=quality)


def profile(meter: str, stamps: Sequence[int], quality: int = 0) -> Round:
    """Some intervals of a meter's load profile."""
    return make_round(
        {"active_energy_import": [REGISTERS[meter, at] for at in stamps]},
        meters=[meter] * len(stamps),
        at=stamps[-1],
        group="load_profile",
        period_ms=QUARTER,
        measured_at=stamps,
        quality=[quality] * len(stamps),
        origin=Origin.BACKFILL,
    )


def pieces(rng: random.Random, quality: int = 0) -> list[Round]:
    """The load profiles of the outage in pieces of five hours; some intervals stand in two, some pieces come twice."""
    stamps = [at for at in range(T0, END, QUARTER) if at in OUTAGE]
    found = [profile(meter, stamps[n : n + 22], quality) for meter in METERS for n in range(0, len(stamps), 20)]
    found += rng.sample(found, 4)
    rng.shuffle(found)
    return found


class Sender:
    """The gateway: what it sends is numbered and committed."""

    def __init__(self, room: PipelineRoom) -> None:
        self._room = room
        self._seq = 0

    async def send(self, rounds: Sequence[Round], together: int = 40) -> None:
        for n in range(0, len(rounds), together):
            arrivals = []
            for content in rounds[n : n + together]:
                self._seq += 1
                arrivals.append(Arrival("00", "gw-1", message(content, self._seq)))
            await self._room.pipeline.commit(arrivals)
            await self._room.judge_late()


@dataclass
class Found:
    days: dict[Any, dict[str, float]]
    months: dict[Any, dict[str, float]]
    blocks: dict[Any, dict[str, float]]
    events: dict[str, dict[str, Any]]  # without those that were taken back
    withdrawn: set[str]
    readings: int
    profiled: int


def found_in(queries: Queries) -> Found:
    bodies = {body["id"]: body for body in queries.events(0, FAR)}
    gone = {body["data"]["condition"] for body in bodies.values() if body["data"]["lifecycle"] == "withdrawn"}
    stored = queries.readings("gw-1", 0, FAR)
    return Found(
        {(one.meter, one.day_start): one.values for one in queries.energy(0, FAR)},
        {(one.meter, one.month_start): one.values for one in queries.months(0, FAR)},
        {(meter, one.block_start): one.values for meter in METERS for one in queries.load_blocks(meter, 0, FAR)},
        {name: body for name, body in bodies.items() if body["data"]["condition"] not in gone},
        gone,
        len(stored),
        int(stored.profiled.sum()),
    )


def stated(rows: dict[Any, dict[str, float]]) -> dict[Any, dict[str, float]]:
    return {key: {n: v for n, v in values.items() if n not in ONLY_LIVE} for key, values in rows.items()}


def unseen(expected: Found, found: Found) -> set[str]:
    """The kinds of what began while only the load profiles were there, and was not found."""
    missing = [expected.events[name]["data"] for name in expected.events.keys() - found.events.keys()]
    assert all(iso(OUTAGE.start) <= one["started_at"] < iso(OUTAGE.stop) for one in missing)
    return {one["kind"] for one in missing}


async def collected(site: Site, name: str, rounds: Sequence[Sequence[Round]]) -> Found:
    room = site.room(name, registry(METERS))
    await room.store.prepare()
    sender = Sender(room)
    for some in rounds:
        await sender.send(some)
    found = found_in(room.queries)
    await room.store.close()
    room.checkpoint.close()
    return found


UNDISTURBED = [live(at) for at in range(T0, END, LIVE)]
BEFORE = [live(at) for at in range(T0, OUTAGE.start, LIVE)]
AFTER = [live(at) for at in range(OUTAGE.stop, END, LIVE)]


async def test_the_load_profiles_of_a_day_of_silence_end_as_if_nothing_had_been_silent(site: Site) -> None:
    backfill = pieces(random.Random(7))
    expected = await collected(site, "undisturbed", [UNDISTURBED])
    early, late = ([[one] for one in some] for some in (backfill[:9], backfill[9:]))
    found = await collected(site, "silent", [BEFORE, AFTER[:6], *early, AFTER[6:40], *late, AFTER[40:]])

    assert found.profiled == len(METERS) * (26 * 4 - 1)
    assert found.readings == len(METERS) * (len(BEFORE) + len(AFTER)) + found.profiled
    assert stated(found.days) == stated(expected.days)
    assert stated(found.months) == stated(expected.months)
    assert found.blocks == expected.blocks
    for day in (T0 + 24 * HOUR, T0 + 48 * HOUR):
        for meter in METERS:
            assert found.days[meter, day]["coverage"] == 1.0
            assert found.days[meter, day]["complete"] == 1.0
            assert found.days[meter, day]["estimated"] == 0.0
            assert found.days[meter, day]["readings"] < expected.days[meter, day]["readings"]
    assert found.events.items() <= expected.events.items()
    assert unseen(expected, found) <= CAPACITY
    assert {body["data"]["kind"] for body in found.events.values()} == {*CAPACITY, "overvoltage"}


async def test_meters_that_did_not_answer_stay_silent_though_they_counted_on(tmp_path: Path) -> None:
    """The gateway lived and noted every failed read; the load profile is no answer to any of them."""
    site = Site(tmp_path, None)
    failed = [live(at, failing=True) for at in OUTAGE]
    for content in failed:
        assert content.readings == 0
    without = await collected(site, "without", [BEFORE, failed, AFTER])
    found = await collected(site, "with", [BEFORE, failed, AFTER[:6], pieces(random.Random(8)), AFTER[6:]])
    expected = await collected(site, "undisturbed", [UNDISTURBED])

    def told(what: Found) -> set[str]:
        return {name for name, body in what.events.items() if body["data"]["kind"] == "read_failure"}

    assert told(found) == told(without)
    assert told(found)
    assert found.events.keys() - told(found) <= expected.events.keys()
    assert unseen(expected, found) <= CAPACITY
    assert stated(found.days) == stated(expected.days)


async def test_a_profile_by_a_clock_that_is_off_is_kept_and_fills_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, None)
    doubtful = pieces(random.Random(9), int(Quality.METER_CLOCK_OFF))
    without = await collected(site, "without", [BEFORE, AFTER])
    found = await collected(site, "with", [BEFORE, AFTER[:6], doubtful, AFTER[6:]])

    assert found.profiled > 0
    assert stated(found.days) == stated(without.days)
    assert found.days["shop-1", T0 + 24 * HOUR]["complete"] == 0.0
    assert found.events.keys() == without.events.keys()


async def test_power_that_nobody_read_is_not_held_against_the_register(tmp_path: Path) -> None:
    """Half of the day's energy falls into hours that only the load profile saw: register and power do not differ."""
    site = Site(tmp_path, None)
    quiet, loud = 0.5, 40.0

    def kwh(quarter: int) -> float:
        return sum(loud / 4 if 44 <= n % 96 < 52 else quiet / 4 for n in range(quarter))

    def read(quarters: Sequence[int], origin: Origin = Origin.LIVE) -> list[Round]:
        rounds = []
        for n in quarters:
            values = {"active_energy_import": [1000 + kwh(n)]}
            if origin is Origin.LIVE:
                values["active_power"] = [loud if 44 <= (n - 1) % 96 < 52 else quiet]
            at = T0 + n * QUARTER
            rounds.append(make_round(values, meters=["shop-1"], at=at, period_ms=QUARTER, origin=origin))
        return rounds

    hole = range(96 + 45, 96 + 52)
    first, second = read(range(hole.start)), read(range(hole.stop, 3 * 96))

    found = await collected(site, "noon", [first, second[:2], read(hole, Origin.BACKFILL), second[2:]])

    assert found.profiled == len(hole)
    assert "energy_mismatch" not in {body["data"]["kind"] for body in found.events.values()}
    assert found.days["shop-1", T0 + 24 * HOUR]["coverage"] == 1.0
