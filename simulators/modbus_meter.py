"""Modbus TCP endpoints that carry many meters, as a gateway in front of an RS-485 line does.

``Endpoint`` is the core: one request in, what arrives of the answer out, whatever its framing. ``ModbusServer`` is the
shell for Modbus TCP, in the clear or inside TLS: one listening socket, one small protocol object a connection, no task
a meter, so hundreds of meters cost what their requests cost. Lines have shells of their own.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from metering.clock import Clock
from simulators.faults import Delivery, Wire
from simulators.framing import BadStreamError, Frame, MbapFrame, RtuFrame
from simulators.lies import Metered
from simulators.meter_image import MeterImage, refusal

UnknownUnit = Literal["silent", "exception"]

GATEWAY_TARGET_FAILED: Final = 11


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

    def answer(self, frame: Frame, now_ms: int) -> Delivery:
        """One whole request → what reaches the client."""
        slave = self.units.get(frame.unit)
        if slave is not None:
            pdu = slave.image.answer(frame.pdu, slave.meter.reading(now_ms))
        elif self.unknown_unit == "exception":
            pdu = refusal(frame.pdu[0], GATEWAY_TARGET_FAILED)
        else:
            return Delivery()
        return self.wire.deliver(frame.with_pdu(pdu), now_ms)

    def frame(self, octets: bytes) -> Frame | None:
        """What stood between two silences of a line."""
        return RtuFrame.parse(octets)

    def addressed(self, octets: bytes) -> int:
        """Whom a frame of a line is for that begins so."""
        return octets[0]


class Behind(Protocol):
    """What stands behind a port, whatever is spoken there."""

    @property
    def wire(self) -> Wire:
        """Between it and whoever asks."""
        ...

    def answer(self, frame: Frame, now_ms: int) -> Delivery:
        """One whole request → what reaches the client."""
        ...


class LineEndpoint(Behind, Protocol):
    """The meters of a line, whatever they speak."""

    def frame(self, octets: bytes) -> Frame | None:
        """What stood between two silences; ``None`` if it is no frame."""
        ...

    def addressed(self, octets: bytes) -> int:
        """Whom a frame is for that begins so."""
        ...


class Connection(Protocol):
    """What a server can do with a connection."""

    def abort(self) -> None:
        """Drop it."""
        ...


class ModbusServer:
    """Listens on one TCP port for one endpoint, in the clear or inside TLS."""

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
        self._clock = clock
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

    def _accept(self) -> asyncio.Protocol:
        return _Connection(self)

    def now_ms(self) -> int:
        """The simulated time."""
        return self._clock.now_ms()

    def joined(self, connection: Connection) -> bool:
        """Note a new connection; false if it has to go."""
        self._connections.add(connection)
        return not self.endpoint.wire.refuses(self.now_ms())

    def left(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def answer(self, frame: Frame) -> Delivery:
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
        try:
            while (frame := MbapFrame.take(self._buffer)) is not None:
                self._deliver(self._server.answer(frame))
        except BadStreamError:
            self.abort()

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
