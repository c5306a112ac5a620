"""A park whose endpoints are connected in every way, as the edge agent's own survey sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.config import load
from edge_agent.drivers.driver import Reading
from edge_agent.survey import ask
from metering.clock import SimulatedClock
from simulators.companions import Services, write_companions
from simulators.park import expand
from simulators.park_server import serving
from simulators.park_settings import ParkSettings
from simulators.stack import free_port
from tests.support.certificates import authority, certificate

START = datetime(2026, 6, 18, 3, tzinfo=UTC)


def park_with(lines: list[dict[str, object]]) -> ParkSettings:
    return ParkSettings.model_validate(
        {"start": START, "trades": {"retail": 8}, "meters_per_endpoint": 2, "port": free_port(4), "lines": lines}
    )


async def test_every_meter_answers_on_every_kind_of_line(tmp_path: Path):
    certificate(tmp_path, "endpoint", authority(tmp_path, "ca"), "IP:127.0.0.1")
    files = {"certificate_file": "endpoint.crt", "key_file": "endpoint.key", "ca_file": "ca.crt"}
    settings = park_with(
        [
            {"line": "modbus_tcp"},
            {"line": "modbus_rtu", "baudrate": 57600},
            {"line": "modbus_rtu_tcp", "baudrate": 115200, "parity": "even"},
            {"line": "modbus_tls"} | {key: str(tmp_path / name) for key, name in files.items()},
        ]
    )
    park = expand(settings, START)
    write_companions(park, tmp_path, Services())
    gateway = load(tmp_path / "gateway.yaml")
    still = SimulatedClock(park.start_ms, 1e-9, 0)

    async with serving(park, still, tmp_path) as servers:
        assert (tmp_path / "line-2").is_symlink()
        answers = await ask(gateway, still)

    assert [bus.type for bus in gateway.buses] == [line.line for line in settings.lines]
    assert len(answers) == 8
    for one, answer in zip(park.meters, answers, strict=True):
        assert isinstance(answer.outcome, Reading), answer
        shown = answer.outcome.values["voltage_l1"]
        assert shown is not None
        assert abs(shown - one.meter.reading(park.start_ms).flow.voltage_v[0]) < 0.01
    assert all(server.requests_total for server in servers)
    assert not (tmp_path / "line-2").exists()


async def test_every_dlt645_meter_of_a_park_answers_with_its_physics(tmp_path: Path):
    settings = park_with(
        [
            {"line": "dlt645_tcp", "baudrate": 115200, "parity": "even"},
            {"line": "dlt645_serial", "baudrate": 57600},
        ]
    )
    park = expand(settings, START)
    write_companions(park, tmp_path, Services())
    gateway = load(tmp_path / "gateway.yaml")
    still = SimulatedClock(park.start_ms, 1e-9, 0)

    async with serving(park, still, tmp_path):
        answers = await ask(gateway, still)

    assert [bus.type for bus in gateway.buses] == ["dlt645_tcp", "dlt645_serial"] * 2
    for one, answer in zip(park.meters, answers, strict=True):
        assert isinstance(answer.outcome, Reading), answer
        values, true = answer.outcome.values, one.meter.reading(park.start_ms)
        assert abs((values["active_energy_import"] or 0) - sum(true.import_kwh)) <= 0.01
        assert abs((values["active_power"] or 0) - true.flow.total_kw) <= 0.0001
        assert abs((values["voltage_l1"] or 0) - true.flow.voltage_v[0]) <= 0.05 + 1e-9


@pytest.mark.parametrize("security", ["gmac", "low", "none"])
async def test_every_dlms_meter_of_a_park_answers_with_its_physics_to_whoever_has_its_keys(
    tmp_path: Path, security: str
):
    kinds = ("dlms_tcp", "dlms_hdlc_tcp", "dlms_hdlc")
    settings = park_with([{"line": line, "baudrate": 115200, "security": security} for line in kinds])
    park = expand(settings, START)
    write_companions(park, tmp_path, Services())
    gateway = load(tmp_path / "gateway.yaml")
    still = SimulatedClock(park.start_ms, 1e-9, 0)

    for _ in range(2):  # a park that was started again does not look like a replay
        async with serving(park, still, tmp_path):
            answers = await ask(gateway, still)
        for one, answer in zip(park.meters, answers, strict=True):
            assert isinstance(answer.outcome, Reading), answer
            values, true = answer.outcome.values, one.meter.reading(still.now_ms())
            assert abs((values["active_energy_import"] or 0) - sum(true.import_kwh)) <= 0.0005 + 1e-9
            assert abs((values["voltage_l1"] or 0) - true.flow.voltage_v[0]) <= 0.05 + 1e-9

    assert [bus.type for bus in gateway.buses] == [*kinds, kinds[0]]
    secrets = sorted((tmp_path / "keys").glob("*")) if security != "none" else []
    assert len(secrets) == {"gmac": 16, "low": 8, "none": 0}[security]
    assert {path.stat().st_mode & 0o777 for path in secrets} <= {0o600}
    written = "".join((tmp_path / name).read_text(encoding="utf-8") for name in ("gateway.yaml", "park.yaml"))
    assert not [path for path in secrets if path.read_text(encoding="ascii") in written]
