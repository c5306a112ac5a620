"""Frames of DL/T 645-2007 (5.2): octets → frame and back, and frames out of whatever a line delivers.

    FE …  |  68  |  address, 6  |  68  |  control  |  length  |  data, 33H added to each  |  sum  |  16

Address, data identifier and numbers stand low octet first. In this program an address is its twelve digits and a data
identifier its eight hexadecimal digits, both as people write them.

**Nothing is ever written.** Questions are the three reads that need no password; a question with any other function
(broadcast of the time 08H, write 14H, freeze 16H, clear 1AH …) has no octets here.

A frame is found by its two 68, its length, its sum and its 16 wherever it begins: noise and FE before it cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

READ: Final = 0x11
READ_FOLLOW_ON: Final = 0x12
READ_ADDRESS: Final = 0x13
READS: Final = frozenset({READ, READ_FOLLOW_ON, READ_ADDRESS})

ANY_METER: Final = "A" * 12
"""Address that every meter takes for its own: on a line with one meter (5.2.2)."""

BROADCAST: Final = "9" * 12
"""Address that every meter hears and none answers."""

ADDRESS_DIGITS: Final = 12
LONGEST_DATA: Final = 200
"""Most octets of data in an answer to a read (5.2.4)."""

FRAME_OCTETS: Final = 12
"""Octets of a frame without data and without FE."""

PREAMBLE: Final = b"\xfe" * 4

_FROM_METER: Final = 0x80
_REFUSED: Final = 0x40
_MORE: Final = 0x20
_FUNCTION: Final = 0x1F
_START: Final = 0x68
_END: Final = 0x16
_SECOND_START: Final = 7
_LENGTH: Final = 9
_DATA: Final = 10
_ADDED: Final = 0x33
_IDENTIFIER_OCTETS: Final = 4


class FrameError(ValueError):
    """The octets are no frame, or the frame may not be sent."""


class ErrorWord(IntFlag):
    """What a meter says with a refusal (appendix C, error word)."""

    OTHER = 1 << 0
    NO_DATA = 1 << 1  # it does not have what was asked
    PASSWORD = 1 << 2  # not without a password
    BAUDRATE = 1 << 3
    YEAR_ZONES = 1 << 4
    DAY_SLOTS = 1 << 5
    TARIFFS = 1 << 6


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; ``data`` as it was before 33H was added."""

    address: str  # 12 digits, the highest first; A stands for any digit
    control: int
    data: bytes = b""

    @property
    def function(self) -> int:
        """What is asked, or answered."""
        return self.control & _FUNCTION

    @property
    def from_meter(self) -> bool:
        """Whether it is an answer."""
        return bool(self.control & _FROM_METER)

    @property
    def refused(self) -> bool:
        """Whether the answer is a refusal."""
        return bool(self.control & _REFUSED)

    @property
    def more(self) -> bool:
        """Whether further frames of the answer can be asked for."""
        return bool(self.control & _MORE)

    @property
    def octets(self) -> bytes:
        """As it stands on the wire, without FE.

        Raises:
            FrameError: it would write, the address has no twelve digits, or the data are too long.
        """
        if not self.from_meter and self.control not in READS:
            raise FrameError(f"control {self.control:02X}H is no read")
        if len(self.address) != ADDRESS_DIGITS or not set(self.address) <= set("0123456789ABCDEF"):
            raise FrameError(f"{self.address!r} is no address of {ADDRESS_DIGITS} digits")
        if len(self.data) > LONGEST_DATA:
            raise FrameError(f"{len(self.data)} octets of data, {LONGEST_DATA} at most")
        head = bytes((_START, *reversed(bytes.fromhex(self.address)), _START, self.control, len(self.data)))
        body = head + bytes((octet + _ADDED) & 0xFF for octet in self.data)
        return body + bytes((sum(body) & 0xFF, _END))


def read_question(address: str, identifier: str, follow_on: int | None = None) -> Frame:
    """Ask for a data identifier, or for one of the frames that follow its first one (1, 2, 3 …)."""
    data = identifier_octets(identifier)
    if follow_on is None:
        return Frame(address, READ, data)
    return Frame(address, READ_FOLLOW_ON, data + bytes((follow_on,)))


def address_question() -> Frame:
    """Ask the only meter on a line for its address."""
    return Frame(ANY_METER, READ_ADDRESS)


def identifier_octets(identifier: str) -> bytes:
    """DI3 DI2 DI1 DI0 as people write them → as they travel.

    >>> identifier_octets("02010100").hex()
    '00010102'
    """
    return bytes.fromhex(identifier)[::-1]


def identifier_in(data: bytes) -> str | None:
    """The data identifier that an answer repeats; ``None`` if it is too short to have one."""
    if len(data) < _IDENTIFIER_OCTETS:
        return None
    return data[_IDENTIFIER_OCTETS - 1 :: -1].hex().upper()


def decode(octets: bytes) -> Frame:
    """One whole frame without FE → frame.

    Raises:
        FrameError: they are not one whole and undamaged frame.
    """
    size = _size(octets, 0)
    if size != len(octets):
        raise FrameError("no frame, or not a whole one")
    if octets[-1] != _END or sum(octets[:-2]) & 0xFF != octets[-2]:
        raise FrameError("damaged")
    address = octets[_SECOND_START - 1 : 0 : -1].hex().upper()
    data = bytes((octet - _ADDED) & 0xFF for octet in octets[_DATA:-2])
    return Frame(address, octets[_SECOND_START + 1], data)


def next_frame(octets: bytearray) -> Frame | None:
    """Cut the first whole and undamaged frame off what has arrived, with all that stands before it."""
    at = octets.find(_START)
    while at >= 0:
        size = _size(octets, at)
        if size is not None and at + size <= len(octets):
            try:
                frame = decode(bytes(octets[at : at + size]))
            except FrameError:
                pass
            else:
                del octets[: at + size]
                return frame
        at = octets.find(_START, at + 1)
    return None


def _size(octets: bytes | bytearray, at: int) -> int | None:
    """How long the frame is that begins here; ``None`` if none does, or its head is not all there."""
    if len(octets) - at < _DATA or octets[at] != _START or octets[at + _SECOND_START] != _START:
        return None
    return FRAME_OCTETS + octets[at + _LENGTH]
