"""The wall around pymodbus: registers or a ``ReadFailure`` come out, exceptions never do.

pymodbus is kept from acting on its own: no retries (a repeated question leaves a second answer under way),
no reconnecting, and no closing of the connection after some silent meters, which would punish the others.
Every ``connect`` takes a fresh client, so nothing of a broken stream is left over.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final, Literal

from pydantic import Field
from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.pace import Pace
from edge_agent.drivers.modbus.read_plan import Span
from metering.settings import Duration, Identifier, Settings

_NEVER: Final = 10**9
_READ_HOLDING: Final = 3

# What it says is said again by ReadFailure, once and in one language.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)


class ModbusTcpSettings(Settings):
    """A Modbus TCP endpoint: one meter, or a serial server with a line of them behind it."""

    id: Identifier = Field(description="Name of the bus.")
    type: Literal["modbus_tcp"] = Field(description="What is spoken on the bus.")
    host: str = Field(min_length=1, description="Name or address of the endpoint.")
    port: int = Field(502, ge=1, le=65535, description="TCP port of the endpoint.")
    timeout: Duration = Field(1.0, ge=0.05, le=60, description="How long one answer may take.")
    turnaround: Duration = Field(
        0.02, ge=0.001, le=10, description="How long an answer usually takes; the plan is priced with it."
    )

    @property
    def speed(self) -> str:
        """What limits the bus, for people."""
        return f"{1 / self.turnaround:.0f} requests/s"


class ModbusTcpLink:
    """One TCP connection to one endpoint."""

    def __init__(self, settings: ModbusTcpSettings) -> None:
        self._settings = settings
        self._client: AsyncModbusTcpClient | None = None

    @property
    def pace(self) -> Pace:
        """What time an exchange takes."""
        return Pace.network(self._settings.turnaround)

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return self._client is not None and self._client.connected

    async def connect(self) -> ReadFailure | None:
        """Open the connection; on failure find out why."""
        self.close()
        client = AsyncModbusTcpClient(
            self._settings.host,
            port=self._settings.port,
            framer=FramerType.SOCKET,
            timeout=self._settings.timeout,
            retries=0,
            reconnect_delay=0,
        )
        client.set_max_no_responses(_NEVER)  # has no effect after connect()
        if await client.connect():
            self._client = client
            return None
        client.close()
        return await self._why_not()

    async def read(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        """Ask one unit for one block; exactly ``block.count`` registers, or why not."""
        if self._client is None:
            return ReadFailure(Reason.LINK_LOST, "not connected")
        try:
            answer = await self._ask(self._client, unit, function, block)
        except (ModbusException, OSError) as error:
            lost = isinstance(error, ConnectionException | OSError) or not self.connected
            return (
                ReadFailure(Reason.LINK_LOST, str(error)) if lost else ReadFailure(Reason.SILENT, _where(unit, block))
            )
        if isinstance(answer, ExceptionResponse):
            code = answer.exception_code
            return ReadFailure(Reason.EXCEPTION, f"exception {code} from {_where(unit, block)}", code)
        if answer.isError() or len(answer.registers) != block.count:
            return ReadFailure(Reason.GARBLED, f"{len(answer.registers)} registers from {_where(unit, block)}")
        return list(answer.registers)

    async def _ask(self, client: AsyncModbusTcpClient, unit: int, function: int, block: Span) -> ModbusPDU:
        if function == _READ_HOLDING:
            return await client.read_holding_registers(block.address, count=block.count, device_id=unit)
        return await client.read_input_registers(block.address, count=block.count, device_id=unit)

    def close(self) -> None:
        """Drop the connection and whatever was under way on it."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _why_not(self) -> ReadFailure:
        """pymodbus only says that it failed; try the plain socket to learn the reason."""
        host, port = self._settings.host, self._settings.port
        try:
            async with asyncio.timeout(self._settings.timeout):
                _, writer = await asyncio.open_connection(host, port)
        except socket.gaierror:
            return ReadFailure(Reason.UNKNOWN_HOST, host)
        except ConnectionRefusedError:
            return ReadFailure(Reason.REFUSED, f"{host}:{port}")
        except OSError:
            return ReadFailure(Reason.UNREACHABLE, f"{host}:{port}")
        writer.close()
        return ReadFailure(Reason.UNREACHABLE, f"{host}:{port} took the second call only")


def _where(unit: int, block: Span) -> str:
    return f"unit {unit}, registers {block.address:#06x}+{block.count}"
