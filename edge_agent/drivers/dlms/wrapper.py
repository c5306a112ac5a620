"""The wrapper around messages on TCP (IEC 62056-47): version, both ends' ports inside the devices, length.

    0001 | source (2) | destination (2) | length (2) | message

The wrapper has no check sum and cannot be found again after an error: a head that is wrong ends the connection.
Messages between other ports are passed over, for one connection may carry many meters.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.errors import Malformed
from edge_agent.drivers.dlms.hdlc_session import Heard

_HEAD: Final = Struct(">HHHH")
_VERSION: Final = 1


class Packet(NamedTuple):
    """One message and between which ports it goes."""

    source: int
    destination: int
    message: bytes

    def encode(self) -> bytes:
        r"""The message with its head.

        >>> Packet(1, 16, b"\xc4").encode().hex()
        '0001000100100001c4'
        """
        return _HEAD.pack(_VERSION, self.source, self.destination, len(self.message)) + self.message


class Unwrapper:
    """Cuts the stream of one connection into packets. Holds less than one packet between two calls."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> list[Packet]:
        """Every packet that is complete now.

        Raises:
            Malformed: this is no wrapper; close the connection.
        """
        self._buffer += octets
        packets: list[Packet] = []
        while len(self._buffer) >= _HEAD.size:
            version, source, destination, length = _HEAD.unpack_from(self._buffer)
            if version != _VERSION:
                raise Malformed(f"wrapper version {version}")
            if len(self._buffer) < _HEAD.size + length:
                break
            packets.append(Packet(source, destination, bytes(self._buffer[_HEAD.size : _HEAD.size + length])))
            del self._buffer[: _HEAD.size + length]
        return packets

    def give_up(self) -> list[Packet]:
        """Nothing more comes; an unfinished packet stays unfinished."""
        return []


class WrapperSession:
    """One client's talk with one meter over the wrapper: nothing to open, nothing to repeat."""

    ready = True

    def __init__(self, client: int, server: int) -> None:
        """Take the ports of both ends."""
        self._client = client
        self._server = server

    def open(self) -> bytes:
        """Nothing."""
        return b""

    def send(self, message: bytes) -> bytes:
        """The message with its head."""
        return Packet(self._client, self._server, message).encode()

    def poll(self) -> bytes:
        """Nothing: TCP loses nothing, so silence is the meter's answer."""
        return b""

    def close(self) -> bytes:
        """Nothing."""
        return b""

    def receive(self, packet: Packet) -> Heard:
        """The message, if it is ours."""
        ours = (packet.source, packet.destination) == (self._server, self._client)
        return Heard(message=packet.message) if ours else Heard()
