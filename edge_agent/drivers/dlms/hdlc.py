"""HDLC frames of type 3 (IEC 62056-46): what stands between two flags, and how frames are found in a noisy stream.

    7E | format (2) | destination | source | control | header check (2) | information | frame check (2) | 7E

The format field says how long the frame is (11 bits, without the flags), so a flag octet inside the information is
data. The deframer goes by that length and believes a frame only with its closing flag and both check sums; otherwise
it goes on at the next flag. So a damaged frame costs itself and not its successor.
"""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

FLAG: Final = 0x7E
MAX_FRAME: Final = 2047  # octets between the flags: eleven bits

_FORMAT_3: Final = 0xA000
_SEGMENTED: Final = 0x0800
_SHORTEST: Final = 7  # format, two addresses of one octet, control, check
_CHECK: Final = 2
_LONGEST_ADDRESS: Final = 4
_REVERSED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


class Control(IntEnum):
    """Unnumbered and supervisory frames, with the poll/final bit set; see ``numbered`` for information frames."""

    RR = 0x11
    RNR = 0x15
    SNRM = 0x93
    DISC = 0x53
    UA = 0x73
    DM = 0x1F
    FRMR = 0x97
    UI = 0x13


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Address of a meter: logical device, and physical device on the line; one, two or four octets."""

    logical: int
    physical: int | None = None
    octets: int = 1

    def check(self) -> None:
        """Whether it can be written.

        Raises:
            ValueError: it does not fit its octets.
        """
        limit = 0x3FFF if self.octets == 4 else 0x7F  # noqa: PLR2004 - fourteen bits
        whole = self.octets == 1 if self.physical is None else self.octets in (2, 4)
        if not whole or not 0 <= self.logical <= limit or not 0 <= (self.physical or 0) <= limit:
            raise ValueError(f"HDLC address {self.logical}/{self.physical} does not fit {self.octets} octets")

    def encode(self) -> bytes:
        """Seven bits an octet; the lowest bit marks the last.

        Raises:
            ValueError: it does not fit its octets.

        >>> [a.encode().hex() for a in (ServerAddress(1), ServerAddress(1, 17, 2), ServerAddress(1, 300, 4))]
        ['03', '0223', '00020459']
        """
        self.check()
        if self.physical is None:
            return bytes((self.logical << 1 | 1,))
        if self.octets == 2:  # noqa: PLR2004
            return bytes((self.logical << 1, self.physical << 1 | 1))
        high, low = (((part >> 7) << 1, (part & 0x7F) << 1) for part in (self.logical, self.physical))
        return bytes((*high, low[0], low[1] | 1))


def client_address(client: int) -> bytes:
    """Address of a client: one octet, 16 for the public client."""
    if not 0 < client <= 0x7F:  # noqa: PLR2004 - seven bits
        raise ValueError(f"client address {client} must lie in 1…127")
    return bytes((client << 1 | 1,))


class Frame(NamedTuple):
    """One frame without its flags and check sums."""

    destination: bytes
    source: bytes
    control: int
    information: bytes = b""
    segmented: bool = False

    def encode(self) -> bytes:
        r"""The frame between its flags.

        >>> Frame(b"\x03", b"\x21", Control.SNRM).encode().hex()
        '7ea0070321930f017e'
        """
        header = self.destination + self.source + bytes((self.control,))
        length = 2 + len(header) + _CHECK + (len(self.information) + _CHECK if self.information else 0)
        if length > MAX_FRAME:
            raise ValueError(f"a frame of {length} octets")
        form = _FORMAT_3 | length | (_SEGMENTED if self.segmented else 0)
        octets = form.to_bytes(2, "big") + header
        octets += checksum(octets)
        if self.information:
            octets += self.information
            octets += checksum(octets)
        return bytes((FLAG,)) + octets + bytes((FLAG,))


def numbered(sent: int, received: int) -> int:
    """Control octet of an information frame that asks for an answer."""
    return received << 5 | 0x10 | sent << 1


def checksum(octets: bytes) -> bytes:
    """CRC-16/X-25, low octet first (RFC 1662, C.1); the reflected twin of what ``binascii`` computes.

    >>> checksum(b"123456789").hex()
    '6e90'
    """
    crc = crc_hqx(octets.translate(_REVERSED), 0xFFFF) ^ 0xFFFF
    return bytes((_REVERSED[crc >> 8], _REVERSED[crc & 0xFF]))


class Deframer:
    """Finds frames in what comes over the line. Holds less than one frame of octets between two calls."""

    def __init__(self) -> None:
        self.dropped = 0  # beginnings of frames that did not hold what they promised
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> list[Frame]:
        """Every good frame that is complete now."""
        self._buffer += octets
        frames: list[Frame] = []
        while (length := self._promised()) is not None and len(self._buffer) >= length + 2:
            frame = _parse(bytes(self._buffer[1 : length + 1])) if self._buffer[length + 1] == FLAG else None
            if frame is None:
                self._skip()
            else:
                frames.append(frame)
                del self._buffer[: length + 1]  # the closing flag may open the next frame
        return frames

    def give_up(self) -> list[Frame]:
        """Nothing more comes: an unfinished frame with a damaged length may hide good ones behind it."""
        frames: list[Frame] = []
        while self._promised() is not None:
            self._skip()
            frames += self.feed(b"")
        self._buffer.clear()
        return frames

    def _skip(self) -> None:
        self.dropped += 1
        del self._buffer[0]

    def _promised(self) -> int | None:
        """The length that the next frame promises; ``None`` while there is no beginning of a frame."""
        buffer = self._buffer
        while True:
            start = buffer.find(FLAG)
            del buffer[: start if start >= 0 else len(buffer)]
            if len(buffer) < 3:  # noqa: PLR2004 - flag and format
                return None
            form = buffer[1] << 8 | buffer[2]
            length = form & MAX_FRAME
            if form & 0xF000 == _FORMAT_3 and length >= _SHORTEST:
                return length
            if buffer[1] != FLAG:
                self.dropped += 1
            del buffer[0]


def _parse(octets: bytes) -> Frame | None:
    """What stands between the flags → the frame, if both check sums fit."""
    if checksum(octets[:-_CHECK]) != octets[-_CHECK:]:
        return None
    at = 2
    addresses = []
    for _ in range(2):
        end = next((n + 1 for n in range(at, min(at + _LONGEST_ADDRESS, len(octets))) if octets[n] & 1), None)
        if end is None:
            return None
        addresses.append(octets[at:end])
        at = end
    if at >= len(octets) - _CHECK:
        return None
    header_end = at + 1
    segmented = bool(octets[0] & _SEGMENTED >> 8)
    if header_end == len(octets) - _CHECK:
        return Frame(addresses[0], addresses[1], octets[at], b"", segmented)
    if checksum(octets[:header_end]) != octets[header_end : header_end + _CHECK]:
        return None
    return Frame(addresses[0], addresses[1], octets[at], octets[header_end + _CHECK : -_CHECK], segmented)
