"""DLMS meters behind one TCP port, in the wrapper or in HDLC frames (as behind a serial server).

Each connection has sessions of its own, one for each pair of client and meter, as meters have associations. The
wire's faults are applied here, those of an attacker inside the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from metering.clock import Clock
from simulators.dlms.device import LogicalDevice
from simulators.dlms.faults import DlmsFaults
from simulators.dlms.framing import Broken, Framing, HdlcFraming, WrapperFraming
from simulators.dlms.session import Session


@dataclass(frozen=True, slots=True)
class DlmsEndpoint:
    """The meters behind one TCP port, by their address, and how they are spoken to."""

    devices: Mapping[int, LogicalDevice]
    framing: Literal["wrapper", "hdlc"] = "wrapper"
    information: int = 128  # octets of an HDLC frame

    def make_framing(self) -> Framing:
        """For a new connection."""
        return WrapperFraming() if self.framing == "wrapper" else HdlcFraming(self.information)


class DlmsServer:
    """Listens on one TCP port for one endpoint."""

    def __init__(self, endpoint: DlmsEndpoint, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> None:
        """Nothing listens before ``start``; port 0 takes any free one."""
        self.endpoint = endpoint
        self.host = host
        self.port = port
        self.requests_total = 0
        self.connections_total = 0
        self.clock = clock
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken or forbidden.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await self._server.wait_closed()
        self._server = None

    def joined(self, connection: _Connection) -> None:
        """Note a new connection."""
        self.connections_total += 1
        self._connections.add(connection)

    def left(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)


class _Connection(asyncio.Protocol):
    """One client: its framing and its sessions."""

    def __init__(self, server: DlmsServer) -> None:
        self._server = server
        self._framing = server.endpoint.make_framing()
        self._sessions: dict[tuple[int, int], Session] = {}
        self._faults = DlmsFaults()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server promises
        self._transport = transport
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        del exc
        self._transport = None
        self._server.left(self)

    def data_received(self, data: bytes) -> None:
        """Answer whatever is complete."""
        try:
            frames = self._framing.feed(data, self._answer)
        except Broken:
            self.abort()
            return
        for frame in frames:
            self._deliver(frame)

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, client: int, address: int, request: bytes) -> bytes | None:
        device = self._server.endpoint.devices.get(address)
        if device is None:
            return None
        self._server.requests_total += 1
        self._faults = device.faults
        key = (client, address)
        if key not in self._sessions:
            self._sessions[key] = Session(device, client)
        return self._sessions[key].answer(request, self._server.clock.now_ms())

    def _deliver(self, frame: bytes) -> None:
        faults = self._faults
        if faults.strikes("reset"):
            self.abort()
        elif faults.strikes("drop"):
            return
        else:
            octets = faults.damaged(frame) if faults.strikes("corrupt") else frame
            late = faults.strikes("delay")
            asyncio.get_running_loop().call_later(late.delay_s, self._write, octets) if late else self._write(octets)

    def _write(self, octets: bytes) -> None:
        if self._transport is not None:
            self._transport.write(octets)
