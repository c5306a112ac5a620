"""How a Modbus PDU travels: behind an MBAP header on TCP, between a unit address and a CRC on a serial line.

Written from the standards (MODBUS messaging on TCP/IP V1.0b, 3.1.3; MODBUS over serial line V1.02, 2.5.1) and
independent of what the edge agent uses, so that a mistake on one side shows.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, replace
from typing import Final, Protocol, Self

from simulators.meter_image import refusal

_HEADER: Final = struct.Struct(">HHHB")  # transaction, protocol, length, unit
_LENGTHS: Final = range(2, 255)
_SHORTEST_RTU: Final = 4
_POLYNOMIAL: Final = 0xA001
_EXCEPTION_BIT: Final = 0x80


class BadStreamError(ValueError):
    """What arrives is no Modbus TCP."""


class Said(Protocol):
    """What a meter says, and what it might say instead."""

    @property
    def unit(self) -> int:
        """Which unit it is from."""
        ...

    def refused(self, code: int) -> Self:
        """The refusal that the meter gives in its place."""
        ...

    def shortened(self) -> Self:
        """Well formed, with less in it than was asked for; a refusal stays as it is."""
        ...

    def astray(self) -> Self:
        """As if it answered some other request."""
        ...


class Carried(Protocol):
    """What stands on the wire, and what may become of it there."""

    @property
    def unit(self) -> int:
        """Which unit it is for, or from."""
        ...

    @property
    def octets(self) -> bytes:
        """As it stands on the wire."""
        ...

    def from_unit(self, unit: int) -> Self:
        """As if another unit had sent it."""
        ...

    def damaged(self, rng: random.Random) -> bytes:
        """What the master hears of it when noise hits the line."""
        ...


class Frame(Said, Carried, Protocol):
    """A request or an answer with its envelope."""

    @property
    def pdu(self) -> bytes:
        """Function and data."""
        ...

    def with_pdu(self, pdu: bytes) -> Self:
        """The answer to a request, or another answer in its place."""
        ...


@dataclass(frozen=True, slots=True)
class MbapFrame:
    """A frame of Modbus TCP."""

    transaction: int
    unit: int
    pdu: bytes

    @classmethod
    def take(cls, stream: bytearray) -> MbapFrame | None:
        """Cut the first whole frame off a stream; ``None`` if it is not all there yet.

        Raises:
            BadStreamError: no frame begins here.
        """
        if len(stream) < _HEADER.size:
            return None
        transaction, protocol, length, unit = _HEADER.unpack_from(stream)
        if protocol or length not in _LENGTHS:
            raise BadStreamError
        end = _HEADER.size - 1 + length
        if len(stream) < end:
            return None
        frame = cls(transaction, unit, bytes(stream[_HEADER.size : end]))
        del stream[:end]
        return frame

    def refused(self, code: int) -> MbapFrame:
        """The exception that the unit answers in its place."""
        return replace(self, pdu=refusal(self.pdu[0], code))

    def shortened(self) -> MbapFrame:
        """Half of the registers."""
        return replace(self, pdu=_half(self.pdu))

    @property
    def octets(self) -> bytes:
        """As it stands on the wire."""
        return _HEADER.pack(self.transaction, 0, len(self.pdu) + 1, self.unit) + self.pdu

    def with_pdu(self, pdu: bytes) -> MbapFrame:
        """The answer to a request, or another answer in its place."""
        return replace(self, pdu=pdu)

    def from_unit(self, unit: int) -> MbapFrame:
        """As if another unit had sent it."""
        return replace(self, unit=unit)

    def astray(self) -> MbapFrame:
        """As if it answered some other request."""
        return replace(self, transaction=(self.transaction + 1) & 0xFFFF)

    def damaged(self, rng: random.Random) -> bytes:
        """Nothing: TCP has checksums, and a serial server passes nothing on whose CRC is wrong."""
        del rng
        return b""


@dataclass(frozen=True, slots=True)
class RtuFrame:
    """A frame of a serial line."""

    unit: int
    pdu: bytes

    @classmethod
    def parse(cls, octets: bytes) -> RtuFrame | None:
        """What stood between two silences; ``None`` if its CRC is wrong."""
        if len(octets) < _SHORTEST_RTU or crc(octets[:-2]) != octets[-2:]:
            return None
        return cls(octets[0], octets[1:-2])

    def refused(self, code: int) -> RtuFrame:
        """The exception that the unit answers in its place."""
        return replace(self, pdu=refusal(self.pdu[0], code))

    def shortened(self) -> RtuFrame:
        """Half of the registers."""
        return replace(self, pdu=_half(self.pdu))

    @property
    def octets(self) -> bytes:
        """As it stands on the wire."""
        body = bytes((self.unit,)) + self.pdu
        return body + crc(body)

    def with_pdu(self, pdu: bytes) -> RtuFrame:
        """The answer to a request, or another answer in its place."""
        return replace(self, pdu=pdu)

    def from_unit(self, unit: int) -> RtuFrame:
        """As if another unit had sent it."""
        return replace(self, unit=unit)

    def astray(self) -> RtuFrame:
        """As if it answered some other request: of a neighbour, since nothing else would show."""
        return replace(self, unit=self.unit % 247 + 1)

    def damaged(self, rng: random.Random) -> bytes:
        """Up to three octets are not what they were: the CRC is wrong."""
        octets = bytearray(self.octets)
        for at in rng.sample(range(len(octets)), rng.randint(1, 3)):
            octets[at] ^= 1 << rng.randrange(8)
        return bytes(octets)


def _half(pdu: bytes) -> bytes:
    """An answer with half of its registers; an exception as it is."""
    if pdu[0] & _EXCEPTION_BIT:
        return pdu
    kept = pdu[1] // 4 * 2
    return bytes((pdu[0], kept)) + pdu[2 : 2 + kept]


def crc(octets: bytes) -> bytes:
    """CRC-16 of a serial line, low octet first."""
    register = 0xFFFF
    for octet in octets:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
    return register.to_bytes(2, "little")
