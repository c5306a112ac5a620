"""A meter behind an optical head: signs on at 300 Bd (IEC 62056-21 mode E), then passes HDLC on to a meter on TCP.

Like a real one it only understands what comes at the speed of the moment, seven bits with even parity at first.
"""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

OUTPUT_SPEED = 5  # position in what tcgetattr gives
REQUEST = b"/?!\r\n"


class OpticalHead:
    """The meter's end."""

    def __init__(self, near: int, port: int, identification: bytes, speed: int) -> None:
        self.requests: list[bytes] = []  # what was understood before HDLC
        self.wrong_speed = 0  # reads at a speed that was not that of the moment
        self._near = near
        self._port = port
        self._identification = identification
        self._speed = speed  # termios' constant
        self._heard = b""
        self._writer: asyncio.StreamWriter | None = None
        self._passing: asyncio.Task[None] | None = None
        asyncio.get_running_loop().add_reader(near, self._readable)

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._near)
        await self.begin_anew()

    async def begin_anew(self) -> None:
        """Wait for a sign-on again, as meters do that were asked nothing for two minutes."""
        if self._passing is not None:
            self._passing.cancel()
            with suppress(asyncio.CancelledError):
                await self._passing
            self._passing = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _readable(self) -> None:
        octets = os.read(self._near, 1024)
        speed = termios.tcgetattr(self._near)[OUTPUT_SPEED]
        if speed != (termios.B300 if self._passing is None else self._speed):
            self.wrong_speed += 1
        elif self._passing is None:
            self._sign_on(octets)
        elif self._writer is not None:
            self._writer.write(octets)

    def _sign_on(self, octets: bytes) -> None:
        if any(octet.bit_count() & 1 for octet in octets):
            return  # a parity error
        self._heard += bytes(octet & 0x7F for octet in octets)
        if not self._heard.endswith(b"\r\n"):
            return
        said, self._heard = self._heard, b""
        self.requests.append(said)
        if said == REQUEST and self._identification:
            self._say(self._identification + b"\r\n")
        elif said[:1] == b"\x06":
            self._say(said)
            self._passing = asyncio.create_task(self._pass_on())

    def _say(self, text: bytes) -> None:
        os.write(self._near, bytes(octet | (octet.bit_count() & 1) << 7 for octet in text))

    async def _pass_on(self) -> None:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        while octets := await reader.read(1024):
            os.write(self._near, octets)


@asynccontextmanager
async def optical_head(
    path: Path, port: int, identification: bytes = rb"/WTL5\2SIMULATED", speed: int = termios.B9600
) -> AsyncIterator[OpticalHead]:
    """A head at ``path`` before the meter that listens on ``port``."""
    near, far = os.openpty()
    tty.setraw(far)
    os.set_blocking(near, False)
    os.symlink(os.ttyname(far), path)  # noqa: PTH211 - as everything of ptys stands in os
    head = OpticalHead(near, port, identification, speed)
    try:
        yield head
    finally:
        await head.close()
        os.close(near)
        os.close(far)
