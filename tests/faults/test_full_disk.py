"""The rule: a full disk stops no polling; what it costs is counted to the row; and it heals without a hand.

A disk without room: the round is lost, counted and never numbered, and the next one that fits is kept. A spool at its
own cap: the oldest rounds go, a gap stands in their place, and the collector's ledger counts exactly what went.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import suppress
from pathlib import Path

import aiomqtt
import pytest

from collector.engine.checkpoint import read_sequence
from edge_agent.spool.spool import Spool
from edge_agent.spool.state import read_state
from metering.control import EdgeStatus, decode_control
from metering.topics import Topics
from simulators.oracle import last_number
from tests.support.central import central
from tests.support.chain import rounds_in
from tests.support.loop_disk import loop_disk
from tests.support.roadside import Roadside, roadside
from tests.support.rounds import MINUTE, T0, make_round
from tests.support.waiting import until

pytestmark = pytest.mark.servers


def spooled(path: Path) -> int:
    """How many rounds a spool holds; none before there is one."""
    with suppress(sqlite3.Error):
        return last_number(path)
    return 0


async def test_a_full_disk_stops_no_polling_is_counted_and_heals_by_itself(tmp_path):
    with loop_disk(tmp_path / "loop", 8) as disk, disk.mounted() as mount:
        async with central(tmp_path / "centre") as centre, roadside(tmp_path / "edge", centre.broker.port) as edge:
            await centre.collector.stop()  # rounds pile up
            spool = mount / "spool.db"
            edge.change(spool={"path": str(spool), "max_size_mb": 256, "keep_acknowledged": "30d"})
            await edge.poll()
            await until(lambda: spooled(spool) >= 5, "the spool works")
            ballast = disk.fill()
            await until(lambda: edge.said("round_lost"), "a round finds no room")
            at_full = spooled(spool)
            lost = await rows_lost(edge, centre.broker.port, more_than=12 * 5)
            ballast.unlink()
            await until(lambda: spooled(spool) >= at_full + 5, "rounds are kept again")
            edge.stack.check()
            await edge.stack.programs["edge"].stop()
            counted = edge.log()[-1]
            rounds = await asyncio.to_thread(rounds_in, spool)
            await centre.start_collector()
            await edge.send_only()
            await until(lambda: mark_of(centre.state) == len(rounds), "everything that was kept is committed")
            stored = len(centre.stored())
            await edge.stack.programs["edge"].stop()

    assert lost > 12 * 5
    assert counted["event"] == "stopped"
    assert counted["rounds_spooled"] == len(rounds)  # without a hole: rounds_in has looked
    assert counted["rows_lost"] >= lost
    assert stored == sum(one.rows for one in rounds)
    # Every read ended in a row, and every row was kept or counted.
    reads = counted["reads_good"] + counted["reads_failed"] + counted["reads_suspended"]
    assert counted["rows_lost"] + stored <= reads
    assert reads - counted["rows_lost"] - stored <= 12  # the round under way when it was stopped


def mark_of(state: Path) -> int:
    """The highest number the collector has committed."""
    return max((mark["seq"] for mark in read_sequence(state)), default=0)


async def rows_lost(edge: Roadside, port: int, more_than: int) -> int:
    """Wait until the agent itself says how many rows it has lost, while it goes on polling."""
    topic, said = Topics().up("00", edge.park.settings.park, "status"), 0
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client, asyncio.timeout(40):
        await client.subscribe(topic, qos=1)
        async for message in client.messages:
            said = decode_control(bytes(message.payload), EdgeStatus).evicted_rows
            if said > more_than:
                break
    return said


async def test_the_ledger_counts_exactly_the_rows_that_a_full_spool_gave_up(tmp_path):
    """Rounds of different sizes; an outage that outlasts the spool twice, with a collector that looks in between."""
    folder = tmp_path / "edge"
    async with central(tmp_path / "centre") as centre:
        edge = Roadside(folder, centre.broker.port)
        edge.change(spool={"path": "spool.db", "max_size_mb": 1, "keep_acknowledged": "30d"})
        made: dict[int, int] = {}  # number → rows
        async with edge.stack:
            for _ in range(2):
                evicted = overfill(edge, made)
                await settle(edge, centre.state, max(made))
        (mark,) = json.loads((await centre.ask("query", "sequence", "--json"))[1])
        stored = centre.stored()

    assert evicted > 0
    assert mark["seq"] == max(made)
    assert mark["rows_lost"] == evicted == sum(made.values()) - len(stored)
    assert mark["rounds"] + mark["rounds_lost"] == len(made)
    assert mark["skipped"] == 0


async def settle(edge: Roadside, state: Path, last: int) -> None:
    """Let the edge send everything, until the collector has committed it and the edge has heard of that, too."""
    for _ in range(4):
        started = edge.said("broker_connected") + 1
        await edge.send_only()
        await until(lambda now=started: edge.said("broker_connected") == now, "the edge is connected")
        await until(lambda: mark_of(state) == last, "everything is committed", 120)
        await asyncio.sleep(0.5)  # the acknowledgement is on its way
        await edge.stack.programs["edge"].stop()
        if read_state(edge.spool, 1 << 20).acknowledged == last:
            return
    raise AssertionError(f"the edge has not heard that {last} is acknowledged")


def overfill(edge: Roadside, made: dict[int, int]) -> int:
    """Spool until unacknowledged rounds had to go; note what was made; give the rows gone so far."""
    spool = Spool(edge.spool, edge.park.settings.park, 1 << 20, 30 * 86_400_000)
    before = spool.state().evicted_rows
    while spool.state().evicted_rows < before + 2_000:
        seq = spool.state().next_seq
        rows = 150 + seq % 100
        meters = tuple(f"m-{n:03d}" for n in range(rows))
        values = [(seq * 7919 + n * 104_729) % 999_983 / 997 for n in range(rows)]  # does not compress
        at = T0 + seq * MINUTE
        content = make_round({"frequency": values}, meters=meters, gateway=edge.park.settings.park, at=at)
        assert spool.append(content, at) == seq
        made[seq] = rows
    evicted = spool.state().evicted_rows
    spool.close()
    return evicted
