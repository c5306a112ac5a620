"""What all Modbus links share: the settings of the bus, and a read of registers over one stream."""

from __future__ import annotations

from abc import abstractmethod

from edge_agent.drivers.driver import ReadFailure
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.modbus.pace import Pace
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.transport.stream_link import Opening, StreamLink


class ModbusLink(StreamLink):
    """One Modbus bus."""

    def __init__(self, settings: ModbusBusSettings, opening: Opening) -> None:
        super().__init__(opening)
        self._settings = settings

    @property
    def pace(self) -> Pace:
        """What time an exchange takes."""
        return self._settings.pace

    @abstractmethod
    async def read(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        """Ask one unit for one block; exactly ``block.count`` registers, or why not."""


def where(unit: int, block: Span) -> str:
    """What was asked, for people."""
    return f"unit {unit}, registers {block.address:#06x}+{block.count}"
