"""Opens a serial port of this gateway for us alone, or says why it cannot be opened."""

from __future__ import annotations

import errno
import os
from typing import Final

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.bus_settings import ModbusRtuSettings
from edge_agent.drivers.modbus.pymodbus_wall import SerialPort
from edge_agent.drivers.modbus.stream import Stream

_PARITY: Final = {"none": "N", "even": "E", "odd": "O"}
_REASONS: Final = {
    errno.EACCES: Reason.NO_PERMISSION,
    errno.EPERM: Reason.NO_PERMISSION,
    errno.EBUSY: Reason.PORT_TAKEN,
    errno.EWOULDBLOCK: Reason.PORT_TAKEN,
}


async def open_port(settings: ModbusRtuSettings) -> Stream | ReadFailure:
    """The port, at the line's speed."""
    device = str(settings.device)
    stream = Stream(lambda _: ReadFailure(Reason.UNPLUGGED, device))
    try:
        SerialPort(stream, device, settings.baudrate, _PARITY[settings.parity], settings.stop_bits)
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        if not isinstance(number, int):
            return ReadFailure(Reason.NO_PORT, f"{device}: {error}")
        return ReadFailure(_REASONS.get(number, Reason.NO_PORT), f"{device}: {os.strerror(number)}")
    await stream.made()
    return stream
