"""Opens a serial port the way of an optical head: sign on at 300 Bd, then go over to the speed of HDLC.

The words are those of ``mode_e``. Seven bits with even parity are, on the line, eight bits without: the parity bit is
put on and taken off here, so that the port never changes its format. Some meters repeat the confirmation at the old
speed and some at the new one; whatever comes is passed over, because HDLC begins with a question of ours.
"""

from __future__ import annotations

import asyncio
from typing import Final

from edge_agent.drivers.dlms import mode_e
from edge_agent.drivers.dlms.bus_settings import DlmsHdlcSettings
from edge_agent.drivers.dlms.errors import DlmsError
from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.transport.serial_port import PortStream, open_port

_FIRST_BAUD: Final = 300
_BITS: Final = 10  # of a character on the line
_BEGINS_WITHIN_S: Final = 1.5  # IEC 62056-21, reaction time tr
_BETWEEN_S: Final = 1.5  # between two characters, ta
_SWITCH_S: Final = 0.3  # a meter needs 0.2 s at least; one that needs longer is asked again by HDLC
_SEVEN_BITS: Final = 0x7F


async def open_with_mode_e(bus: DlmsHdlcSettings) -> PortStream | ReadFailure:
    """The port, once the meter behind it speaks HDLC."""
    stream = await open_port(bus, _FIRST_BAUD)
    if isinstance(stream, ReadFailure):
        return stream
    try:
        sign_on = await _sign_on(stream, bus.baudrate)
        if sign_on is None:
            stream.close()
            return ReadFailure(Reason.SILENT, f"{bus.device}: nobody answers /?! at {_FIRST_BAUD} Bd")
        stream.send(even_parity(sign_on.confirmation))
        await asyncio.sleep(len(sign_on.confirmation) * _BITS / _FIRST_BAUD)
        stream.set_speed(sign_on.baudrate)
    except DlmsError as error:
        stream.close()
        return ReadFailure(Reason.GARBLED, f"{bus.device}: {error}")
    except OSError as error:
        stream.close()
        return ReadFailure(Reason.UNPLUGGED, f"{bus.device}: {error}")
    await asyncio.sleep(_SWITCH_S)
    stream.octets.clear()
    return stream


async def _sign_on(stream: PortStream, fastest_baud: int) -> mode_e.SignOn | None:
    """Who answers; nobody if there is silence."""
    words = mode_e.request()
    stream.send(even_parity(words))
    patience_s = len(words) * _BITS / _FIRST_BAUD + _BEGINS_WITHIN_S
    while True:
        heard = len(stream.octets)
        if not await stream.wait(heard + 1, asyncio.get_running_loop().time() + patience_s):
            return None
        found = mode_e.answer(bytes(octet & _SEVEN_BITS for octet in stream.octets), fastest_baud)
        if found is not None:
            return found
        patience_s = _BETWEEN_S


def even_parity(text: bytes) -> bytes:
    """Seven-bit characters with the bit on top that makes the number of ones even.

    >>> even_parity(b"/?!").hex()
    'af3f21'
    """
    return bytes(octet | (octet.bit_count() & 1) << 7 for octet in text)
