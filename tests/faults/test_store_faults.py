"""The rule: whatever the store answers, no round is acknowledged before it is stored, and none is lost.

Away, overloaded, locked: the collector keeps what it has, acknowledges nothing, says so once, and goes on by itself
when the store is back. A line the store will never take is put aside with the reason, and the others are stored. The
gateway is played by hand; InfluxDB, broker and collector are real.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.support.central import Central, central, start_influxd, times, write_line
from tests.support.gateway import METERS, ScriptedGateway, a_round, gateway_at
from tests.support.rounds import MINUTE, T0, make_round
from tests.support.servers import Influxd
from tests.support.waiting import until

pytestmark = pytest.mark.servers

BUSY = "store does not take our data; trying on"
REFUSED = "store refuses us; nothing is lost, but a person has to act"
BACK = "store takes our data again"
ONE_PLACE = {
    "INFLUXDB_HTTP_MAX_CONCURRENT_WRITE_LIMIT": "1",
    "INFLUXDB_HTTP_MAX_ENQUEUED_WRITE_LIMIT": "1",
    "INFLUXDB_HTTP_ENQUEUED_WRITE_TIMEOUT": "100000000",  # nanoseconds
}


@asynccontextmanager
async def chain(
    folder: Path, window: int = 32, **settings: str
) -> AsyncIterator[tuple[Influxd, Central, ScriptedGateway]]:
    """Store, broker, collector and a gateway that holds forty rounds, of which ten are acknowledged."""
    influxd = Influxd(folder / "influx")
    try:
        await start_influxd(influxd, **settings)
        async with central(folder, influxd, window=window) as centre, gateway_at(centre.broker.port) as gateway:
            gateway.hold(a_round(seq) for seq in range(1, 41))
            await gateway.send(*range(1, 11))
            await gateway.until_acknowledged(10)
            yield influxd, centre, gateway
    finally:
        influxd.kill()


def stored(influxd: Influxd) -> list[tuple[str, str, int]]:
    """Every row of the store."""
    return sorted(
        (series["tags"]["gateway"], series["tags"]["meter"], row[0])
        for series in influxd.query("SELECT * FROM reading GROUP BY gateway, meter")
        for row in series["values"]
    )


def rows(*seqs: int) -> list[tuple[str, str, int]]:
    return times([T0 + seq * MINUTE for seq in seqs], METERS)


@contextmanager
def occupied(influxd: Influxd) -> Iterator[None]:
    """Take the only place the server has for writing, with a request that does not end: it answers 503 to others."""
    with socket.create_connection(("127.0.0.1", influxd.port), 10) as hog:
        hog.sendall(b"POST /write?db=wattline HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nhog")
        yield


async def test_a_server_that_answers_503_gets_everything_once_it_has_room(tmp_path):
    async with chain(tmp_path, **ONE_PLACE) as (influxd, centre, gateway):
        with occupied(influxd):
            await gateway.send(*range(11, 41))
            await until(lambda: centre.said(BUSY), "the collector says that the store is busy")
            reason = next(line["why"] for line in centre.log() if line["event"] == BUSY)
            meanwhile, acknowledged = await asyncio.to_thread(stored, influxd), gateway.last.seq
        await gateway.until_acknowledged(40)
        kept = await asyncio.to_thread(stored, influxd)

    assert "503" in reason
    assert (meanwhile, acknowledged) == (rows(*range(1, 11)), 10)
    assert kept == rows(*range(1, 41))
    assert (centre.said(BUSY), centre.said(BACK)) == (1, 1)
    assert centre.quarantined() == []


async def test_while_the_store_is_away_nothing_is_acknowledged_and_nothing_lost(tmp_path):
    async with chain(tmp_path) as (influxd, centre, gateway):
        influxd.kill()
        await gateway.send(*range(11, 31))
        await until(lambda: centre.said(BUSY), "the collector says that the store is away")
        acknowledged = gateway.last.seq
        await centre.collector.kill()  # and whoever holds them in memory dies too
        await centre.collector.start()
        await until(lambda: centre.said("the store is not ready; trying on"), "the new one waits for the store")
        await start_influxd(influxd)
        await until(lambda: centre.said("connected to the broker") == 2, "the collector works again")
        await gateway.send(*range(11, 41))  # nobody has acknowledged them
        await gateway.until_acknowledged(40)
        kept = await asyncio.to_thread(stored, influxd)

    assert acknowledged == 10
    assert kept == rows(*range(1, 41))


async def test_a_store_that_refuses_us_is_told_to_a_person_and_loses_nothing(tmp_path):
    async with chain(tmp_path) as (influxd, centre, gateway):
        influxd.kill()
        await start_influxd(influxd, INFLUXDB_HTTP_AUTH_ENABLED="true")
        await gateway.send(*range(11, 41))
        await until(lambda: centre.said(REFUSED), "the collector calls for a person")
        line = next(line for line in centre.log() if line["event"] == REFUSED)
        acknowledged = gateway.last.seq
        influxd.kill()
        await start_influxd(influxd)
        await gateway.until_acknowledged(40)
        kept = await asyncio.to_thread(stored, influxd)

    assert line["level"] == "error"
    assert ": 403 " in line["why"]
    assert acknowledged == 10
    assert kept == rows(*range(1, 41))
    assert centre.said(BACK) == 1
    assert centre.quarantined() == []


async def test_a_line_that_is_refused_for_ever_is_put_aside_and_the_others_are_stored(tmp_path):
    async with chain(tmp_path) as (influxd, centre, gateway):
        at = T0 + 50 * MINUTE
        await asyncio.to_thread(write_line, influxd, f'reading,gateway=other,meter=other frequency="fifty" {at}')
        values = {"active_power": [1.0, 2.0, 3.0], "frequency": [None, 50.0, None]}  # only the second has the field
        gateway.hold([make_round(values, meters=METERS, at=at), a_round(51)], 11)
        await gateway.send(11, 12)
        await gateway.until_acknowledged(12)
        kept = await asyncio.to_thread(stored, influxd)
        (entry,) = await centre.json("quarantine")
        status, said = await centre.ask("replay")  # its cause is still there
        quarantined = centre.quarantined()

    assert (entry["kind"], entry["origin"], entry["times"]) == ("line", "store", 1)
    assert "field type conflict" in entry["reason"]
    assert [row for row in rows(*range(1, 11), 50, 51) if row not in kept] == [("gw-1", "m-2", at)]
    assert (status, said.strip()) == (1, "0 stored, 1 still refused")
    ((_, _, _, line),) = quarantined
    assert line == f"reading,gateway=gw-1,meter=m-2 active_power=2.000,frequency=50.00 {at}".encode()


async def test_what_was_put_aside_comes_back_when_its_cause_is_gone(tmp_path):
    async with chain(tmp_path) as (influxd, centre, gateway):
        now = time.time_ns() // 1_000_000
        keep = "ALTER RETENTION POLICY autogen ON wattline DURATION"
        await asyncio.to_thread(influxd.query, f"{keep} 1h SHARD DURATION 1h")
        content = make_round({"active_power": [1.0, 2.0, 3.0]}, meters=METERS, measured_at=[now, 10**12, now])
        gateway.hold([content], 11)
        await gateway.send(11)
        await gateway.until_acknowledged(11)
        (entry,) = await centre.json("quarantine")
        await asyncio.to_thread(influxd.query, f"{keep} INF SHARD DURATION 168h")
        without = await asyncio.to_thread(stored, influxd)
        status, said = await centre.ask("replay")
        left = await centre.json("quarantine")
        kept = await asyncio.to_thread(stored, influxd)

    assert "retention policy" in entry["reason"]
    assert (status, said.strip(), left) == (0, "1 stored, 0 still refused", [])
    assert set(kept) - set(without) == {("gw-1", "m-2", 10**12)}
    assert {("gw-1", "m-1", now), ("gw-1", "m-3", now)} <= set(without)
