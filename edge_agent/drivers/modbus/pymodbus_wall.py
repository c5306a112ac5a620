"""The wall around pymodbus: its framing and its requests. Its exceptions never come out.

Its client stays outside. It waits for the time-out when the connection breaks, takes an answer of any function, drops
a good frame behind noise or behind another unit's, and has no place to listen to what arrives unasked.
"""

from __future__ import annotations

import logging
from struct import unpack
from typing import Final, NamedTuple

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

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
