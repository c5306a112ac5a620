"""What meters say about themselves: stored, judged and told once, whenever and however often it comes."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs
from typer.testing import CliRunner

from collector.cli import cli
from collector.config import load
from collector.days.day import decode_day
from collector.engine.checkpoint import Checkpoint
from collector.engine.progress import Progress, Refused
from collector.events.event import iso
from collector.ingest.intake import Arrival
from collector.quarantine import replay
from collector.retrying import Stopping
from collector.store.influx_connection import InfluxSettings
from collector.store.influx_queries import InfluxQueries
from collector.store.influx_writer import InfluxStore
from collector.store.store import EnergyDayRow
from metering.codec import encode_packed
from metering.message import Envelope
from metering.meter_event import MeterEvent, MeterEvents
from metering.packed_body import encode_body
from metering.round import Origin, Quality, Round
from tests.support.engines import registry
from tests.support.pipelines import PipelineRoom
from tests.support.rounds import MINUTE, T0, make_round, message
from tests.support.servers import Influxd
from tests.support.waiting import until

HOUR = 60 * MINUTE
DAY = 24 * HOUR
FAR = 2**43
METERS = ("m-1", "m-2", "m-3")
WORK = {"meter": "m-3", "from": "2026-06-18T10:00:00+08:00", "to": "2026-06-18T11:00:00+08:00"}
FINE = Quality(0)
SILENT = [int(Quality.NO_ANSWER)]
Entry = tuple[str, int, MeterEvent, Quality]


def entries() -> list[Entry]:
    """A morning of three meters: covers, a magnet, outages, and registered work."""
    at = T0 + 10 * HOUR
    return [
        ("m-1", at + 1_000, MeterEvent.COVER_OPENED, FINE),
        ("m-1", at + 61_000, MeterEvent.MAGNETIC_FIELD, FINE),
        ("m-1", at + 61_000, MeterEvent.PROGRAMMED, FINE),
        ("m-1", at + 300_000, MeterEvent.COVER_CLOSED, FINE),
        ("m-1", at + 900_000, MeterEvent.COVER_OPENED, FINE),
        ("m-2", at - 7_000, MeterEvent.POWER_FAILED, Quality.METER_CLOCK_OFF),
        ("m-2", at + 8_000, MeterEvent.POWER_RESTORED, Quality.METER_CLOCK_OFF),
        ("m-2", at + 9_000, MeterEvent.POWER_RESTORED, Quality.METER_CLOCK_OFF),
        ("m-2", at + 500_000, MeterEvent.POWER_FAILED, FINE),
        ("m-2", at + 560_000, MeterEvent.POWER_RESTORED, FINE),
        ("m-3", at + 60_000, MeterEvent.COVER_OPENED, FINE),
        ("m-3", at + 70_000, MeterEvent.CLOCK_SET, FINE),
        ("m-3", at + 80_000, MeterEvent.COVER_CLOSED, FINE),
    ]


TOLD = [
    ("m-1", "cover_opened", "opened"),
    ("m-1", "cover_opened", "closed"),
    ("m-1", "cover_opened", "opened"),
    ("m-1", "magnetic_field", "opened"),
    ("m-1", "magnetic_field", "closed"),
    ("m-1", "programmed", "opened"),
    ("m-1", "programmed", "closed"),
    ("m-2", "outage", "opened"),
    ("m-2", "outage", "closed"),
    ("m-2", "outage", "opened"),
    ("m-2", "outage", "closed"),
]


def live(at: int, kw: float = 1.0) -> Round:
    kwh = 1000 + (at - T0) / HOUR
    return make_round(
        {"active_power": [kw] * 3, "active_energy_import": [kwh] * 3, "voltage_l1": [230.0] * 3},
        meters=METERS,
        at=at,
        period_ms=15 * MINUTE,
    )


class Collector:
    """A collector in a folder, started anew as often as one likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seq = 0
        self.room = self._room()

    def _room(self) -> PipelineRoom:
        self.folder.mkdir(exist_ok=True)
        return PipelineRoom(self.folder, registry(METERS, work_orders=[WORK]))

    async def start(self) -> Collector:
        await self.room.store.prepare()
        return self

    async def stop(self) -> None:
        await self.room.store.close()
        self.room.checkpoint.close()

    async def restart(self) -> None:
        await self.stop()
        self.room = self._room()
        await self.start()

    async def take(self, *contents: Round | MeterEvents, quiet: bool = True) -> list[bytes]:
        """Commit these in one; judge what is late if it is quiet then. Gives the messages."""
        sent = []
        for content in contents:
            self._seq += 1
            sent.append(message(content, self._seq))
        await self.again(sent)
        if quiet:
            await self.judge_late()
        return sent

    async def again(self, sent: Sequence[bytes]) -> None:
        await self.room.pipeline.commit([Arrival("00", "gw-1", one) for one in sent])

    async def judge_late(self) -> None:
        await self.room.judge_late()

    def told(self) -> list[str]:
        """The ids of what waits to be told; it is taken away."""
        pending = self.room.checkpoint.pending(1000)
        self.room.checkpoint.relayed([one.id for one in pending])
        return [one.id for one in pending]

    def stands(self) -> dict[str, dict[str, Any]]:
        """The events that were not taken back, by id."""
        bodies = self.room.queries.events(0, FAR)
        gone = {body["data"]["condition"] for body in bodies if body["data"]["lifecycle"] == "withdrawn"}
        return {body["id"]: body for body in bodies if body["data"]["condition"] not in gone}


def log_of(some: Sequence[Entry]) -> MeterEvents:
    return MeterEvents.of("gw-1", some)


async def ordered(folder: Path, some: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """What entries that come in their order end as, each in a message of its own."""
    collector = await Collector(folder).start()
    for entry in sorted(some, key=lambda one: (one[1], list(MeterEvent).index(one[2]))):
        await collector.take(log_of([entry]))
    found = collector.stands()
    await collector.stop()
    return found


async def test_entries_are_stored_judged_told_and_acknowledged(tmp_path: Path) -> None:
    collector = await Collector(tmp_path).start()
    await collector.take(live(T0 + 11 * HOUR), log_of(entries()))

    data = [body["data"] for body in collector.stands().values()]
    assert sorted((one["meter"], one["kind"], one["lifecycle"]) for one in data) == sorted(TOLD)
    assert len(collector.room.queries.meter_events(0, FAR)) == len(entries())
    assert [ack.seq for _, ack in collector.room.pipeline.acks()] == [2]
    assert len(collector.told()) == len(TOLD)
    assert collector.room.counters.entries == len(entries())
    for one in data:
        clock_is_off = one["kind"] == "outage" and one["started_at"].startswith("2026-06-18T01:59")
        assert ("clock is off" in one["evidence"]["sentence"]["en"]) == clock_is_off
        assert ("时钟偏差" in one["evidence"]["sentence"]["zh"]) == clock_is_off
    await collector.stop()


async def test_a_routine_entry_is_older_than_the_readings_and_nothing_is_judged_again_for_it(tmp_path: Path) -> None:
    collector = await Collector(tmp_path).start()
    for n in range(8):
        at = T0 + 10 * HOUR + n * 15 * MINUTE
        await collector.take(live(at), log_of([("m-1", at - 5 * MINUTE, MeterEvent.POWER_FAILED, FINE)]))

    assert collector.room.counters.judged_again == 0
    assert collector.room.counters.logs_judged_again == 0
    assert collector.room.checkpoint.late() == collector.room.checkpoint.late_logs() == {}
    assert len(collector.told()) == 1  # it has not come back
    await collector.stop()


async def test_a_log_changes_nothing_that_readings_say(tmp_path: Path) -> None:
    """An entry is no reading: it ends no failure to answer, and counts as none."""
    days: list[tuple[list[EnergyDayRow], dict[str, dict[str, Any]]]] = []
    for name in ("without", "with"):
        collector = await Collector(tmp_path / name).start()
        for n in range(30 * 4):
            at = T0 + n * 15 * MINUTE
            if 40 <= n < 60:
                await collector.take(make_round({"active_power": [None]}, meters=["m-1"], at=at, quality=SILENT))
            else:
                await collector.take(live(at))
            if name == "with" and n % 3 == 0:
                await collector.take(log_of([("m-1", at + 2 * MINUTE, MeterEvent.CLOCK_SET, FINE)]))
        of_readings = {i: body for i, body in collector.stands().items() if body["data"]["kind"] != "clock_set"}
        days.append((collector.room.queries.energy(0, FAR), of_readings))
        await collector.stop()

    assert {body["data"]["kind"] for body in days[0][1].values()} == {"read_failure"}
    assert days[0] == days[1]


async def test_a_message_that_comes_again_and_entries_that_are_read_again_change_nothing(tmp_path: Path) -> None:
    collector = await Collector(tmp_path).start()
    sent = await collector.take(log_of(entries()))
    told, before, chained = collector.told(), collector.stands(), collector.room.engine.snapshot("gw-1")
    assert told

    await collector.again(sent)
    await collector.take(log_of(entries()))
    await collector.take(log_of(entries()[3:7] * 3))
    await collector.restart()
    await collector.take(log_of(entries()))

    assert collector.told() == []
    assert collector.stands() == before
    assert collector.room.engine.snapshot("gw-1") == chained
    assert len(collector.room.queries.meter_events(0, FAR)) == len(entries())
    await collector.stop()


async def test_in_any_order_and_any_pieces_over_restarts_the_same_is_found(tmp_path: Path) -> None:
    expected = await ordered(tmp_path / "ordered", entries())
    assert sorted((b["data"]["meter"], b["data"]["kind"], b["data"]["lifecycle"]) for b in expected.values()) == sorted(
        TOLD
    )
    for seed in range(12):
        rng = random.Random(seed)
        collector = await Collector(tmp_path / str(seed)).start()
        waiting = entries() + rng.sample(entries(), 4)
        rng.shuffle(waiting)
        clock = T0 + 10 * HOUR
        while waiting:
            n = rng.randint(1, 5)
            await collector.take(log_of(waiting[:n]), live(clock), quiet=rng.random() < 0.5)
            waiting, clock = waiting[n:], clock + 15 * MINUTE
            if rng.random() < 0.3:
                await collector.restart()
        await collector.judge_late()
        await collector.judge_late()

        assert collector.stands() == expected, seed
        assert len(collector.room.queries.meter_events(0, FAR)) == len(entries())
        await collector.stop()


async def test_late_readings_leave_what_a_log_said_as_it_is(tmp_path: Path) -> None:
    """A cover that was opened before the late readings, and is closed after they were judged, is one finding."""
    collector = await Collector(tmp_path).start()
    opened = ("m-1", T0 + 2 * HOUR, MeterEvent.COVER_OPENED, FINE)
    failed = ("m-2", T0 + 31 * HOUR, MeterEvent.POWER_FAILED, FINE)
    for n in range(26 * 4):
        await collector.take(live(T0 + n * 15 * MINUTE))
    await collector.take(log_of([opened]))  # it is read late, after a state of its gateway was kept
    for n in range(26 * 4, 34 * 4):
        await collector.take(live(T0 + n * 15 * MINUTE))
    await collector.take(log_of([failed]))
    collector.told()
    late = make_round(
        {"active_energy_import": [1030.5]}, meters=["m-1"], measured_at=[T0 + 30 * HOUR + 1], origin=Origin.BACKFILL
    )
    await collector.take(late)
    assert collector.room.counters.judged_again >= 1
    assert collector.told() == []

    await collector.take(
        log_of(
            [
                ("m-1", T0 + 35 * HOUR, MeterEvent.COVER_CLOSED, FINE),
                ("m-2", T0 + 35 * HOUR, MeterEvent.POWER_RESTORED, FINE),
            ]
        )
    )

    found = sorted((b["data"]["kind"], b["data"]["lifecycle"]) for b in collector.stands().values())
    assert found == [("cover_opened", "closed"), ("cover_opened", "opened"), ("outage", "closed"), ("outage", "opened")]
    await collector.stop()


async def test_a_cover_that_was_opened_on_a_day_that_is_over_is_followed_from_that_day(tmp_path: Path) -> None:
    opened = log_of([("m-1", T0 + 10 * HOUR, MeterEvent.COVER_OPENED, FINE)])
    followed = []
    for name, when in (("in-time", 41), ("late", 60 * 4)):
        collector = await Collector(tmp_path / name).start()
        for n in range(80 * 4):
            await collector.take(live(T0 + n * 15 * MINUTE))
            if n == when:
                await collector.take(opened)
        closed = map(decode_day, (body for _, body in collector.room.checkpoint.closed_days()))
        followed.append({day.day.day: day.touched for day in closed})
        assert collector.room.counters.judged_again == (name == "late")
        await collector.stop()

    assert followed[0] == followed[1] == {day: {"m-1": T0 + 10 * HOUR} for day in (18, 19, 20)}


async def test_entries_that_a_meter_overwrote_unread_are_counted_and_said(tmp_path: Path) -> None:
    collector = await Collector(tmp_path).start()
    with capture_logs() as logs:
        sent = await collector.take(MeterEvents.of("gw-1", [], {"m-1": 12, "m-2": 0}))
        await collector.again(sent)

    said = [one for one in logs if one["event"] == "entries of a meter's log overwritten unread"]
    assert [(one["meter"], one["entries"], one["gateway"]) for one in said] == [("m-1", 12, "gw-1")]
    assert collector.room.counters.entries_missed == 12
    assert [ack.seq for _, ack in collector.room.pipeline.acks()] == [1]
    await collector.stop()


async def test_what_is_late_in_a_log_is_known_after_a_restart(tmp_path: Path) -> None:
    expected = await ordered(tmp_path / "ordered", entries()[:4])
    collector = await Collector(tmp_path / "late").start()
    await collector.take(log_of(entries()[3:4]))
    await collector.take(log_of(entries()[:3]), quiet=False)
    await collector.restart()

    assert collector.room.checkpoint.late_logs() == {"gw-1": T0 + 10 * HOUR + 1_000}
    await collector.judge_late()
    assert collector.room.checkpoint.late_logs() == {}
    assert collector.stands() == expected
    await collector.stop()


async def test_what_a_late_entry_says_is_told_and_followed_though_the_collector_is_killed_before_it_is_done(
    tmp_path: Path,
) -> None:
    opened_at = T0 + 5 * HOUR
    collector = await Collector(tmp_path).start()
    for at in range(T0, T0 + 40 * HOUR, 15 * MINUTE):
        await collector.take(live(at), quiet=False)
    await collector.take(log_of([("m-1", opened_at + MINUTE, MeterEvent.COVER_CLOSED, FINE)]))
    await collector.take(log_of([("m-1", opened_at, MeterEvent.COVER_OPENED, FINE)]), quiet=False)
    with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        db.execute("CREATE TRIGGER full BEFORE DELETE ON late_log BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    collector.room.pipeline.stop()
    with pytest.raises(Stopping):
        await collector.judge_late()
    with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        db.execute("DROP TRIGGER full")

    await collector.restart()
    await collector.judge_late()
    assert set(collector.told()) == collector.stands().keys()
    assert [body["data"]["lifecycle"] for body in collector.stands().values()] == ["opened", "closed"]
    (day,) = [decode_day(body) for _, body in collector.room.checkpoint.closed_days()]
    assert day.touched == {"m-1": opened_at}
    await collector.stop()


async def test_an_end_that_late_entries_move_is_stored_and_told_once(tmp_path: Path) -> None:
    server = Influxd(tmp_path / "influx")
    server.start()
    try:
        settings = InfluxSettings.model_validate({"type": "influx", "url": server.url})
        store, queries = InfluxStore(settings), InfluxQueries(settings)
        collector = Collector(tmp_path)
        collector.room = PipelineRoom(tmp_path, registry(METERS), store, queries)
        await collector.start()
        for minutes, event in ((0, "cover_opened"), (9, "cover_closed"), (5, "cover_closed")):
            entry = ("m-1", T0 + HOUR + minutes * MINUTE, MeterEvent(event), FINE)
            await collector.take(log_of([entry]))
        collector.told()
        await collector.take(log_of([("m-1", T0 + 2 * MINUTE, MeterEvent.COVER_CLOSED, FINE)]))

        assert collector.told() == []
        times = [body["time"] for body in queries.events(0, FAR)]
        assert times == [iso(T0 + HOUR), iso(T0 + HOUR + 5 * MINUTE)]
    finally:
        await collector.stop()
        server.kill()


async def test_pieces_that_come_late_are_judged_together_though_nothing_else_arrives(tmp_path: Path) -> None:
    collector = Collector(tmp_path)
    collector.room = PipelineRoom(tmp_path, registry(METERS), late_settles_s=2.0)
    await collector.start()
    running = asyncio.create_task(collector.room.pipeline.run())
    try:
        for seq, entry in enumerate(reversed(entries()[:4]), 1):
            collector.room.intake.offer(Arrival("00", "gw-1", message(log_of([entry]), seq)))
            await until(lambda seq=seq: collector.room.counters.entries == seq, "the entry is committed")
        await until(lambda: collector.room.counters.logs_judged_again > 0, "the log was judged again")
    finally:
        collector.room.pipeline.stop()
        await asyncio.wait_for(running, 10)

    assert collector.room.counters.logs_judged_again < 3  # as many pieces came late
    assert len(collector.stands()) == 6
    await collector.stop()


async def test_entries_come_back_from_the_quarantine_and_are_judged_by_the_next_collector(tmp_path: Path) -> None:
    expected = await ordered(tmp_path / "ordered", entries())
    folder = tmp_path / "quarantined"
    await (await Collector(folder).start()).stop()
    payload = encode_packed(Envelope(1, 1, 0), encode_body(log_of(entries())))
    checkpoint = Checkpoint(folder / "state.db")
    checkpoint.commit(Progress(refused=[Refused("message", "gw-1", "unknown event", payload)]))
    checkpoint.close()
    document = {"state": "state.db", "store": {"type": "sqlite", "path": "readings.db"}}
    (folder / "collector.yaml").write_text(yaml.safe_dump(document))

    assert await replay(load(folder / "collector.yaml")) == (1, 0)

    collector = await Collector(folder).start()
    await collector.judge_late()
    assert collector.stands() == expected
    await collector.stop()


async def test_operations_ask_for_the_entries_of_a_meter(tmp_path: Path) -> None:
    collector = await Collector(tmp_path).start()
    profile = make_round(
        {"active_energy_import": [99.5]}, meters=["m-3"], measured_at=[T0 + 12 * HOUR], origin=Origin.BACKFILL
    )
    await collector.take(live(T0 + 11 * HOUR), profile, log_of(entries()))
    await collector.stop()
    document = {"state": "state.db", "store": {"type": "sqlite", "path": "readings.db"}}
    (tmp_path / "collector.yaml").write_text(yaml.safe_dump(document))

    def asked(*words: str) -> str:
        result = CliRunner().invoke(cli, ["query", *words, "-c", str(tmp_path / "collector.yaml")])
        assert result.exit_code == 0, result.output
        return result.stdout

    rows = json.loads(asked("meter-events", "m-2", "--json"))
    assert [(row["event"], row["quality"]) for row in rows[:2]] == [
        ("power_failed", "METER_CLOCK_OFF"),
        ("power_restored", "METER_CLOCK_OFF"),
    ]
    assert rows[0]["at"] == "2026-06-18T01:59:53.000Z"
    assert len(json.loads(asked("meter-events", "--json"))) == len(entries())
    assert json.loads(asked("meter-events", "--since", "2026-06-19", "--json")) == []
    assert "magnetic_field" in asked("meter-events", "m-1")
    latest = {row["meter"]: row for row in json.loads(asked("latest", "--json"))}
    assert latest["m-3"]["origin"] == "load_profile"
    assert "origin" not in latest["m-1"]
    assert "load_profile" in asked("latest")
