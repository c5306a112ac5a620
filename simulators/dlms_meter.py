"""DLMS meters behind one TCP port, in the wrapper or in HDLC frames, and on a line whose characters take their time.

    DlmsServer   one TCP port; each connection has associations of its own
    HdlcLine     what hangs on a paced line: a serial port, or a serial server that passes characters on

The faults of ``Wire`` are applied here and to what a meter says, those of an attacker inside the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from simulators.dlms.associations import Associations
from simulators.dlms.device import LogicalDevice
from simulators.dlms.framing import INFORMATION, Broken, Framing, HdlcFraming, WrapperFraming, addressed
from simulators.faults import Delivery, Wire
from simulators.tcp_server import Connection, TcpServer, carry_out


@dataclass(frozen=True, slots=True)
class DlmsEndpoint:
    """The meters behind one TCP port, by their address, and how they are spoken to."""

    devices: Mapping[int, LogicalDevice]
    framing: Literal["wrapper", "hdlc"] = "wrapper"
    information: int = INFORMATION
    wire: Wire = field(default_factory=lambda: Wire(0))

    def make_framing(self) -> Framing:
        """For a new connection."""
        return WrapperFraming() if self.framing == "wrapper" else HdlcFraming(self.devices, self.information)


class DlmsServer(TcpServer[DlmsEndpoint]):
    """Listens on one TCP port for one endpoint."""

    def _accept(self) -> asyncio.Protocol:
        return _Connection(self)


class _Connection(Connection):
    """One client: its framing and its associations."""

    def __init__(self, server: DlmsServer) -> None:
        super().__init__(server)
        self._server = server
        self._framing = server.endpoint.make_framing()
        self._associations = Associations(server.endpoint.devices, server.endpoint.wire)

    def data_received(self, data: bytes) -> None:
        """Answer whatever is complete."""
        try:
            replies = self._framing.feed(data, self._answer)
        except Broken:
            self.abort()
            return
        for reply in replies:
            carry_out(self._server.endpoint.wire.carried(reply, self._server.now_ms()), self._transport)

    def _answer(self, client: int, address: int, request: bytes) -> bytes | None:
        self._server.requests_total += address in self._server.endpoint.devices
        return self._associations.answer(client, address, request, self._server.now_ms())


class HdlcLine:
    """The meters of one line, by their number on it; what they have open stays open whoever holds the line."""

    def __init__(self, devices: Mapping[int, LogicalDevice], wire: Wire, information: int = INFORMATION) -> None:
        """Take the meters and their wire."""
        self.devices = devices
        self.wire = wire
        self._framing = HdlcFraming(devices, information)
        self._associations = Associations(devices, wire)

    def heard(self, octets: bytes, now_ms: int) -> Delivery | None:
        """What stood between two silences → what reaches the master; ``None`` if nobody answers it."""

        def answer(client: int, address: int, request: bytes) -> bytes | None:
            return self._associations.answer(client, address, request, now_ms)

        self._framing.forget()
        replies = self._framing.feed(octets, answer)
        return self.wire.carried(replies[-1], now_ms) if replies else None

    def addressed(self, octets: bytes) -> int:
        """Whom a frame is for that begins so."""
        return addressed(octets)
