"""One suite over every store: same rows, same idempotency, same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from collector.checks.check import Finding
from collector.engine.fleet import Fleet
from collector.engine.frame import blocks_of
from collector.events.event import Event
from collector.events.evidence import event_of
from collector.registry.registry import Registry
from collector.store.influx_connection import InfluxSettings
from collector.store.influx_queries import InfluxQueries
from collector.store.influx_writer import InfluxStore
from collector.store.sqlite_queries import SqliteQueries
from collector.store.sqlite_store import SqliteStore
from collector.store.store import (
    EnergyDayRow,
    EnergyMonthRow,
    EventRow,
    ForecastRow,
    Forecasts,
    Latest,
    LoadBlockRow,
    LoadPoint,
    LogEntry,
    Queries,
    Store,
)
from collector.store.table import (
    ENERGY_DAY,
    ENERGY_DAY_COLUMNS,
    ENERGY_MONTH,
    FORECAST_BLOCK_COLUMNS,
    FORECAST_DAY_COLUMNS,
    FORECAST_MONTH_COLUMNS,
    LOAD_BLOCK,
    LOAD_PROFILE,
    Table,
    scaled,
)
from metering.meter_event import MeterEvent, MeterEvents
from metering.round import Origin, Quality
from tests.support.engines import engine, judge, registry
from tests.support.rounds import MINUTE, T0, make_round
from tests.support.servers import Influxd

FAR = 2**43
FORECASTS: dict[Forecasts, tuple[str, ...]] = {
    "forecast_block": FORECAST_BLOCK_COLUMNS,
    "forecast_day": FORECAST_DAY_COLUMNS,
    "forecast_month": FORECAST_MONTH_COLUMNS,
}


@dataclass
class Room:
    store: Store
    queries: Queries
    fleet: Fleet


@pytest.fixture(params=["sqlite", "influx"])
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Room]:
    fleet = Fleet(Registry.empty(), {})
    if request.param == "sqlite":
        store: Store = SqliteStore(tmp_path / "readings.db")
        await store.prepare()
        yield Room(store, SqliteQueries(tmp_path / "readings.db"), fleet)
        await store.close()
        return
    server = Influxd(tmp_path / "influx")
    server.start()
    settings = InfluxSettings.model_validate({"type": "influx", "url": server.url})
    store = InfluxStore(settings)
    await store.prepare()
    yield Room(store, InfluxQueries(settings), fleet)
    await store.close()
    server.kill()


def tables(room: Room, *rounds: object) -> list[Table]:
    return [block.table(room.fleet) for block in blocks_of(room.fleet, list(rounds))]  # type: ignore[arg-type]


async def test_what_is_written_is_read_back_with_its_signs_and_without_its_nulls(room: Room) -> None:
    content = make_round(
        {"active_power": [1.25, -0.5, None], "active_energy_import": [123456.789, 0.001, None]},
        meters=["m-1", "m-2", "m-3"],
        quality=[0, int(Quality.REGISTER_FELL), int(Quality.NO_ANSWER)],
    )

    assert await room.store.write(tables(room, content)) == []

    assert room.queries.latest() == [
        Latest("gw-1", "m-1", T0, {"active_power": 1.25, "active_energy_import": 123456.789}),
        Latest("gw-1", "m-2", T0, {"active_power": -0.5, "active_energy_import": 0.001, "quality": 64.0}),
        Latest("gw-1", "m-3", T0, {"quality": 1.0}),
    ]


async def test_a_resend_changes_nothing(room: Room) -> None:
    rounds = [make_round({"active_power": [float(i)]}, meters=["m-1"], at=T0 + i * MINUTE) for i in range(20)]

    for _ in range(3):
        await room.store.write(tables(room, *rounds))

    points = room.queries.load_curve("m-1", T0, T0 + 20 * MINUTE, MINUTE)
    assert [(point.readings, point.mean_kw) for point in points] == [(1, float(i)) for i in range(20)]


async def test_a_reading_of_a_load_profile_says_so_and_a_live_one_says_nothing(room: Room) -> None:
    live = make_round({"active_power": [1.5], "active_energy_import": [101.0]}, meters=["m-1"], at=T0 + MINUTE)
    profile = make_round(
        {"active_energy_import": [99.5, 100.25, None]},
        meters=["m-1", "m-2", "m-3"],
        measured_at=[T0, T0 + 2 * MINUTE, T0],
        origin=Origin.BACKFILL,
    )

    for _ in range(2):
        assert await room.store.write(tables(room, live, profile)) == []

    assert room.queries.latest() == [
        Latest("gw-1", "m-1", T0 + MINUTE, {"active_power": 1.5, "active_energy_import": 101.0}),
        Latest("gw-1", "m-2", T0 + 2 * MINUTE, {"active_energy_import": 100.25}, LOAD_PROFILE),
    ]
    stored = room.queries.readings("gw-1", 0, FAR)
    rows = zip(stored.meter.tolist(), stored.at.tolist(), stored.profiled.tolist(), strict=True)
    assert {(stored.meters[meter], at, profiled) for meter, at, profiled in rows} == {
        ("m-1", T0, True),
        ("m-1", T0 + MINUTE, False),
        ("m-2", T0 + 2 * MINUTE, True),
    }
    assert set(stored.values) == {"active_power", "active_energy_import"}


async def test_entries_of_logs_are_kept_once_each_and_told_in_their_order(room: Room) -> None:
    off = Quality.METER_CLOCK_OFF
    first = MeterEvents.of(
        "gw-1",
        [
            ("m-2", T0 + MINUTE, MeterEvent.COVER_OPENED, off),
            ("m-1", T0 + MINUTE, MeterEvent.POWER_RESTORED, Quality(0)),
            ("m-2", T0 + MINUTE, MeterEvent.MAGNETIC_FIELD, off),
            ("m-1", T0, MeterEvent.POWER_FAILED, Quality(0)),
        ],
    )
    second = MeterEvents.of("gw-2", [("m-9", T0 + 2 * MINUTE, MeterEvent.CLOCK_SET, Quality(0))], {"m-9": 3})

    for _ in range(2):
        assert await room.store.write_log([first, second]) == []
    assert await room.store.write_log([MeterEvents.of("gw-1", [], {"m-1": 7})]) == []

    found = [
        LogEntry("gw-1", "m-1", T0, "power_failed", 0),
        LogEntry("gw-1", "m-1", T0 + MINUTE, "power_restored", 0),
        LogEntry("gw-1", "m-2", T0 + MINUTE, "cover_opened", int(off)),
        LogEntry("gw-1", "m-2", T0 + MINUTE, "magnetic_field", int(off)),
        LogEntry("gw-2", "m-9", T0 + 2 * MINUTE, "clock_set", 0),
    ]
    assert room.queries.meter_events(0, FAR) == found
    assert room.queries.meter_events(T0 + 1, T0 + MINUTE + 1, meter="m-1") == found[1:2]
    assert room.queries.meter_events(0, FAR, gateway="gw-2") == found[4:]
    assert room.queries.meter_events(0, FAR, meter="m-9", gateway="gw-1") == []


async def test_rate_groups_of_one_instant_share_a_row(room: Room) -> None:
    await room.store.write(tables(room, make_round({"active_power": [2.0]}, meters=["m-1"])))
    await room.store.write(tables(room, make_round({"frequency": [50.01]}, meters=["m-1"], group="slow")))

    assert room.queries.latest("m-1") == [Latest("gw-1", "m-1", T0, {"active_power": 2.0, "frequency": 50.01})]


async def test_a_load_curve_has_mean_extremes_and_count(room: Room) -> None:
    powers = [1.0, 2.0, 6.0, 4.0]
    rounds = [make_round({"active_power": [p]}, meters=["m-1"], at=T0 + i * MINUTE) for i, p in enumerate(powers)]
    await room.store.write(tables(room, *rounds))

    found = room.queries.load_curve("m-1", T0, T0 + 3 * MINUTE, 2 * MINUTE)

    assert found == [LoadPoint(T0, 1.5, 1.0, 2.0, 2), LoadPoint(T0 + 2 * MINUTE, 6.0, 6.0, 6.0, 1)]


async def test_a_running_day_is_overwritten_by_its_later_rows(room: Room) -> None:
    slots = room.fleet.slots("gw-1", ("m-1", "m-2"))
    for total in (1.5, 3.25):
        columns = tuple(
            scaled(name, 4, np.array(values))
            for name, values in {"total": [total, 2.0], "maximum_demand": [np.nan, 8.5]}.items()
        )
        await room.store.write([Table(ENERGY_DAY, room.fleet.series, slots, np.array([T0, T0]), columns)])

    assert room.queries.energy(0, FAR) == [
        EnergyDayRow("gw-1", "m-1", T0, {"total": 3.25}),
        EnergyDayRow("gw-1", "m-2", T0, {"total": 2.0, "maximum_demand": 8.5}),
    ]
    assert [row.meter for row in room.queries.energy(T0, T0 + 1, "m-2")] == ["m-2"]
    assert room.queries.energy(T0 + 1, FAR) == []


async def test_months_and_load_blocks_are_read_back_by_their_start(room: Room) -> None:
    slots = room.fleet.slots("gw-1", ("m-1", "m-2"))
    for measurement in (ENERGY_MONTH, LOAD_BLOCK):
        names = (
            ("total", "complete", "revision") if measurement == ENERGY_MONTH else ("import_kwh", "covered", "estimated")
        )
        columns = tuple(
            scaled(name, 4, np.array(values))
            for name, values in zip(names, ((1.5, 2.25), (1.0, 0.0), (np.nan, 3.0)), strict=True)
        )
        await room.store.write([Table(measurement, room.fleet.series, slots, np.array([T0, T0 + MINUTE]), columns)])

    assert room.queries.months(0, FAR) == [
        EnergyMonthRow("gw-1", "m-1", T0, {"total": 1.5, "complete": 1.0}),
        EnergyMonthRow("gw-1", "m-2", T0 + MINUTE, {"total": 2.25, "complete": 0.0, "revision": 3.0}),
    ]
    assert [row.meter for row in room.queries.months(T0, T0 + MINUTE)] == ["m-1"]
    assert room.queries.months(0, FAR, "m-9") == []
    assert room.queries.load_blocks("m-2", T0, FAR) == [
        LoadBlockRow("gw-1", "m-2", T0 + MINUTE, {"import_kwh": 2.25, "covered": 0.0, "estimated": 3.0})
    ]
    assert room.queries.load_blocks("m-1", T0 + 1, FAR) == []


async def test_a_row_is_filled_by_and_by_and_no_value_overwrites_none(room: Room) -> None:
    slots = room.fleet.slots("gw-1", ("m-1",))
    for values in (
        {"import_kwh": 1.5, "export_kwh": np.nan, "covered": 1.0},
        {"export_kwh": 0.25},
        {"import_kwh": np.nan, "import_kvarh": 0.5},
    ):
        columns = tuple(scaled(name, 4, np.array([value])) for name, value in values.items())
        await room.store.write([Table(LOAD_BLOCK, room.fleet.series, slots, np.array([T0]), columns)])

    (row,) = room.queries.load_blocks("m-1", T0, T0 + 1)
    assert row.values == {"import_kwh": 1.5, "export_kwh": 0.25, "import_kvarh": 0.5, "covered": 1.0}


async def test_everything_the_checks_measure_finds_its_place(room: Room) -> None:
    judging = engine(registry(["m-1"], trade="retail"))
    start = T0 - 24 * 60 * MINUTE
    rounds = [
        make_round(
            {
                "active_power": [6.0],
                "reactive_power": [2.0],
                "active_energy_import": [1000 + i * 0.5],
                "active_energy_export": [10 + i * 0.01],
                "reactive_energy_import": [500 + i / 6],
            },
            meters=["m-1"],
            at=start + i * 5 * MINUTE,
        )
        for i in range(300)
    ]

    assert await room.store.write(judge(judging, rounds).tables) == []

    first, _ = room.queries.energy(0, FAR)
    assert set(first.values) == set(ENERGY_DAY_COLUMNS) - {"revision"}
    assert first.values["total"] == 144.0
    assert first.values["kvarh"] == pytest.approx(48)
    assert first.values["complete"] == 1.0
    (month,) = room.queries.months(0, FAR)
    assert month.values["total"] == 144.0
    assert month.values["complete"] == 0.0
    assert len(room.queries.load_blocks("m-1", start, T0)) == 96


async def test_a_forecast_is_read_back_and_the_next_one_takes_its_place(room: Room) -> None:
    slots = room.fleet.slots("gw-1", ("m-1", "m-2"))
    at = np.full(2, T0, np.int64)

    def rows(measurement: str, names: tuple[str, ...], first: float) -> Table:
        columns = tuple(scaled(name, 4, np.array([first, -first])) for name in names)
        return Table(measurement, room.fleet.series, slots, at, columns)

    for first in (1.5, 2.25):
        forecasts = [rows(measurement, names, first) for measurement, names in FORECASTS.items()]
        assert await room.store.write(forecasts) == []

    for measurement, names in FORECASTS.items():
        (found,) = room.queries.forecasts(measurement, "m-2", 0, FAR)
        assert found == ForecastRow("gw-1", "m-2", T0, dict.fromkeys(names, -2.25))
        assert room.queries.forecasts(measurement, "m-2", T0 + 1, FAR) == []


def excess(room: Room) -> list[Event]:
    """What begins and ends within a minute."""
    slot = int(room.fleet.slots("gw-1", ("m-1",))[0])
    findings = [
        Finding(
            row=0,
            kind="over_capacity",
            lifecycle=lifecycle,
            part="",
            started_at=T0,
            at=T0 + later,
            severity="look",
            score=0.7,
            readings={"apparent_power": 31.5},
            limits={"contract_kva": 30.0},
            facts={"peak_kva": 31.5, "hours": 0.5},
            ended_at=ended,
        )
        for lifecycle, later, ended in (("opened", 0, None), ("closed", MINUTE, float(T0 + MINUTE)))
    ]
    return [event_of(finding, room.fleet, slot, "cfg") for finding in findings]


async def test_an_event_is_stored_once_however_often_it_is_written(room: Room) -> None:
    events = excess(room)

    for _ in range(2):
        await room.store.write([], events)

    assert room.queries.events(0, FAR) == [event.cloudevent() for event in events]
    assert len(room.queries.events(T0, T0 + 1)) == 1
    assert len(room.queries.events(0, FAR, meter="m-1", kind="over_capacity")) == 2
    assert room.queries.events(0, FAR, kind="current_loss") == []


async def test_an_event_that_has_moved_stands_at_its_new_instant_only(room: Room) -> None:
    opened, closed = excess(room)
    later = replace(closed, at=closed.at + MINUTE)
    await room.store.write([], [opened, later])
    await room.store.write([], [closed], moved=[later])

    expected = [opened.cloudevent(), closed.cloudevent()]
    assert room.queries.events(0, FAR) == expected
    assert [row.body for row in room.queries.events_page(0, FAR, 2)] == expected
    assert room.queries.events(later.at, FAR) == []
    await room.store.write([], [later], moved=[closed])
    assert room.queries.events(0, FAR) == [opened.cloudevent(), later.cloudevent()]


async def test_names_with_every_allowed_character_survive(room: Room) -> None:
    await room.store.write(tables(room, make_round({"active_power": [1.0]}, meters=["A.b_c-9"], gateway="g.w_1-x")))

    assert [(one.gateway, one.meter) for one in room.queries.latest()] == [("g.w_1-x", "A.b_c-9")]


async def test_events_come_in_pages_that_hold_each_once_whatever_is_written_meanwhile(room: Room) -> None:
    slot = int(room.fleet.slots("gw-1", ("m-1",))[0])

    def event(n: int, kind: str = "over_capacity") -> Event:
        finding = Finding(
            row=0,
            kind=kind,
            lifecycle="opened",
            part=str(n),
            started_at=T0,
            at=T0 + n // 5 * MINUTE,  # five events share each instant
            severity="look",
            score=0.7,
            readings={},
            limits={},
            facts={"peak_kva": 31.5, "contract_kva": 30.0},
        )
        return event_of(finding, room.fleet, slot, "cfg")

    before = [event(n) for n in range(23)]
    await room.store.write([], before)
    found: list[EventRow] = []
    while page := room.queries.events_page(0, FAR, 4, (found[-1].at, found[-1].id) if found else None):
        assert len(page) <= 4
        found += page
        await room.store.write([], [event(100 + len(found))])

    assert found == sorted(found, key=lambda row: (row.at, row.id))
    ids = [row.id for row in found]
    assert len(set(ids)) == len(ids)
    assert {one.id for one in before} <= set(ids)
    assert [row.body for row in room.queries.events_page(T0, T0 + 1, 100)] == sorted(
        (one.cloudevent() for one in before[:5]), key=lambda body: body["id"]
    )
    assert room.queries.events_page(T0 + 1, T0 + 1, 100) == []
    assert room.queries.events_page(0, FAR, 100, meter="m-2") == []
    assert room.queries.events_page(0, FAR, 100, kind="current_loss") == []
    assert len(room.queries.events_page(0, FAR, 7, meter="m-1", kind="over_capacity")) == 7
