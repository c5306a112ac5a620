"""A park whose endpoints are connected in every way, as the edge agent's own survey sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

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
