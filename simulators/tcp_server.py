"""Listens on one TCP port and knows its connections: what every simulated server does, whatever is spoken there."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from metering.clock import Clock
from simulators.faults import Delivery, Wire


class Wired(Protocol):
    """What stands behind a port: meters, and a wire between them and whoever asks."""

    @property
    def wire(self) -> Wire:
        """Between them and whoever asks."""
        ...


class Connection(asyncio.Protocol):
    """One client of a server; what is spoken is up to its kind."""

    def __init__(self, server: TcpServer[Any]) -> None:
        """Nobody has come yet."""
        self._joined = server
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server promises
        self._transport = transport
        if not self._joined.joined(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        del exc
        self._transport = None
        self._joined.left(self)

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()


Behind = TypeVar("Behind", bound=Wired)


class TcpServer(ABC, Generic[Behind]):
    """One listening socket, in the clear or inside TLS; one small protocol object a connection, no task a meter."""

    def __init__(
        self,
        endpoint: Behind,
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing listens before ``start``; port 0 takes any free one."""
        self.endpoint = endpoint
        self.host = host
        self.port = port
        self.requests_total = 0
        self.connections_total = 0
        self.clock = clock
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    @property
    def place(self) -> str:
        """Where it is found."""
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken or forbidden.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self.host, self.port, ssl=self._tls)
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

    @abstractmethod
    def _accept(self) -> asyncio.Protocol:
        """For a new connection."""

    def now_ms(self) -> int:
        """The simulated time."""
        return self.clock.now_ms()

    def joined(self, connection: Connection) -> bool:
        """Note a new connection; false if it has to go."""
        self.connections_total += 1
        self._connections.add(connection)
        return not self.endpoint.wire.refuses(self.now_ms())

    def left(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)


def carry_out(delivery: Delivery, transport: asyncio.Transport | None) -> None:
    """Let a delivery happen on a connection, if it still stands: at once, or when its time has come."""
    if delivery.delay_s:
        later = Delivery(delivery.data, 0.0, delivery.close)
        asyncio.get_running_loop().call_later(delivery.delay_s, carry_out, later, transport)
        return
    if transport is None or transport.is_closing():
        return
    if delivery.data:
        transport.write(delivery.data)
    if delivery.close and delivery.data:
        transport.close()  # what was written still goes out
    elif delivery.close:
        transport.abort()
