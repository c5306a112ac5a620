"""Links that answer without a network: from registers written down, or from a simulated meter."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.modbus_driver import ModbusDriver, ModbusMeter
from edge_agent.drivers.modbus.pace import Pace
from edge_agent.drivers.modbus.profile import Profile
from edge_agent.drivers.modbus.read_plan import Span
from metering.clock import Clock, SystemClock
from simulators.meter_image import MeterImage
from simulators.physics import Reading as Physics

SERIAL = Pace.serial(9600, 10, turnaround_s=0.02)
NETWORK = Pace.network(0.02)


@dataclass
class Line:
    """Keeps what was asked, and what of it was refused."""

    pace: Pace = NETWORK
    connected: bool = True
    silent: bool = False
    asked: list[tuple[int, Span]] = field(default_factory=list)
    refused: list[tuple[int, Span]] = field(default_factory=list)

    async def connect(self) -> ReadFailure | None:
        self.connected = True
        return None

    def close(self) -> None:
        self.connected = False

    async def read(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        del unit
        self.asked.append((function, block))
        if self.silent:
            return ReadFailure(Reason.SILENT, "")
        answer = self.answer(function, block)
        if isinstance(answer, int):
            self.refused.append((function, block))
            return ReadFailure(Reason.EXCEPTION, f"exception {answer}", answer)
        return answer

    def answer(self, function: int, block: Span) -> list[int] | int:
        raise NotImplementedError


@dataclass
class RegisterLine(Line):
    """A meter that has these registers and refuses every block that touches another one."""

    registers: Mapping[int, int] = field(default_factory=dict)
    functions: tuple[int, ...] = (3, 4)
    code: int = 2

    def answer(self, function: int, block: Span) -> list[int] | int:
        wanted = range(block.address, block.end)
        if function not in self.functions or any(address not in self.registers for address in wanted):
            return self.code
        return [self.registers[address] for address in wanted]


@dataclass
class ImageLine(Line):
    """A simulated meter that measures ``physics``."""

    image: MeterImage | None = None
    physics: Physics | None = None

    def answer(self, function: int, block: Span) -> list[int] | int:
        assert self.image is not None
        assert self.physics is not None
        pdu = self.image.answer(struct.pack(">BHH", function, block.address, block.count), self.physics)
        if pdu[0] & 0x80:
            return pdu[1]
        return list(struct.unpack(f">{block.count}H", pdu[2:]))


def driver_on(line: Line, profile: Profile, clock: Clock | None = None) -> ModbusDriver:
    """A driver with one meter, ``m``."""
    return ModbusDriver(line, {"m": ModbusMeter(1, profile)}, clock or SystemClock())
