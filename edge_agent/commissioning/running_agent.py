"""Whether the agent of this gateway is at work on a line right now, as its configuration and its spool show."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from edge_agent import config
from edge_agent.commissioning.line_address import address_of
from edge_agent.drivers.dlms.bus_settings import DlmsBusSettings
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.registry import BusSettings
from edge_agent.errors import NoSpool
from edge_agent.spool.look import rounds_since
from metering.settings import ConfigError

_PERIODS: Final = 3


def bus_in_use(config_file: Path, line: ModbusBusSettings) -> str | None:
    """The bus of the agent that is this line, if the agent has spooled a round of late."""
    try:
        settings = config.load(config_file)
    except ConfigError:
        return None
    bus = next((one.id for one in settings.buses if _is(one, line)), None)
    if bus is None:
        return None
    period_ms = min(group.period_ms for group in settings.groups)
    try:
        rounds = rounds_since(settings.spool.path, time.time_ns() // 1_000_000 - _PERIODS * period_ms)
    except NoSpool:
        return None
    return bus if rounds else None


def _is(bus: BusSettings, line: ModbusBusSettings) -> bool:
    return not isinstance(bus, DlmsBusSettings) and address_of(bus) == address_of(line)
