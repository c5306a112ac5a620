"""A paced line that a program opens as a serial port.

    PtyLine      on a pseudo-terminal that a path names: needs no hardware
    DeviceLine   on a serial device that exists already, such as one end of a cable

A pseudo-terminal shows the speed that the master has set: at another one it hears and says garbage, as in life. Parity
it does not show; the kernel takes it away.
"""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from contextlib import suppress
from pathlib import Path
from typing import Final

from metering.clock import Clock
from simulators.faults import Delivery
from simulators.modbus_meter import LineEndpoint
from simulators.paced_line import LineSpeed, PacedLine, garbled

_INPUT_SPEED: Final = 4  # position in what tcgetattr gives
_OUTPUT_SPEED: Final = 5
_LONGEST_READ: Final = 1024


class _TerminalLine:
    """A line whose other end is a terminal."""

    def __init__(self, endpoint: LineEndpoint, clock: Clock, path: Path, speed: LineSpeed | None = None) -> None:
        """Nothing is there before ``start``; without ``speed`` it is 9600 Bd, 8N1."""
        self.endpoint = endpoint
        self.path = path
        self.requests_total = 0
        self._speed = speed or LineSpeed()
        self._clock = clock
        self._line = PacedLine(self, self._say, self._speed)
        self._fd = -1

    @property
    def place(self) -> str:
        """Where it is found."""
        return str(self.path)

    def answer(self, octets: bytes) -> Delivery:
        """Let the endpoint answer, now."""
        delivery = self.endpoint.heard(octets, self._clock.now_ms())
        self.requests_total += delivery is not None
        return delivery or Delivery()

    def echoes(self, octets: bytes) -> bool:
        """Whether the master's adapter hears itself."""
        return self.endpoint.wire.echoes(self.endpoint.addressed(octets), self._clock.now_ms())

    async def stop(self) -> None:
        """Unplug it."""
        self._line.stop()
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _attach(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        asyncio.get_running_loop().add_reader(fd, self._readable)

    def _at_our_speed(self) -> bool:
        speed: int = termios.tcgetattr(self._fd)[_OUTPUT_SPEED]
        return speed == _constant(self._speed)

    def _readable(self) -> None:
        try:
            octets = os.read(self._fd, _LONGEST_READ)
        except OSError:  # nothing there, or the other end went away
            octets = b""
        if octets:
            self._line.hear(octets if self._at_our_speed() else garbled(octets))

    def _say(self, octets: bytes) -> None:
        if self._fd < 0:  # unplugged while an answer was under way
            return
        with suppress(OSError):  # nobody reads: as on a line without a master
            os.write(self._fd, octets if self._at_our_speed() else garbled(octets))


class PtyLine(_TerminalLine):
    """A line on a pseudo-terminal; the simulator holds both ends, so that masters may come and go."""

    _far = -1

    async def start(self) -> None:
        """Plug it in: the path becomes a symbolic link to the terminal.

        Raises:
            OSError: the path is taken by something that is no link, or cannot be made.
        """
        near, self._far = os.openpty()
        tty.setraw(self._far)
        try:
            if self.path.is_symlink():
                self.path.unlink()
            self.path.symlink_to(os.ttyname(self._far))
        except OSError:
            os.close(near)
            os.close(self._far)
            self._far = -1
            raise
        self._attach(near)

    async def stop(self) -> None:
        """Unplug it."""
        await super().stop()
        if self._far >= 0:
            os.close(self._far)
            self._far = -1
            self.path.unlink(missing_ok=True)


class DeviceLine(_TerminalLine):
    """A line on a serial device that exists already."""

    async def start(self) -> None:
        """Open the device at the line's speed.

        Raises:
            OSError: it is not there or cannot be opened.
        """
        fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(fd)
        attributes = termios.tcgetattr(fd)
        attributes[_INPUT_SPEED] = attributes[_OUTPUT_SPEED] = _constant(self._speed)
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        self._attach(fd)


def _constant(speed: LineSpeed) -> int:
    """The number by which termios knows a speed."""
    number: int = getattr(termios, f"B{speed.baudrate}")
    return number
