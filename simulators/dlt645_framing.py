"""How a DL/T 645-2007 message travels: FE to wake the line, two start octets around the address, a sum and an end.

Written from the standard (5.2) and independent of what the edge agent uses, so that a mistake on one side shows.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from typing import Final

_START: Final = 0x68
_END: Final = 0x16
_WAKE: Final = b"\xfe" * 4
_ADDRESS_END: Final = 7
_SHORTEST: Final = 12
_OFFSET: Final = 0x33
_REFUSED: Final = 0xC0
_IDENTIFIER: Final = 4
ANYBODY: Final = -1
"""Unit of a frame whose address has wildcards."""

_SHORTENED: Final = re.compile("(aa)+([0-9]{2})*")


@dataclass(frozen=True, slots=True)
class Dlt645Frame:
    """A frame of a line of DL/T 645 meters; ``pdu`` is the control octet and the data, as they are meant."""

    unit: int  # the address as a number
    pdu: bytes
    ends: str = ""  # with wildcards: the digits behind them

    @classmethod
    def parse(cls, octets: bytes) -> Dlt645Frame | None:
        """What stood between two silences; ``None`` if it is no frame."""
        octets = octets.lstrip(_WAKE[:1])
        if len(octets) < _SHORTEST or (octets[0], octets[_ADDRESS_END], octets[-1]) != (_START, _START, _END):
            return None
        if octets[9] != len(octets) - _SHORTEST or sum(octets[:-2]) % 256 != octets[-2]:
            return None
        address = octets[6:0:-1].hex()
        shortened = _SHORTENED.fullmatch(address) is not None
        if not address.isdecimal() and not shortened:
            return None
        data = bytes((octet - _OFFSET) % 256 for octet in octets[10:-2])
        pdu = octets[8:9] + data
        return cls(ANYBODY, pdu, address.lstrip("a")) if shortened else cls(int(address), pdu)

    @property
    def octets(self) -> bytes:
        """As it stands on the wire."""
        address = bytes.fromhex(f"{self.unit:012d}")[::-1]
        control, data = self.pdu[:1], self.pdu[1:]
        body = bytes((_START,)) + address + bytes((_START,)) + control + bytes((len(data),))
        body += bytes((octet + _OFFSET) % 256 for octet in data)
        return _WAKE + body + bytes((sum(body) % 256, _END))

    def with_pdu(self, pdu: bytes) -> Dlt645Frame:
        """The answer to a request, or another answer in its place."""
        return replace(self, pdu=pdu)

    def from_unit(self, unit: int) -> Dlt645Frame:
        """As if another meter had sent it."""
        return replace(self, unit=unit)

    def astray(self) -> Dlt645Frame:
        """As if it answered some other request: with another identifier."""
        return replace(self, pdu=self.pdu[:1] + bytes((self.pdu[1] ^ 1,)) + self.pdu[2:])

    def damaged(self, rng: random.Random) -> bytes:
        """Up to three octets are not what they were: in different bits, so that the sum cannot stay right."""
        octets = bytearray(self.octets)
        places = rng.sample(range(len(_WAKE), len(octets)), rng.randint(1, 3))
        for at, bit in zip(places, rng.sample(range(8), len(places)), strict=True):
            octets[at] ^= 1 << bit
        return bytes(octets)

    def refused(self, code: int) -> Dlt645Frame:
        """The refusal that the meter gives in its place; ``code`` is the error word."""
        return replace(self, pdu=bytes((self.pdu[0] & 0x1F | _REFUSED, code)))

    def shortened(self) -> Dlt645Frame:
        """The last octet is missing; a refusal stays as it is."""
        return self if len(self.pdu) <= 1 + _IDENTIFIER else replace(self, pdu=self.pdu[:-1])
