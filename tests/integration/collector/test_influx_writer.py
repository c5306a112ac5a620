"""The writer against a real InfluxDB: what each answer means, and that nothing is lost or kept back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from influxdb_client import Point, WritePrecision

from collector.engine.fleet import Fleet
from collector.engine.frame import blocks_of
from collector.errors import CannotStart, StoreBusy, StoreRefuses
from collector.registry.registry import Registry
from collector.store.influx_connection import InfluxSettings
from collector.store.influx_queries import InfluxQueries
from collector.store.influx_writer import InfluxStore
from collector.store.table import Table
from metering.errors import StopAndFix
from metering.round import Round
from simulators.stack import free_port
from tests.support.nginx import V2Path
from tests.support.rounds import MINUTE, T0, make_round
from tests.support.servers import Influxd


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[Influxd]:
    server = Influxd(tmp_path / "influx")
    server.start()
    server.query("CREATE DATABASE wattline")
    yield server
    server.kill()


def store(url: str, **more: Any) -> InfluxStore:
    return InfluxStore(InfluxSettings.model_validate({"type": "influx", "url": url, "create": False} | more))


def tables(*rounds: Round) -> list[Table]:
    fleet = Fleet(Registry.empty(), {})
    return [block.table(fleet) for block in blocks_of(fleet, list(rounds))]


def many(count: int) -> list[Round]:
    meters = [f"m-{i:04d}" for i in range(100)]
    return [
        make_round({"active_power": [float(i)] * 100, "frequency": [50.0] * 100}, meters=meters, at=T0 + i * MINUTE)
        for i in range(count)
    ]


def points(influx: Influxd, where: str = "") -> Any:
    series = influx.query(f"SELECT count(active_power) FROM reading {where}")
    return series[0]["values"][0][1] if series else 0  # type: ignore[index]


async def test_more_rows_than_a_request_takes_are_all_stored(influx: Influxd) -> None:
    writer = store(influx.url, gzip=True)

    assert await writer.write(tables(*many(120))) == []

    assert writer.requests == 3
    assert points(influx) == 12_000
    await writer.close()


async def test_a_line_refused_for_ever_is_found_and_the_others_are_stored(influx: Influxd) -> None:
    writer = store(influx.url)
    await writer.write_lines([f'reading,gateway=gw-1,meter=m-9999 active_power="text" {T0 - 10**9}'])
    bad = [
        f'reading,gateway=gw-1,meter=m-0007 active_power="text" {T0 + 7}',
        "this is no line",
        f"reading,gateway=gw-1,meter=m-0008 active_power=NaN {T0 + 8}",
    ]
    good = [f"reading,gateway=gw-1,meter=m-0001 active_power={i}.5 {T0 + i}" for i in range(2000)]
    await writer.write_lines(good[:1])

    rejected = await writer.write_lines([*good[:700], bad[0], *good[700:1500], bad[1], *good[1500:], bad[2]])

    assert [one.line for one in rejected] == bad
    assert "field type conflict" in rejected[0].reason
    assert "unable to parse" in rejected[1].reason
    assert points(influx, "WHERE meter = 'm-0001'") == 2000
    await writer.close()


async def test_a_body_that_is_too_large_is_split(influx: Influxd) -> None:
    influx.kill()
    influx.start(INFLUXDB_HTTP_MAX_BODY_SIZE="20000")
    writer = store(influx.url)

    assert await writer.write(tables(*many(20))) == []

    assert points(influx) == 2000
    assert writer.requests > 10
    await writer.close()


async def test_a_missing_database_is_refused_and_nothing_is_given_up(influx: Influxd) -> None:
    writer = store(influx.url, database="somewhere_else")

    with pytest.raises(StoreRefuses, match="404"):
        await writer.write(tables(*many(1)))
    await writer.close()


async def test_wrong_credentials_are_refused_and_nothing_is_given_up(influx: Influxd, tmp_path: Path) -> None:
    influx.query("CREATE USER admin WITH PASSWORD 'right' WITH ALL PRIVILEGES")
    influx.kill()
    influx.start(INFLUXDB_HTTP_AUTH_ENABLED="true")
    for word, stored in (("wrong", False), ("right", True)):
        secret = tmp_path / word
        secret.write_text(word + "\n")
        secret.chmod(0o600)
        writer = store(influx.url, username="admin", password_file=secret)
        if stored:
            assert await writer.write(tables(*many(1))) == []
        else:
            with pytest.raises(StoreRefuses, match="401"):
                await writer.write(tables(*many(1)))
        await writer.close()


async def test_a_server_that_is_away_is_busy() -> None:
    writer = store(f"http://127.0.0.1:{free_port()}")

    with pytest.raises(StoreBusy):
        await writer.write(tables(*many(1)))
    await writer.close()


async def test_a_server_that_was_killed_in_between_is_reached_again(influx: Influxd) -> None:
    writer = store(influx.url)
    await writer.write(tables(*many(1)))
    influx.kill()
    with pytest.raises(StoreBusy):
        await writer.write(tables(*many(2)))
    influx.start()

    assert await writer.write(tables(*many(3))) == []

    assert points(influx) == 300
    await writer.close()


async def test_the_v2_path_stores_splits_and_refuses_alike(influx: Influxd, tmp_path: Path) -> None:
    proxy = V2Path(tmp_path / "nginx", influx=influx)
    proxy.start()
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o600)
    try:
        writer = store(proxy.url, api="v2", organisation="utility", token_file=token)
        assert await writer.write(tables(*many(3))) == []
        assert [one.line for one in await writer.write_lines(["junk"])] == ["junk"]
        await writer.close()
        missing = store(proxy.url, api="v2", database="nowhere")
        with pytest.raises(StoreRefuses):
            await missing.write(tables(*many(1)))
        await missing.close()
    finally:
        proxy.kill()

    assert points(influx) == 300


async def test_our_lines_and_those_of_influxdb_client_are_the_same_points(influx: Influxd) -> None:
    content = make_round(
        {"active_power": [12.796, -0.001], "active_energy_import": [123456.789, None]}, meters=["m-1", "m-2"]
    )
    theirs = [
        Point("reading")
        .tag("gateway", "gw-1")
        .tag("meter", meter)
        .field("active_power", power)
        .field("active_energy_import", energy)
        .time(T0, WritePrecision.MS)
        .to_line_protocol()
        for meter, power, energy in (("m-1", 12.796, 123456.789), ("m-2", -0.001, None))
    ]
    writer = store(influx.url)
    await writer.write(tables(content))
    ours = influx.query("SELECT * FROM reading GROUP BY *")

    assert await writer.write_lines(theirs) == []

    assert influx.query("SELECT * FROM reading GROUP BY *") == ours
    assert len(ours) == 2
    await writer.close()


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("secret")
    secret.chmod(0o644)

    with pytest.raises(StopAndFix, match="chmod 600"):
        store("http://127.0.0.1:1", api="v2", token_file=secret)


async def test_an_answer_that_the_server_cuts_short_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUXDB_HTTP_MAX_ROW_LIMIT", "150")
    server = Influxd(tmp_path / "influx")
    server.start()
    try:
        server.query("CREATE DATABASE wattline")
        writer = store(server.url)
        alone = [make_round({"active_power": [1.0]}, meters=["m-1"], gateway="gw-2", at=T0 + n) for n in range(200)]
        await writer.write(tables(*many(2), *alone))
        await writer.close()
        queries = InfluxQueries(InfluxSettings.model_validate({"type": "influx", "url": server.url}))

        assert len(queries.readings("gw-1", T0, T0 + 1)) == 100
        with pytest.raises(CannotStart, match="max-row-limit"):  # between two series
            queries.readings("gw-1", T0, T0 + 2 * MINUTE)
        with pytest.raises(CannotStart, match="max-row-limit"):  # within one
            queries.readings("gw-2", T0, T0 + MINUTE)
    finally:
        server.kill()
