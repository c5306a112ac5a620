"""The wall around pymodbus: its framing, its PDUs and its serial transport. Its exceptions never come out.

Its client stays outside. It waits for the time-out when the connection breaks, takes an answer of any function, drops
a good frame behind noise or behind another unit's, and has no place to listen to what arrives unasked.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import termios
from contextlib import suppress
from typing import Final, NamedTuple, cast

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest
from pymodbus.transport.serialtransport import SerialTransport

READ_HOLDING: Final = 3
READ_INPUT: Final = 4
MBAP_OCTETS: Final = 7

_REQUESTS: Final = {READ_HOLDING: ReadHoldingRegistersRequest, READ_INPUT: ReadInputRegistersRequest}
_DECODER: Final = DecodePDU(False)
_RTU: Final = FramerRTU(_DECODER)
_MBAP: Final = FramerSocket(_DECODER)

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
    if not pdu:
        return None
    try:
        found = _DECODER.decode(pdu)
    except ModbusException:
        return None
    if isinstance(found, ExceptionResponse):
        return Answer(unit, found.function_code & 0x7F, [], found.exception_code, transaction)
    if found is None or found.function_code not in _REQUESTS or len(pdu) != pdu[1] + 2:
        return None
    return Answer(unit, found.function_code, cast("list[int]", found.registers), None, transaction)


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
            ValueError: it cannot do this speed.
        """
        super().__init__(asyncio.get_running_loop(), protocol, device, baudrate, 8, parity, stop_bits, 0)
        fcntl.ioctl(self.sync_serial.fileno(), termios.TIOCEXCL)
        self.setup()

    def close(self, exc: Exception | None = None) -> None:
        """Give it back."""
        if self.sync_serial:
            with suppress(OSError):  # the device may be gone
                fcntl.ioctl(self.sync_serial.fileno(), termios.TIOCNXCL)
        super().close(exc)
