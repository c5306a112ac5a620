import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from metering.config_file import ConfigError, load_file, load_text
from metering.errors import StopAndFix
from metering.quantity import QUANTITIES as KNOWN_QUANTITIES
from simulators.cli import app
from simulators.companions import QUANTITIES, Services, write_companions
from simulators.park import Park, expand
from simulators.park_settings import ParkSettings, check_park

TODAY = datetime(2026, 3, 2, 3, 4, 5, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[3] / "config" / "park.example.yaml"
DEMO = Path(__file__).parents[3] / "simulators" / "demo_park.yaml"


def park(text: str) -> Park:
    return expand(load_text(text, "park.yaml", ParkSettings, check=check_park), TODAY)


@pytest.mark.parametrize(("path", "meters"), [(EXAMPLE, 12), (DEMO, 13)])
def test_the_shipped_parks_load(path: Path, meters: int) -> None:
    found = expand(load_file(path, ParkSettings, check=check_park), TODAY)

    assert len(found.meters) == meters
    assert {one.meter.demand.trade for one in found.meters} == set(found.settings.trades)
    assert [kind for record in found.truth() for kind in record["expected"]]  # type: ignore[attr-defined]


def test_the_same_file_gives_the_same_park() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    one, other = park(text), park(text)
    at_ms = one.start_ms + 40_000_000

    assert [m.meter.reading(at_ms) for m in one.meters] == [m.meter.reading(at_ms) for m in other.meters]
    assert one.truth() == other.truth()
    assert one.approvals == other.approvals


def test_one_meter_more_changes_no_other() -> None:
    few, many = park("trades: {retail: 2}"), park("trades: {retail: 3}")
    at_ms = few.start_ms + 40_000_000

    assert [m.meter.reading(at_ms) for m in few.meters] == [m.meter.reading(at_ms) for m in many.meters[:2]]


def test_without_a_start_the_park_begins_at_local_midnight() -> None:
    assert park("timezone: Asia/Shanghai").start_ms == datetime(2026, 3, 1, 16, tzinfo=UTC).timestamp() * 1000


def test_meters_are_dealt_to_endpoints_and_models() -> None:
    found = park("{trades: {retail: 5}, meters_per_endpoint: 2, port: 6000}")

    assert found.ports == [6000, 6001, 6002]
    assert [(m.endpoint, m.unit) for m in found.meters] == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)]
    assert [m.model for m in found.meters[:3]] == ["eastron_sdm630", "chint_dtsu666", "eastron_sdm630"]
    assert [sorted(endpoint.units) for endpoint in found.endpoints()] == [[1, 2], [1, 2], [1]]


def test_wire_faults_stand_on_the_right_endpoint() -> None:
    found = park(
        "{trades: {retail: 3}, meters_per_endpoint: 2,"
        " faults: [{fault: silent, meters: [shop-103], after: 1h, lasts: 1h}, {fault: delay, delay: 200ms}]}"
    )
    first, second = (endpoint.wire.faults for endpoint in found.endpoints())

    assert [fault.name for fault in first] == ["delay"]
    assert [fault.name for fault in second] == ["silent", "delay"]
    assert second[0].units == frozenset({1})
    assert second[0].ends_at_ms - second[0].starts_at_ms == 3_600_000
    assert second[1].delay_s == 0.2


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("scenarios: [{meter: shop-999, scenario: bypass}]", "scenarios[0].meter", "no meter 'shop-999'"),
        ("scenarios: [{meter: shop-101, scenario: bypass, after: 90s}]", "scenarios[0].after", "whole minutes"),
        ("faults: [{fault: drop, meters: [shop-999]}]", "faults[0].meters", "no meter 'shop-999'"),
        ("festivals: [13-40]", "festivals[0]", "not a date like 06-18"),
        ("trades: {retail: 0}", "trades", "no meters"),
        ("lines: [{line: dlms_hdlc_tcp, parity: even}]", "lines[0]", "neither parity nor a second stop bit"),
        ("clocks: [{meter: shop-999, ahead: 1h}]", "clocks[0].meter", "no meter 'shop-999'"),
        ("clocks: [{meter: shop-101, ahead: 1h}]", "clocks[0].meter", "speaks Modbus and tells no time"),
        ("timezone: Mars/Base", "timezone", "not a time zone"),
        ("scenarios: [{meter: shop-101, scenario: magnet}]", "scenarios[0].scenario", "magnet"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, place: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        park(text)

    assert caught.value.problems[0].path == place
    assert words in str(caught.value)


def test_the_companion_files(tmp_path: Path) -> None:
    found = expand(load_file(DEMO, ParkSettings, check=check_park), TODAY)
    write_companions(found, tmp_path, Services(mqtt_port=1999, protocol="3.1.1"))
    gateway, registry, collector = (
        yaml.safe_load((tmp_path / f"{name}.yaml").read_text(encoding="utf-8"))
        for name in ("gateway", "registry", "collector")
    )
    truth = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text(encoding="utf-8").splitlines()]

    assert [meter["id"] for meter in gateway["meters"]] == [meter["id"] for meter in registry["meters"]]
    assert {meter["bus"] for meter in gateway["meters"]} == {bus["id"] for bus in gateway["buses"]}
    assert (
        gateway["mqtt"]
        == collector["mqtt"]
        == {"host": "127.0.0.1", "port": 1999, "protocol": "3.1.1", "prefix": "wattline"}
    )
    assert gateway["groups"][0]["every"] == "15min"
    assert collector["store"] == {"type": "sqlite", "path": "readings.db"}
    assert {approval["meter"] for approval in registry["approvals"]} == {"online-501", "online-502"}
    assert registry["approvals"][0]["from"] == "2026-06-18T09:30:00+08:00"
    assert {record["meter"] for record in truth} == {meter["id"] for meter in gateway["meters"]}
    reloaded = expand(load_file(tmp_path / "park.yaml", ParkSettings, check=check_park), TODAY)
    assert reloaded.truth() == found.truth()


@pytest.mark.parametrize(
    "words", [["init"], ["meter", "--line", "dlt645_serial", "--baudrate", "7"]], ids=["init", "meter"]
)
def test_a_configuration_of_no_simulation_is_never_written_over(tmp_path: Path, words: list[str]) -> None:
    real = tmp_path / "gateway.yaml"
    real.write_text("gateway: park-01", encoding="utf-8")

    result = CliRunner().invoke(app, [*words, str(tmp_path)])

    assert isinstance(result.exception, StopAndFix)
    assert [(one.name, one.read_text(encoding="utf-8")) for one in tmp_path.iterdir()] == [
        (real.name, "gateway: park-01")
    ]


def test_a_simulation_is_written_over_by_the_next_and_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "park"
    first, again = (CliRunner().invoke(app, ["init", str(folder), "--seed", str(seed)]) for seed in (1, 2))
    none = CliRunner().invoke(app, ["init", str(folder / "park.yaml")])

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert isinstance(none.exception, StopAndFix)


def test_the_store_may_be_influx(tmp_path: Path) -> None:
    write_companions(park("{}"), tmp_path, Services(influx_url="http://127.0.0.1:8086"))
    collector = yaml.safe_load((tmp_path / "collector.yaml").read_text(encoding="utf-8"))

    assert collector["store"] == {
        "type": "influx", "api": "v1", "url": "http://127.0.0.1:8086", "database": "wattline"
    }  # fmt: skip


def test_the_polled_quantities_are_in_the_catalogue() -> None:
    assert set(QUANTITIES) <= set(KNOWN_QUANTITIES)
