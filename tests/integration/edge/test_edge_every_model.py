"""One line with a meter of every model behind it, over a real socket: each is read by its own map."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from edge_agent.drivers.driver import Reading
from edge_agent.drivers.modbus.bus_settings import ModbusTcpSettings
from edge_agent.drivers.registry import ModbusMeterSettings, ProfileShelf, make_driver
from metering.clock import SimulatedClock
from simulators.modbus_meter import ModbusServer
from simulators.park import expand
from simulators.park_settings import Model, ParkSettings

START = datetime(2026, 6, 18, 3, tzinfo=UTC)
MODELS = get_args(Model)
PARK = expand(ParkSettings(start=START, trades={"retail": len(MODELS)}, models=MODELS), START)
ONE_PHASE = ("eastron_sdm120", "eastron_sdm230")


async def test_a_line_may_carry_every_model_at_once():
    clock = SimulatedClock(PARK.start_ms, 1e-9, 0)
    server = ModbusServer(PARK.endpoints()[0], clock)
    await server.start()
    bus = ModbusTcpSettings(id="b1", type="modbus_tcp", host="127.0.0.1", port=server.port)
    meters = [ModbusMeterSettings(id=one.model, bus="b1", unit=one.unit, profile=one.model) for one in PARK.meters]
    driver = make_driver(bus, meters, ProfileShelf(), clock)

    assert await driver.connect() is None
    readings = {one.model: await driver.read(one.model, driver.offers(one.model)) for one in PARK.meters}
    driver.close()
    await server.stop()

    assert {one.model for one in PARK.meters} == set(ProfileShelf().names)
    for one in PARK.meters:
        reading, truth = readings[one.model], one.meter.reading(PARK.start_ms)
        phases = slice(1) if one.model in ONE_PHASE else slice(3)
        assert isinstance(reading, Reading), one.model
        assert reading.values["voltage_l1"] == pytest.approx(truth.flow.voltage_v[0], abs=0.051), one.model
        assert reading.values["active_power"] == pytest.approx(sum(truth.flow.active_kw[phases]), abs=0.0051), one.model
        assert reading.values["active_energy_import"] == pytest.approx(sum(truth.import_kwh[phases]), abs=0.051)
