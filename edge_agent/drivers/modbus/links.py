"""The link for each way in which a bus is connected."""

from __future__ import annotations

from functools import partial

from edge_agent.drivers.modbus.bus_settings import (
    ModbusBusSettings,
    ModbusRtuSettings,
    ModbusRtuTcpSettings,
    ModbusTlsSettings,
)
from edge_agent.drivers.modbus.mbap_link import MbapLink
from edge_agent.drivers.modbus.rtu_link import RtuLink
from edge_agent.drivers.transport.endpoint import open_tcp, open_tls
from edge_agent.drivers.transport.serial_port import open_port


def make_link(settings: ModbusBusSettings) -> MbapLink | RtuLink:
    """A link for the bus; it opens nothing before ``connect``."""
    if isinstance(settings, ModbusRtuSettings):
        return RtuLink(settings, partial(open_port, settings))
    if isinstance(settings, ModbusRtuTcpSettings):
        return RtuLink(settings, partial(open_tcp, settings))
    if isinstance(settings, ModbusTlsSettings):
        return MbapLink(settings, partial(open_tls, settings))
    return MbapLink(settings, partial(open_tcp, settings))
