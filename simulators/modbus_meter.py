"""Modbus TCP endpoints that carry many meters, as a gateway in front of an RS-485 line does.

``Endpoint`` is the core: one request frame in, what arrives of the answer out. ``ModbusServer`` is the shell:
one listening socket, one small protocol object a connection, no task a meter, so hundreds of meters cost
what their requests cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from metering.clock import Clock
from simulators.faults import HEADER, Delivery, Wire
from simulators.meter_image import MeterImage, refusal
from simulators.physics import Reading

UnknownUnit = Literal["silent", "exception"]

GATEWAY_TARGET_FAILED: Final = 11

_LONGEST_FRAME: Final = 260
_SHORTEST_FRAME: Final = HEADER.size + 1


class Metered(Protocol):
    """Whatever can be read at an instant."""

    def reading(self, at_ms: int) -> Reading:
        """All that the meter knows at an instant (ms since 1970 UTC)."""
        ...


@dataclass(frozen=True, slots=True)
class Slave:
    """One unit on the line: a model of meter and what it measures."""

    image: MeterImage
    meter: Metered


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The units behind one TCP port."""

    units: Mapping[int, Slave]
    wire: Wire
    unknown_unit: UnknownUnit = "silent"

    def answer(self, frame: bytes, now_ms: int) -> Delivery:
        """One whole request frame (header and PDU) → what reaches the client."""
        transaction, _, _, unit = HEADER.unpack_from(frame)
        request = frame[HEADER.size :]
        slave = self.units.get(unit)
        if slave is not None:
            pdu = slave.image.answer(request, slave.meter.reading(now_ms))
        elif self.unknown_unit == "exception":
            pdu = refusal(request[0], GATEWAY_TARGET_FAILED)
        else:
            return Delivery()
        return self.wire.deliver(HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu, now_ms)


class ModbusServer:
    """Listens on one TCP port for one endpoint."""

    def __init__(self, endpoint: Endpoint, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> None:
        """Nothing listens before ``start``; port 0 takes any free one."""
        self.endpoint = endpoint
        self.host = host
        self.port = port
        self.requests_total = 0
        self._clock = clock
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

    def now_ms(self) -> int:
        """The simulated time."""
        return self._clock.now_ms()

    def joined(self, connection: _Connection) -> bool:
        """Note a new connection; false if it has to go."""
        self._connections.add(connection)
        return not self.endpoint.wire.refuses(self.now_ms())

    def left(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def answer(self, frame: bytes) -> Delivery:
        """Let the endpoint answer, now."""
        self.requests_total += 1
        return self.endpoint.answer(frame, self.now_ms())


class _Connection(asyncio.Protocol):
    """Cuts the byte stream into frames and sends what is delivered."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server promises
        self._transport = transport
        if not self._server.joined(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        del exc
        self._transport = None
        self._server.left(self)

    def data_received(self, data: bytes) -> None:
        """Answer every whole frame; a stream that is not Modbus TCP ends the connection."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            _, protocol, length, _ = HEADER.unpack_from(self._buffer)
            size = length + HEADER.size - 1
            if protocol or not _SHORTEST_FRAME <= size <= _LONGEST_FRAME:
                self.abort()
                return
            if len(self._buffer) < size:
                return
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._deliver(self._server.answer(frame))

    def abort(self) -> None:
        """Drop the connection."""
        self._buffer.clear()
        if self._transport is not None:
            self._transport.abort()

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.delay_s:
            later = Delivery(delivery.data, 0.0, delivery.close)
            asyncio.get_running_loop().call_later(delivery.delay_s, self._deliver, later)
        elif delivery.close:
            self.abort()
        elif delivery.data and self._transport is not None:
            self._transport.write(delivery.data)
