"""A meter that pushes: data-notifications in the TCP wrapper, sealed with the general tag or readable.

Written from IEC 62056-5-3 and independent of the edge agent, so that a mistake on one side shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from simulators.dlms.data import Data, length, structure, to_bytes
from simulators.dlms.seal import MeterKeys, sealed

_NOTIFICATION: Final = 0x0F
_GENERAL_GLOBAL: Final = 0xDB
_BOTH: Final = 0x30
_HEAD_OCTETS: Final = 8


@dataclass
class PushingMeter:
    """One meter; without keys it says everything in the clear."""

    title: bytes = b"SIM\0\0\0\0\x01"
    keys: MeterKeys | None = None
    counter: int = 0  # of the last sealed push
    number: int = 0  # of the last push
    control: int = _BOTH

    def notification(self, entries: Iterable[Data], date_time: bytes = b"") -> bytes:
        """A readable push of a list of values."""
        self.number += 1
        head = bytes([_NOTIFICATION]) + self.number.to_bytes(4, "big") + length(len(date_time)) + date_time
        return head + to_bytes(structure(*entries))

    def seal(self, plain: bytes) -> bytes:
        """The same, sealed with the next counter, if the meter has keys."""
        if self.keys is None:
            return plain
        self.counter += 1
        counter = self.counter.to_bytes(4, "big")
        body = sealed(self.control, self.keys.encryption, self.keys.authentication, self.title + counter, plain)
        body = bytes([self.control]) + counter + body
        return bytes([_GENERAL_GLOBAL]) + length(len(self.title)) + self.title + length(len(body)) + body

    def push(self, entries: Iterable[Data], date_time: bytes = b"") -> bytes:
        """One push as it goes into the wrapper."""
        return self.seal(self.notification(entries, date_time))


def wrapped(message: bytes, source: int = 1, destination: int = 103) -> bytes:
    """A message behind the head of the wrapper."""
    numbers = (1, source, destination, len(message))
    return b"".join(number.to_bytes(_HEAD_OCTETS // 4, "big") for number in numbers) + message


async def send(port: int, *octets: bytes, host: str = "127.0.0.1") -> bool:
    """Connect, say everything, hang up; whether the other side still held the line then."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for part in octets:
            writer.write(part)
            await writer.drain()
        writer.write_eof()
        with suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(1), 10) == b""
        return False
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
