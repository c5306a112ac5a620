"""Opens a serial port of this gateway for us alone, or says why it cannot be opened.

The second wall around pymodbus: its asyncio transport over pyserial is used here, its exceptions never come out.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import termios
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, Protocol

from pymodbus.transport.serialtransport import SerialTransport

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.transport.stream import Stream

_PARITY: Final = {"none": "N", "even": "E", "odd": "O"}
_REASONS: Final = {
    errno.EACCES: Reason.NO_PERMISSION,
    errno.EPERM: Reason.NO_PERMISSION,
    errno.EBUSY: Reason.PORT_TAKEN,
    errno.EWOULDBLOCK: Reason.PORT_TAKEN,
}


class SerialSettings(Protocol):
    """How a port is opened; eight data bits always."""

    @property
    def device(self) -> Path:
        """Path of the port."""
        ...

    @property
    def baudrate(self) -> int:
        """Bits a second."""
        ...

    @property
    def parity(self) -> Literal["none", "even", "odd"]:
        """Of every character."""
        ...

    @property
    def stop_bits(self) -> Literal[1, 2]:
        """Of every character."""
        ...


class PortStream(Stream):
    """An open serial port as a stream."""

    def set_speed(self, baudrate: int) -> None:
        """Go on at another speed, once everything said so far has gone out.

        Raises:
            OSError: the port is gone or cannot do this speed.
        """
        if isinstance(self._transport, SerialPort) and self._transport.sync_serial:
            self._transport.sync_serial.baudrate = baudrate


async def open_port(settings: SerialSettings, baudrate: int | None = None) -> PortStream | ReadFailure:
    """The port, at the line's speed or another."""
    device = str(settings.device)
    stream = PortStream(lambda *_: ReadFailure(Reason.UNPLUGGED, device))
    speed = baudrate or settings.baudrate
    try:
        SerialPort(stream, device, speed, _PARITY[settings.parity], settings.stop_bits)
    except ValueError as error:
        return ReadFailure(Reason.PORT_SETTINGS, f"{device}: {error}")
    except OSError as error:
        number = getattr(error, "errno", None)
        if not isinstance(number, int):
            return ReadFailure(Reason.NO_PORT, f"{device}: {error}")
        return ReadFailure(_REASONS.get(number, Reason.NO_PORT), f"{device}: {os.strerror(number)}")
    await stream.made()
    return stream


class SerialPort(SerialTransport):
    """An open serial port that is ours alone.

    Two locks, because neither stops everybody: ``flock`` (by pyserial), which other Modbus programs look at, and
    TIOCEXCL, after which the kernel refuses every further ``open`` that does not come from root.
    """

    def __init__(self, protocol: asyncio.Protocol, device: str, baudrate: int, parity: str, stop_bits: int) -> None:
        """Open it; ``connection_made`` comes with the next turn of the loop.

        Args:
            protocol: what is told of octets and of the end.
            device: path of the port.
            baudrate: bits a second.
            parity: N, E or O.
            stop_bits: 1 or 2.

        Raises:
            OSError: it cannot be opened.
            ValueError: it cannot do this speed or this parity.
        """
        try:
            super().__init__(asyncio.get_running_loop(), protocol, device, baudrate, 8, parity, stop_bits, 0)
        except termios.error as error:  # which is no OSError
            raise ValueError(f"cannot be set to {baudrate} Bd, 8{parity}{stop_bits}: {error.args[-1]}") from error
        fcntl.ioctl(self.sync_serial.fileno(), termios.TIOCEXCL)
        self.setup()

    def close(self, exc: Exception | None = None) -> None:
        """Give it back."""
        if self.sync_serial:
            with suppress(OSError):  # the device may be gone
                fcntl.ioctl(self.sync_serial.fileno(), termios.TIOCNXCL)
        super().close(exc)
