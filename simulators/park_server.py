"""Serves a park: every endpoint listens, meters measure by one clock, until somebody asks to stop."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from metering.clock import Clock
from simulators.dlms_meter import DlmsEndpoint, DlmsServer
from simulators.modbus_meter import Endpoint, ModbusServer
from simulators.park import AnyEndpoint, Park
from simulators.park_settings import SERIAL_PORTS, LineSettings
from simulators.rtu_tcp_server import RtuTcpServer
from simulators.terminal_line import PtyLine

Server = ModbusServer | DlmsServer | RtuTcpServer | PtyLine

_COUNTED_SINCE_S: Final = 1_700_000_000
_COUNTED_A_SECOND: Final = 8  # more than a park sends, and enough for sixteen years


@asynccontextmanager
async def serving(park: Park, clock: Clock, folder: Path) -> AsyncIterator[list[Server]]:
    """The servers of a park, listening; closed at the end of the block. Serial ports are linked into ``folder``.

    Raises:
        OSError: a port is taken or forbidden, or a certificate cannot be read.
    """
    async with AsyncExitStack() as started:
        servers = []
        for number, endpoint in enumerate(park.endpoints(_counted())):
            server = _server(park, number, endpoint, clock, folder)
            await server.start()
            started.push_async_callback(server.stop)
            servers.append(server)
        yield servers


def _server(park: Park, number: int, endpoint: AnyEndpoint, clock: Clock, folder: Path) -> Server:
    line = park.line(number)
    host, port = park.settings.host, park.ports[number]
    match endpoint:
        case DlmsEndpoint():
            return DlmsServer(endpoint, clock, host, port)
        case Endpoint() if line.line in ("modbus_tcp", "modbus_tls"):
            return ModbusServer(endpoint, clock, host, port, _tls(line) if line.line == "modbus_tls" else None)
    if line.line in SERIAL_PORTS:
        return PtyLine(endpoint, clock, park.device(number, folder), line.speed)
    return RtuTcpServer(endpoint, clock, host, port, line.speed)


def _counted() -> int:
    """Where invocation counters begin: further on with every start, for a gateway remembers them."""
    return (int(time.time()) - _COUNTED_SINCE_S) * _COUNTED_A_SECOND


def _tls(line: LineSettings) -> ssl.SSLContext:
    """As Modbus/TCP Security asks, except that a client without a certificate is let in."""
    assert line.certificate_file is not None  # noqa: S101 - ``check_park`` has seen to it
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(line.certificate_file, line.key_file)
    return context
