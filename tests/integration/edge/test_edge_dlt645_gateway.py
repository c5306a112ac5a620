"""From gateway.yaml to values: the technician's commands on a line of DL/T 645 meters."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent import config
from edge_agent.app import terminals_of
from edge_agent.cli import cli
from edge_agent.commissioning.inspection import inspect
from edge_agent.commissioning.line_address import address_of
from edge_agent.drivers.driver import Reading
from edge_agent.drivers.registry import ProfileShelf
from metering.clock import SystemClock
from tests.support.dlt645_line import KINDS, SPEED, address, endpoint, served
from tests.support.metered import READING

GATEWAY = """
gateway: gw-1
buses:
  - {{id: b1, type: {kind}, {place}, baudrate: {baudrate}, parity: none, timeout: 200ms, quiet: 50ms}}
meters:
  - {{id: shop-1, bus: b1, address: "{first}", profile: dlt645_three_phase}}
  - {{id: shop-2, bus: b1, address: "{second}", profile: dlt645_three_phase, ct_ratio: 200/5}}
groups:
  - {{id: main, every: 60s}}
"""


@pytest.mark.parametrize("kind", KINDS)
async def test_every_meter_of_the_file_is_read_and_found_sound(kind: str, tmp_path: Path):
    async with served(kind, endpoint(), tmp_path) as (bus, _):
        place = f"device: {bus.device}" if kind == "dlt645_serial" else f"host: {bus.host}, port: {bus.port}"
        file = tmp_path / "gateway.yaml"
        file.write_text(
            GATEWAY.format(kind=kind, place=place, baudrate=SPEED.baudrate, first=address(1), second=address(2)),
            encoding="utf-8",
        )
        settings = config.load(file)

        inspected = await inspect(settings, SystemClock())

    readings = [one.answer.outcome for one in inspected]
    assert all(isinstance(one, Reading) for one in readings)
    energies = [one.values["active_energy_import"] for one in readings if isinstance(one, Reading)]
    assert energies == pytest.approx([sum(READING.import_kwh), 40 * sum(READING.import_kwh)])
    assert [one.findings for one in inspected] == [[], []]


def test_the_plan_prices_the_line_and_the_maps_are_listed(tmp_path: Path):
    file = tmp_path / "gateway.yaml"
    place = "host: 127.0.0.1, port: 4196"
    file.write_text(
        GATEWAY.format(kind="dlt645_tcp", place=place, baudrate=2400, first=address(1), second=address(2)),
        encoding="utf-8",
    )

    checked = CliRunner().invoke(cli, ["check", "-c", str(file), "--lang", "en"])
    listed = CliRunner().invoke(cli, ["profiles", "--lang", "en"])
    shown = CliRunner().invoke(cli, ["profiles", "dlt645_single_phase", "--lang", "zh"])
    as_json = CliRunner().invoke(cli, ["profiles", "dlt645_single_phase", "--json"])

    assert checked.exit_code == 0, checked.output
    assert "bus b1: 14% of 2400 Bd" in checked.output
    assert "dlt645_three_phase: DL/T 645-2007 three-phase meter, 三相电能表 (not checked on hardware)" in listed.output
    assert "  02800001 current_n                 A" in shown.output
    assert json.loads(as_json.output)["dlt645_single_phase"]["freezes"] == "daily"


def test_a_register_starts_anew_at_a_million_on_the_primary_side(tmp_path: Path):
    file = tmp_path / "gateway.yaml"
    place = "device: /dev/null"
    file.write_text(
        GATEWAY.format(kind="dlt645_serial", place=place, baudrate=2400, first=address(1), second=address(2)),
        encoding="utf-8",
    )
    settings = config.load(file)
    shelf = ProfileShelf()

    first, second = (terminals_of(meter, shelf.of(meter)) for meter in settings.meters)

    assert (first.rolls_at["active_energy_import"], second.rolls_at["active_energy_import"]) == (1e6, 40e6)
    assert address_of(settings.buses[0]) == "dlt645:///dev/null"


@pytest.fixture(autouse=True)
async def settle():
    yield
    await asyncio.sleep(0.01)
