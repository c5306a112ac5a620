"""The wall around pymodbus: its framing, its requests and its serial transport. Its exceptions never come out.

Its client stays outside. It waits for the time-out when the connection breaks, takes an answer of any function, drops
a good frame behind noise or behind another unit's, and has no place to listen to what arrives unasked.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import termios
from contextlib import suppress
from struct import unpack
from typing import Final, NamedTuple

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest
from pymodbus.transport.serialtransport import SerialTransport

READ_HOLDING: Final = 3
READ_INPUT: Final = 4
MBAP_OCTETS: Final = 7

_EXCEPTION_BIT: Final = 0x80
_EXCEPTION_OCTETS: Final = 2
_REQUESTS: Final = {READ_HOLDING: ReadHoldingRegistersRequest, READ_INPUT: ReadInputRegistersRequest}
_RTU: Final = FramerRTU(DecodePDU(False))
_MBAP: Final = FramerSocket(DecodePDU(False))

# What it says is said again by ReadFailure, once and in one language.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)


class Answer(NamedTuple):
    """One decoded frame: ``registers``, or the ``code`` of an exception."""

    unit: int
    function: int
    registers: list[int]
    code: int | None = None
    transaction: int = 0


def mbap_question(transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
    """A read request as Modbus TCP carries it."""
    return _MBAP.encode(_pdu(function, address, count), unit, transaction)


def rtu_question(unit: int, function: int, address: int, count: int) -> bytes:
    """A read request as a serial line carries it."""
    return _RTU.encode(_pdu(function, address, count), unit, 0)


def mbap_answer(frame: bytes) -> Answer | None:
    """Decode one whole frame with its header; ``None`` if it is no answer to a read."""
    _, unit, transaction, pdu = _MBAP.decode(frame)
    return _answer(unit, pdu, transaction)


def rtu_answer(frame: bytes) -> Answer | None:
    """Decode one whole frame; ``None`` if its CRC is wrong or it is no answer to a read."""
    _, unit, _, pdu = _RTU.decode(frame)
    return _answer(unit, pdu, 0)


def _pdu(function: int, address: int, count: int) -> bytes:
    return bytes((function,)) + _REQUESTS[function](address=address, count=count).encode()


def _answer(unit: int, pdu: bytes, transaction: int) -> Answer | None:
    """Taken apart here: pymodbus makes an object and a line for its log of every PDU, a fifth of what a read costs."""
    if len(pdu) == _EXCEPTION_OCTETS and pdu[0] & _EXCEPTION_BIT:
        return Answer(unit, pdu[0] & ~_EXCEPTION_BIT, [], pdu[1], transaction)
    if len(pdu) < _EXCEPTION_OCTETS or pdu[0] not in _REQUESTS or pdu[1] != len(pdu) - 2 or pdu[1] % 2:
        return None
    return Answer(unit, pdu[0], list(unpack(f">{pdu[1] // 2}H", pdu[2:])), None, transaction)


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
