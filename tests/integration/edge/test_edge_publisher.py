"""The publisher against a real broker: what is sent when, and what an acknowledgement does."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiomqtt
import pytest
from collector_script import TOPICS, collector_at
from edge_servers import Broker
from structlog.testing import capture_logs

from edge_agent.publishing.publisher import Publisher, PublishSettings
from edge_agent.signals import Counters
from edge_agent.spool.spool import Spool
from metering.control import EdgeStatus, ReadCommand, ReadReply, decode_control, encode_control
from metering.ending import end
from metering.errors import LinkLost
from metering.mqtt_link import MqttLink, Will
from metering.mqtt_settings import MqttSettings
from metering.round import Column, Gap, Origin, Round, pack

NOW = 1_772_400_000_000


def a_round(i: int = 0) -> Round:
    column = Column.of("active_power", [1.5, None])
    at = NOW + 60_000 * i
    return Round(
        "park-01", "main", Origin.LIVE, 60_000, at, ("m1", "m2"), pack([at, at], "q"), pack([0, 1], "I"), (column,)
    )


@pytest.fixture
def spool(tmp_path: Path):
    one = Spool(tmp_path / "spool.db", "park-01", 1 << 20, 86_400_000)
    for i in range(10):
        one.append(a_round(i), NOW)
    yield one
    one.close()


@asynccontextmanager
async def publishing(spool: Spool, port: int, **options):
    async def status() -> EdgeStatus:
        return EdgeStatus("online", epoch=f"{spool.epoch:016x}")

    async def answer(command: ReadCommand) -> ReadReply:
        return ReadReply(command.id, command.read, failure="silent")

    will = Will(TOPICS.up("00", "park-01", "status"), encode_control(EdgeStatus("offline")))
    link = MqttLink(MqttSettings(port=port), "park-01", will)
    settings = PublishSettings(resend_after="1s", **options)
    publisher = Publisher(link, spool, settings, TOPICS, "00", "park-01", status, answer, Counters())
    running = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        await end([running])


async def test_nothing_is_sent_before_the_collector_is_there(spool: Spool, broker: Broker):
    async with collector_at(broker.port) as collector, publishing(spool, broker.port):
        await collector.until(lambda: collector.statuses)
        await asyncio.sleep(0.2)
        assert collector.received == []

        await collector.announce()
        await collector.until(lambda: len(collector.received) == 10)

        assert collector.seqs == list(range(1, 11))
        assert [m.content for m in collector.received] == [a_round(i) for i in range(10)]
        assert {m.envelope.oldest for m in collector.received} == {1}


async def test_the_window_is_the_smaller_one_and_a_receipt_of_the_broker_opens_nothing(spool: Spool, broker: Broker):
    async with collector_at(broker.port) as collector, publishing(spool, broker.port, window=4) as publisher:
        await collector.announce()
        await collector.until(lambda: len(collector.received) == 4)
        await asyncio.sleep(0.3)
        assert collector.seqs == [1, 2, 3, 4]
        assert spool.state().unacknowledged == 10

        collector.window = 2
        await collector.ack(3)
        await collector.until(lambda: len(collector.received) == 5)
        await asyncio.sleep(0.2)

        assert collector.seqs == [1, 2, 3, 4, 5]
        assert (publisher.outbox.under_way, spool.acknowledged) == (2, 3)


async def test_a_lower_acknowledgement_is_followed(spool: Spool, broker: Broker):
    async with collector_at(broker.port) as collector, publishing(spool, broker.port):
        await collector.announce()
        await collector.until(lambda: len(collector.received) == 10)
        await collector.ack(10)
        await collector.until(lambda: spool.acknowledged == 10)
        collector.received[:-1] = []

        await collector.ack(6)
        await collector.until(lambda: len(collector.received) == 5)

        assert collector.seqs == [10, 7, 8, 9, 10]


async def test_an_acknowledgement_of_another_epoch_means_nothing(spool: Spool, broker: Broker):
    async with collector_at(broker.port) as collector, publishing(spool, broker.port):
        await collector.announce()
        await collector.until(lambda: len(collector.received) == 10)
        await collector.ack(9, epoch=spool.epoch ^ 1)
        await asyncio.sleep(0.2)

        assert spool.acknowledged == 0


async def test_a_disk_that_fails_when_an_acknowledgement_comes_ends_nothing(tmp_path: Path, broker: Broker):
    spool = Spool(tmp_path / "locked.db", "park-01", 1 << 20, 86_400_000)
    spool.append(a_round(0), NOW)
    spool._db.execute("PRAGMA busy_timeout=20")
    before = spool.epoch
    with closing(sqlite3.connect(tmp_path / "locked.db", isolation_level=None)) as other, capture_logs() as logs:
        async with collector_at(broker.port) as collector, publishing(spool, broker.port):
            await collector.announce()
            await collector.until(lambda: collector.received)
            other.execute("BEGIN IMMEDIATE")
            await collector.ack(99)  # the disk has lost numbers: a new epoch must be written down, and cannot be
            await collector.until(lambda: any(one["event"] == "spool_unreadable" for one in logs))
            other.execute("ROLLBACK")
            await collector.until(lambda: spool.epoch != before)
            await collector.until(lambda: collector.received[-1].envelope.epoch == spool.epoch)
    spool.close()


async def test_without_progress_it_is_sent_again(spool: Spool, broker: Broker):
    async with collector_at(broker.port) as collector, publishing(spool, broker.port, window=2):
        await collector.announce()

        await collector.until(lambda: len(collector.received) == 4)

        assert collector.seqs == [1, 2, 1, 2]


async def test_a_collector_that_misses_one_gets_it_again(spool: Spool, broker: Broker):
    async with collector_at(broker.port) as collector, publishing(spool, broker.port, window=3):
        await collector.announce()
        await collector.until(lambda: len(collector.received) == 3)

        await collector.ack(1, resend=True)
        await collector.until(lambda: len(collector.received) == 6)

        assert collector.seqs == [1, 2, 3, 2, 3, 4]


async def test_the_broker_is_killed_and_comes_back(spool: Spool, broker: Broker):
    async with publishing(spool, broker.port, window=3):
        async with collector_at(broker.port) as collector:
            await collector.announce()
            await collector.until(lambda: len(collector.received) == 3)
            await broker.kill()
        await broker.start()
        async with collector_at(broker.port, automatic=True) as collector:
            await collector.announce()
            await collector.until(lambda: 10 in collector.seqs and spool.acknowledged == 10)

            assert collector.seqs == list(range(1, 11))


async def test_a_broker_under_what_can_be_no_name_is_away():
    with pytest.raises(LinkLost):
        await MqttLink(MqttSettings(host="127.0..1"), "park-01").connected().__aenter__()


async def test_a_gap_tells_what_is_gone(tmp_path: Path, broker: Broker):
    spool = Spool(tmp_path / "small.db", "park-01", 160 * 1024, 0)
    for i in range(1500):
        spool.append(a_round(i), NOW)
    async with collector_at(broker.port, automatic=True) as collector, publishing(spool, broker.port):
        await collector.announce()
        await collector.until(lambda: collector.seqs and collector.seqs[-1] == 1500, 15)
        gap = collector.received[0].content

        assert isinstance(gap, Gap)
        assert (gap.first, gap.reason, gap.rows) == (1, "evicted", 2 * gap.last)
        assert collector.seqs == list(range(gap.last, 1501))
    spool.close()


async def test_plain_format_holds_the_same(spool: Spool, broker: Broker):
    async with collector_at(broker.port) as collector, publishing(spool, broker.port, format="plain"):
        await collector.announce()
        await collector.until(lambda: len(collector.received) == 10)

        assert [m.content for m in collector.received] == [a_round(i) for i in range(10)]


async def test_it_says_when_it_goes(spool: Spool, broker: Broker):
    async with collector_at(broker.port) as collector:
        async with publishing(spool, broker.port):
            await collector.until(lambda: collector.statuses)
        await collector.until(lambda: len(collector.statuses) == 2)

        assert [status.state for status in collector.statuses] == ["online", "offline"]


async def test_a_spool_that_lost_its_end_sends_all_again_under_a_new_epoch(spool: Spool, broker: Broker):
    before = spool.epoch
    async with collector_at(broker.port) as collector, publishing(spool, broker.port):
        await collector.announce()
        await collector.until(lambda: len(collector.received) == 10)
        await collector.ack(50)
        await collector.until(lambda: len(collector.received) == 20)

        assert collector.seqs == [*range(1, 11), *range(1, 11)]
        assert {m.envelope.epoch for m in collector.received} == {before, spool.epoch}
        assert before != spool.epoch


async def test_while_the_collector_is_away_nothing_is_sent(spool: Spool, broker: Broker):
    async with collector_at(broker.port) as collector, publishing(spool, broker.port, window=2):
        await collector.announce()
        await collector.until(lambda: len(collector.received) == 2)
        await collector.announce("offline")
        await asyncio.sleep(1.6)
        assert len(collector.received) == 2

        await collector.announce()
        await collector.until(lambda: len(collector.received) == 4)

        assert collector.seqs == [1, 2, 1, 2]


async def test_a_command_gets_its_reply_and_nonsense_gets_none(spool: Spool, broker: Broker):
    replies = []
    async with aiomqtt.Client("127.0.0.1", broker.port) as centre, publishing(spool, broker.port):
        await centre.subscribe(TOPICS.up("00", "park-01", "reply"))
        await centre.subscribe(TOPICS.up("00", "park-01", "status"))
        async with asyncio.timeout(10):
            async for message in centre.messages:
                if message.topic.value.endswith("/status"):
                    await centre.publish(TOPICS.command("park-01"), b"nonsense")
                    await centre.publish(TOPICS.command("park-01"), encode_control(ReadCommand("q1", "shop-101")))
                else:
                    replies.append(decode_control(message.payload, ReadReply))
                    break

    assert replies == [ReadReply("q1", "shop-101", failure="silent")]
