"""Modbus TCP endpoints that carry many meters, as a gateway in front of an RS-485 line does.

``Endpoint`` is the core: one request in, what arrives of the answer out, whatever its framing. ``ModbusServer`` is the
shell for Modbus TCP, in the clear or inside TLS: one listening socket, one small protocol object a connection, no task
a meter, so hundreds of meters cost what their requests cost. Lines have shells of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from simulators.faults import Delivery, Wire
from simulators.framing import BadStreamError, Frame, MbapFrame, RtuFrame
from simulators.lies import Metered
from simulators.meter_image import MeterImage, refusal
from simulators.tcp_server import Connection, TcpServer, Wired, carry_out

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

    def heard(self, octets: bytes, now_ms: int) -> Delivery | None:
        """What stood between two silences of a line → what reaches the master; ``None`` if it was no frame."""
        frame = RtuFrame.parse(octets)
        return None if frame is None else self.answer(frame, now_ms)

    def addressed(self, octets: bytes) -> int:
        """Whom a frame of a line is for that begins so."""
        return octets[0]


class LineEndpoint(Wired, Protocol):
    """The meters of a line, whatever they speak."""

    def heard(self, octets: bytes, now_ms: int) -> Delivery | None:
        """What stood between two silences → what reaches the master; ``None`` if it was no frame."""
        ...

    def addressed(self, octets: bytes) -> int:
        """Whom a frame is for that begins so."""
        ...


class ModbusServer(TcpServer[Endpoint]):
    """Listens on one TCP port for one endpoint, in the clear or inside TLS."""

    def _accept(self) -> asyncio.Protocol:
        return _Connection(self)

    def answer(self, frame: MbapFrame) -> Delivery:
        """Let the endpoint answer, now."""
        self.requests_total += 1
        return self.endpoint.answer(frame, self.now_ms())


class _Connection(Connection):
    """Cuts the byte stream into frames and sends what is delivered."""

    def __init__(self, server: ModbusServer) -> None:
        super().__init__(server)
        self._server = server
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer every whole frame; a stream that is not Modbus TCP ends the connection."""
        self._buffer += data
        try:
            while (frame := MbapFrame.take(self._buffer)) is not None:
                carry_out(self._server.answer(frame), self._transport)
        except BadStreamError:
            self.abort()

    def abort(self) -> None:
        """Drop the connection, and what has come of a frame."""
        self._buffer.clear()
        super().abort()
