"""A serial server that passes the characters of its line on over TCP, as they come."""

from __future__ import annotations

import asyncio

from metering.clock import Clock
from simulators.faults import Delivery
from simulators.modbus_meter import LineEndpoint
from simulators.paced_line import LineSpeed, PacedLine
from simulators.tcp_server import Connection, TcpServer


class RtuTcpServer(TcpServer[LineEndpoint]):
    """Listens on one TCP port; every connection has the line for itself."""

    def __init__(
        self,
        endpoint: LineEndpoint,
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: LineSpeed | None = None,
    ) -> None:
        """Nothing listens before ``start``; without ``speed`` the line has 9600 Bd, 8N1."""
        super().__init__(endpoint, clock, host, port)
        self._speed = speed or LineSpeed()

    def echoes(self, octets: bytes) -> bool:
        """Whether the serial server hears itself."""
        return self.endpoint.wire.echoes(self.endpoint.addressed(octets), self.now_ms())

    def answer(self, octets: bytes) -> Delivery:
        """Let the endpoint answer what stood between two silences."""
        delivery = self.endpoint.heard(octets, self.now_ms())
        self.requests_total += delivery is not None
        return delivery or Delivery()

    def _accept(self) -> asyncio.Protocol:
        return _LineConnection(self, self._speed)


class _LineConnection(Connection):
    """Hands characters to the line and back."""

    def __init__(self, server: RtuTcpServer, speed: LineSpeed) -> None:
        super().__init__(server)
        self._server = server
        self._line = PacedLine(self, self._say, speed, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone; what was under way never arrives."""
        self._line.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Characters for the line."""
        self._line.hear(data)

    def answer(self, octets: bytes) -> Delivery:
        """Let the endpoint answer, now."""
        return self._server.answer(octets)

    def echoes(self, octets: bytes) -> bool:
        """Whether the serial server hears itself."""
        return self._server.echoes(octets)

    def _hang_up(self) -> None:
        """The serial server's own fault; what has gone out still arrives."""
        if self._transport is not None:
            self._transport.close()

    def _say(self, octets: bytes) -> None:
        if self._transport is not None:
            self._transport.write(octets)
