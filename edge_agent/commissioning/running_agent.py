"""Whether the agent of this gateway is at work on a line right now, as its configuration and its desk show."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge_agent import config
from edge_agent.commissioning.line_address import address_of
from edge_agent.desk import door_beside, is_open
from edge_agent.drivers.dlms.bus_settings import DlmsBusSettings, DlmsHdlcSettings
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.registry import BusSettings
from metering.settings import ConfigError


def bus_in_use(config_file: Path, line: ModbusBusSettings) -> str | None:
    """The bus of the agent that is this line, if the agent runs."""
    try:
        settings = config.load(config_file)
    except ConfigError:
        return None
    bus = next((one.id for one in settings.buses if _place(one) == address_of(line)), None)
    if bus is None:
        return None
    return bus if asyncio.run(is_open(door_beside(settings.spool.path))) else None


def _place(bus: BusSettings) -> str | None:
    """How a technician names the line of a bus; a serial port is one line, whatever is spoken on it."""
    if not isinstance(bus, DlmsBusSettings):
        return address_of(bus)
    return str(bus.device) if isinstance(bus, DlmsHdlcSettings) else None
