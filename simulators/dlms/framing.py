"""How messages travel to and from a simulated meter: in the wrapper on TCP, or in HDLC frames.

feed(octets) → what arrived whole, each with the session it is for
the endpoint gives the answer back and sends what comes out, as far as the wire carries it
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Final, Protocol

from simulators.framing import Carried

Answer = Callable[[int, int, bytes], bytes | None]
"""Client, server address, request → answer, or silence."""

INFORMATION: Final = 128
"""Octets of an HDLC frame, unless both sides agree on others."""

_FLAG: Final = 0x7E
_LLC_DOWN: Final = bytes([0xE6, 0xE6, 0])
_LLC_UP: Final = bytes([0xE6, 0xE7, 0])
_POLL: Final = 0x10


class Framing(Protocol):
    """One connection's framing."""

    def feed(self, octets: bytes, answer: Answer) -> list[Carried]:
        """What came in → what goes out, frame by frame."""
        ...


class Broken(Exception):  # noqa: N818
    """The stream makes no sense: hang up."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A message of a meter in the wrapper."""

    unit: int
    client: int
    message: bytes

    @property
    def octets(self) -> bytes:
        """As it stands on the wire."""
        ports = self.unit.to_bytes(2, "big") + self.client.to_bytes(2, "big")
        return b"\0\1" + ports + len(self.message).to_bytes(2, "big") + self.message

    def from_unit(self, unit: int) -> Packet:
        """As if another meter had sent it."""
        return replace(self, unit=unit)

    def damaged(self, rng: random.Random) -> bytes:
        """Nothing: TCP has checksums."""
        del rng
        return b""


class WrapperFraming:
    """The eight octets in front of every message on TCP."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, octets: bytes, answer: Answer) -> list[Carried]:
        """What came in → what goes out."""
        self._buffer += octets
        out: list[Carried] = []
        while len(self._buffer) >= 8:  # noqa: PLR2004
            version, client, server, size = (int.from_bytes(self._buffer[n : n + 2], "big") for n in (0, 2, 4, 6))
            if version != 1:
                raise Broken
            if len(self._buffer) < 8 + size:
                break
            request, self._buffer = self._buffer[8 : 8 + size], self._buffer[8 + size :]
            reply = answer(client, server, request)
            if reply is not None:
                out.append(Packet(server, client, reply))
        return out


@dataclass(frozen=True, slots=True)
class HdlcFrame:
    """A frame of a meter on a line."""

    server: bytes  # address, as it stands in the frame
    client: bytes
    control: int
    information: bytes = b""
    segmented: bool = False

    @property
    def unit(self) -> int:
        """The meter's number on the line."""
        return _number(self.server)

    @property
    def octets(self) -> bytes:
        """As it stands on the wire."""
        size = 5 + len(self.client) + len(self.server) + (len(self.information) + 2 if self.information else 0)
        octets = bytes([0xA0 | (8 if self.segmented else 0) | size >> 8, size & 0xFF])
        octets += self.client + self.server + bytes([self.control])
        octets += frame_check(octets)
        if self.information:
            octets += self.information
            octets += frame_check(octets)
        return bytes([_FLAG]) + octets + bytes([_FLAG])

    def from_unit(self, unit: int) -> HdlcFrame:
        """As if another meter had sent it."""
        return replace(self, server=self.server[:-1] + bytes([(unit & 0x7F) << 1 | 1]))

    def damaged(self, rng: random.Random) -> bytes:
        """One octet between the flags is not what it was: a check sum is wrong."""
        octets = bytearray(self.octets)
        octets[rng.randrange(1, len(octets) - 1)] ^= rng.randrange(1, 256)
        return bytes(octets)


class HdlcFraming:
    """The meter's side of HDLC for all meters of a line: numbers, segments both ways, repeating when polled."""

    def __init__(self, units: Container[int], information: int = INFORMATION) -> None:
        """Take the numbers of the meters, and the largest information field in octets."""
        self._units = units
        self._buffer = bytearray()
        self._information = information
        self._lines: dict[tuple[bytes, bytes], _Station] = {}

    def feed(self, octets: bytes, answer: Answer) -> list[Carried]:
        """What came in → what goes out."""
        self._buffer += octets
        out: list[Carried] = []
        while (frame := self._next()) is not None:
            reply = self._on_frame(frame, answer)
            if reply is not None:
                out.append(reply)
        return out

    def forget(self) -> None:
        """The line was silent: what is not whole by now never will be."""
        self._buffer.clear()

    def _next(self) -> bytes | None:
        """The next sound frame without flags; what is not sound is forgotten."""
        while True:
            start = self._buffer.find(_FLAG)
            if start < 0:
                self._buffer.clear()
                return None
            del self._buffer[:start]
            if len(self._buffer) < 3:  # noqa: PLR2004
                return None
            size = (self._buffer[1] & 7) << 8 | self._buffer[2]
            if self._buffer[1] >> 4 != 0xA:  # noqa: PLR2004
                del self._buffer[0]
                continue
            if len(self._buffer) < size + 2:
                return None
            frame = bytes(self._buffer[1 : size + 1])
            if self._buffer[size + 1] == _FLAG and frame_check(frame[:-2]) == frame[-2:]:
                del self._buffer[: size + 1]
                return frame
            del self._buffer[0]

    def _on_frame(self, frame: bytes, answer: Answer) -> HdlcFrame | None:
        server, rest = _address(frame[2:])
        client, rest = _address(rest)
        if _number(server) not in self._units:
            return None
        control = rest[0]
        information = rest[3:-2] if len(rest) > 3 else b""  # noqa: PLR2004
        key = (client, server)
        if control & ~_POLL == 0x83:  # noqa: PLR2004 - SNRM
            self._lines[key] = _Station(self._agreed(information))
            size = self._lines[key].size.to_bytes(2, "big")
            limits = bytes([5, 2]) + size + bytes([6, 2]) + size + bytes([7, 4, 0, 0, 0, 1, 8, 4, 0, 0, 0, 1])
            return HdlcFrame(server, client, 0x73, bytes([0x81, 0x80, len(limits)]) + limits)
        station = self._lines.get(key)
        if station is None or control & ~_POLL == 0x43:  # noqa: PLR2004 - DISC
            self._lines.pop(key, None)
            return HdlcFrame(server, client, 0x73 if station else 0x1F)

        def ask(request: bytes) -> bytes | None:
            return answer(client[0] >> 1, _number(server), request)

        segmented = bool(frame[0] & 8)
        found = station.on_frame(control, information, ask, segmented=segmented)
        if found is None:
            return None
        control, information, more = found
        return HdlcFrame(server, client, control, information, more)

    def _agreed(self, information: bytes) -> int:
        """The size the client can take, no larger than ours."""
        theirs, at = INFORMATION, 3
        while at + 1 < len(information):
            number, size = information[at : at + 2]
            if number in (5, 6):
                theirs = int.from_bytes(information[at + 2 : at + 2 + size], "big")
            at += 2 + size
        return min(theirs, self._information)


class _Station:
    """One HDLC connection seen from the meter."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._sent = 0
        self._received = 0
        self._request = b""
        self._pending: list[bytes] = []
        self._last: tuple[int, bytes, bool] | None = None

    def on_frame(
        self, control: int, information: bytes, ask: Callable[[bytes], bytes | None], *, segmented: bool
    ) -> tuple[int, bytes, bool] | None:
        """One frame → control, information and whether more follows; ``None`` for silence."""
        if control & 1:
            return self._on_receive_ready(control >> 5)
        if (control >> 1) & 7 != self._received:
            return self._ready()
        self._received = (self._received + 1) % 8
        self._request += information
        self._last = None
        if segmented:
            return self._ready()
        request, self._request = self._request, b""
        reply = ask(request.removeprefix(_LLC_DOWN))
        if reply is None:
            return None
        whole = _LLC_UP + reply
        self._pending = [whole[at : at + self.size] for at in range(0, len(whole), self.size)]
        return self._send()

    def _on_receive_ready(self, wanted: int) -> tuple[int, bytes, bool]:
        """The client wants what comes next, or what got lost."""
        if wanted == self._sent and self._pending:
            return self._send()
        if self._last is not None and (wanted + 1) % 8 == self._sent:
            _, part, more = self._last
            return self._received << 5 | _POLL | wanted << 1, part, more
        return self._ready()

    def _send(self) -> tuple[int, bytes, bool]:
        part = self._pending.pop(0)
        control = self._received << 5 | _POLL | self._sent << 1
        self._sent = (self._sent + 1) % 8
        self._last = (control, part, bool(self._pending))
        return self._last

    def _ready(self) -> tuple[int, bytes, bool]:
        return self._received << 5 | _POLL | 1, b"", False


def frame_check(octets: bytes) -> bytes:
    """CRC-16 of HDLC bit by bit, low octet first."""
    crc = 0xFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return (crc ^ 0xFFFF).to_bytes(2, "little")


def addressed(octets: bytes) -> int:
    """Whom a frame is for that begins so; -1 if that does not show yet."""
    address = octets[3:7]
    return _number(_address(address)[0]) if any(octet & 1 for octet in address) else -1


def _address(octets: bytes) -> tuple[bytes, bytes]:
    """The address in front, and what follows it."""
    end = next(n for n, octet in enumerate(octets) if octet & 1) + 1
    return octets[:end], octets[end:]


def _number(server: bytes) -> int:
    """The last part of the meter's address: physical where there is one."""
    parts = [octet >> 1 for octet in server]
    return parts[-1] if len(parts) < 4 else parts[2] << 7 | parts[3]  # noqa: PLR2004
