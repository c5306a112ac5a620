"""A line as a technician names it on a command line → the settings of a bus; and units as ``1-10,15``.

/dev/ttyUSB0              a serial port of this gateway
10.0.0.5, 10.0.0.5:502    Modbus TCP
rtu://10.0.0.5:8899       a serial server that passes RTU frames on
"""

from __future__ import annotations

import re
from typing import Final, Literal

from edge_agent.drivers.dlms.bus_settings import DlmsHdlcSettings, DlmsHdlcTcpSettings
from edge_agent.drivers.dlt645.bus_settings import Dlt645SerialSettings, Dlt645TcpSettings
from edge_agent.drivers.modbus.bus_settings import (
    ModbusBusSettings,
    ModbusRtuSettings,
    ModbusRtuTcpSettings,
    ModbusTcpSettings,
)
from edge_agent.drivers.registry import BusSettings

Parity = Literal["none", "even", "odd"]

HIGHEST_UNIT: Final = 255
_ENDPOINT: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+))(?::(?P<port>\d{1,5}))?")
_RTU: Final = "rtu://"
_MODBUS_PORT: Final = 502


def line_of(
    text: str, bus: str = "b1", baudrate: int = 9600, parity: Parity = "none", timeout_s: float = 1.0
) -> ModbusBusSettings:
    """The bus that a text names.

    Raises:
        ValueError: it names none.
    """
    serial = {"baudrate": baudrate, "parity": parity}
    timeout = f"{timeout_s * 1000:g}ms"
    if text.startswith("/"):
        about = {"id": bus, "type": "modbus_rtu", "device": text, "timeout": timeout}
        return ModbusRtuSettings.model_validate(about | serial)
    match = _ENDPOINT.fullmatch(text.removeprefix(_RTU))
    if match is None:
        raise ValueError(text)
    about = {"id": bus, "host": match["v6"] or match["host"], "timeout": timeout}
    about["port"] = match["port"] or str(_MODBUS_PORT)
    if text.startswith(_RTU):
        return ModbusRtuTcpSettings.model_validate(about | serial | {"type": "modbus_rtu_tcp"})
    return ModbusTcpSettings.model_validate(about | {"type": "modbus_tcp"})


def address_of(bus: BusSettings) -> str:
    """How ``line_of`` names the line of this bus, whatever is spoken on it."""
    if isinstance(bus, ModbusRtuSettings | DlmsHdlcSettings | Dlt645SerialSettings):
        return str(bus.device)
    host = f"[{bus.host}]" if ":" in bus.host else bus.host
    prefix = _RTU if isinstance(bus, ModbusRtuTcpSettings | DlmsHdlcTcpSettings | Dlt645TcpSettings) else ""
    return f"{prefix}{host}:{bus.port}"


def units_of(text: str) -> list[int]:
    """Unit addresses, each once, in order.

    >>> units_of("1-3,7")
    [1, 2, 3, 7]

    Raises:
        ValueError: the text is no list of units from 1 to 255.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low, high = int(first), int(last) if dash else int(first)
        if not 1 <= low <= high <= HIGHEST_UNIT:
            raise ValueError(text)
        found.update(range(low, high + 1))
    return sorted(found)
