"""Whether the agent of this gateway is at work on a line right now, as its configuration and its desk show."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge_agent import config
from edge_agent.commissioning.line_address import place_of
from edge_agent.desk import door_beside, is_open
from edge_agent.drivers.registry import BusSettings
from metering.config_file import ConfigError


def bus_in_use(config_file: Path, line: BusSettings) -> str | None:
    """The bus of the agent that is this line, if the agent runs."""
    try:
        settings = config.load(config_file)
    except ConfigError:
        return None
    bus = next((one.id for one in settings.buses if place_of(one) == place_of(line)), None)
    if bus is None:
        return None
    return bus if asyncio.run(is_open(door_beside(settings.spool.path))) else None
