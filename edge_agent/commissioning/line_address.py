"""A line as a technician names it on a command line → the settings of a bus; and units as ``1-10,15``.

/dev/ttyUSB0                                      Modbus RTU on a serial port of this gateway
10.0.0.5, 10.0.0.5:502                            Modbus TCP
rtu://10.0.0.5:8899                               Modbus RTU through a serial server
dlt645:///dev/ttyUSB0, dlt645://10.0.0.5:8899     DL/T 645 on a port, and through a serial server
dlms://10.0.0.5, dlms://10.0.0.5:4059             DLMS in the wrapper on TCP
hdlc:///dev/ttyUSB0, hdlc://10.0.0.5:8899         DLMS in HDLC frames on a port, and through a serial server
"""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import TypeAdapter

from edge_agent.drivers.registry import BusSettings

Parity = Literal["none", "even", "odd"]

HIGHEST_UNIT: Final = 255
_ENDPOINT: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+))(?::(?P<port>\d{1,5}))?")
_SCHEME: Final = re.compile(r"(?:([a-z0-9]+)://)?(.*)", re.DOTALL)
_KINDS: Final = {  # scheme, and whether it is a port of this gateway → type of the bus
    (None, True): "modbus_rtu",
    (None, False): "modbus_tcp",
    ("rtu", False): "modbus_rtu_tcp",
    ("dlt645", True): "dlt645_serial",
    ("dlt645", False): "dlt645_tcp",
    ("dlms", False): "dlms_tcp",
    ("hdlc", True): "dlms_hdlc",
    ("hdlc", False): "dlms_hdlc_tcp",
}
_SCHEMES: Final = {kind: scheme for (scheme, _), kind in _KINDS.items()}
_PORTS: Final = {"modbus_tcp": 502, "modbus_rtu_tcp": 502, "dlms_tcp": 4059}
_MODBUS_BAUDRATE: Final = 9600
_WITHOUT_SPEED: Final = ("modbus_tcp", "dlms_tcp")
_WITHOUT_PARITY: Final = (*_WITHOUT_SPEED, "dlms_hdlc", "dlms_hdlc_tcp")
_BUS: Final[TypeAdapter[BusSettings]] = TypeAdapter(BusSettings)


def line_of(
    text: str, bus: str = "b1", baudrate: int | None = None, parity: Parity | None = None, timeout_s: float = 1.0
) -> BusSettings:
    """The bus that a text names; speed and parity are the usual ones of what is spoken unless they are given.

    Raises:
        ValueError: it names none.
    """
    scheme, place = _SCHEME.fullmatch(text).groups()  # type: ignore[union-attr]  # it matches every text
    kind = _KINDS.get((scheme, place.startswith("/")))
    if kind is None:
        raise ValueError(text)
    about: dict[str, object] = {"id": bus, "type": kind, "timeout": f"{timeout_s * 1000:g}ms"}
    if place.startswith("/"):
        about["device"] = place
    else:
        match = _ENDPOINT.fullmatch(place)
        port = match and (match["port"] or _PORTS.get(kind))
        if match is None or port is None:
            raise ValueError(text)
        about |= {"host": match["v6"] or match["host"], "port": port}
    if kind.startswith("modbus"):
        baudrate, parity = baudrate or _MODBUS_BAUDRATE, parity or "none"
    if baudrate is not None and kind not in _WITHOUT_SPEED:
        about["baudrate"] = baudrate
    if parity is not None and kind not in _WITHOUT_PARITY:
        about["parity"] = parity
    return _BUS.validate_python(about)


def address_of(bus: BusSettings) -> str:
    """How ``line_of`` names this bus."""
    scheme = _SCHEMES.get(bus.type)
    return f"{scheme}://{place_of(bus)}" if scheme else place_of(bus)


def place_of(bus: BusSettings) -> str:
    """Where a bus is, whatever is spoken on it: two buses at one place are one line."""
    device = getattr(bus, "device", None)
    if device is not None:
        return str(device)
    host, port = getattr(bus, "host", ""), getattr(bus, "port", 0)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
