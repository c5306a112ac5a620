"""The order of a commit: nothing is acknowledged, to whom and however it is asked, before everything is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from collector.engine.progress import Outgoing, Progress
from collector.errors import StoreBusy, StoreRefuses
from collector.events.event import Event
from collector.feeds.outbox import OutboxRelay
from collector.ingest.intake import Arrival
from collector.retrying import Stopping
from collector.store.sqlite_store import SqliteStore
from collector.store.store import Rejected
from collector.store.table import Table
from metering.codec import encode_packed
from metering.control import Ack
from metering.message import Envelope
from tests.support.engines import registry
from tests.support.pipelines import PipelineRoom
from tests.support.rounds import MINUTE, T0, make_round, message

EPOCH = "0000000000000001"


class Gate(SqliteStore):
    """The embedded store behind a gate: away, refusing, or open."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.errors: list[Exception] = []
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def write(
        self, tables: Sequence[Table], events: Sequence[Event] = (), moved: Sequence[Event] = ()
    ) -> list[Rejected]:
        self.asked.set()
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        return await super().write(tables, events, moved)


class Room(PipelineRoom):
    store: Gate

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, registry(["m-1"]), Gate(folder / "readings.db"))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    one = Room(tmp_path)
    yield one
    one.checkpoint.close()


def arrivals(*numbers: int, held: int | None = None) -> list[Arrival]:
    return [
        Arrival(
            "00",
            "gw-1",
            message(make_round({"active_power": [1.0]}, meters=["m-1"], at=T0 + n * MINUTE), n, held=held),
        )
        for n in numbers
    ]


def said(room: Room) -> dict[str, int]:
    return {ack.epoch: ack.seq for _, ack in room.pipeline.acks()}


async def test_a_new_connection_hears_of_what_is_committed_and_of_nothing_under_way(room: Room) -> None:
    await room.store.prepare()
    await room.pipeline.commit(arrivals(1, 2))
    assert said(room) == {EPOCH: 2}

    room.store.open.clear()
    room.store.asked.clear()
    committing = asyncio.create_task(room.pipeline.commit(arrivals(3, 4)))
    await room.store.asked.wait()
    while_writing = said(room)
    room.store.open.set()
    await committing

    assert while_writing == {EPOCH: 2}
    assert said(room) == {EPOCH: 4}
    await room.store.close()


async def test_a_store_that_is_away_or_refuses_is_asked_until_it_takes_everything(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.retrying._ALARM_DELAY_S", 0.01)
    await room.store.prepare()
    room.store.errors = [StoreBusy("away"), StoreRefuses("401"), StoreBusy("away", after_s=0.01)]

    await room.pipeline.commit(arrivals(1))

    assert room.counters.store_retries == 3
    assert said(room) == {EPOCH: 1}
    await room.store.close()


async def test_stopping_while_the_store_is_away_acknowledges_nothing(room: Room) -> None:
    await room.store.prepare()
    room.store.errors = [StoreBusy("away")]
    room.pipeline.stop()

    with pytest.raises(Stopping):
        await room.pipeline.commit(arrivals(1))

    assert room.checkpoint.marks() == []
    assert said(room) == {EPOCH: 0}
    await room.store.close()


async def test_a_restarted_collector_says_what_the_one_before_committed(room: Room, tmp_path: Path) -> None:
    await room.store.prepare()
    await room.pipeline.commit(arrivals(1, 2, 3))
    room.checkpoint.close()

    again = Room(tmp_path)

    assert again.pipeline.acks() == [("gw-1", Ack(EPOCH, 3, 8))]
    again.checkpoint.close()
    await room.store.close()


async def test_an_unknown_epoch_is_asked_for_from_the_oldest_it_holds(room: Room) -> None:
    await room.store.prepare()

    await room.pipeline.commit(arrivals(10, held=4))

    assert said(room) == {EPOCH: 5}
    assert room.counters.holes == 1
    await room.store.close()


async def test_a_broken_message_cannot_move_the_mark_over_rounds_that_are_still_to_come(room: Room) -> None:
    await room.store.prepare()
    await room.pipeline.commit(arrivals(1, 2))
    broken = Arrival("00", "gw-1", encode_packed(Envelope(1, 1000, 0), b"garbage"))

    await room.pipeline.commit([broken, *arrivals(3)])

    assert said(room) == {EPOCH: 3}
    assert (room.counters.poison, room.counters.rounds) == (1, 3)
    assert [one.refused.payload for one in room.checkpoint.quarantined()] == [broken.payload]
    await room.store.close()


def test_an_event_waits_in_the_outbox_once_until_it_is_relayed(room: Room) -> None:
    event = Outgoing("id-1", "topic", "{}")
    for _ in range(2):
        room.checkpoint.commit(Progress(outgoing=[event]))

    assert room.checkpoint.pending(10) == [event]

    room.checkpoint.relayed(["id-1"])

    assert room.checkpoint.pending(10) == []


async def test_the_outbox_is_relayed_in_order_and_kept_when_nobody_takes_it(room: Room) -> None:
    taken: list[str] = []

    async def take_two(topic: str, _body: bytes) -> bool:
        taken.append(topic)
        return len(taken) <= 2

    room.checkpoint.commit(Progress(outgoing=[Outgoing(f"id-{n}", f"topic-{n}", "{}") for n in range(4)]))

    await OutboxRelay(room.checkpoint, take_two).relay_some()

    assert taken == ["topic-0", "topic-1", "topic-2"]
    assert [one.id for one in room.checkpoint.pending(10)] == ["id-2", "id-3"]
