"""What all Modbus links share: the settings of the bus, and a read of registers over one stream."""

from __future__ import annotations

from abc import abstractmethod

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.modbus.pace import Pace
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.transport.stream_link import Opening, StreamLink


class ModbusLink(StreamLink):
    """One Modbus bus."""

    def __init__(self, settings: ModbusBusSettings, opening: Opening) -> None:
        super().__init__(opening)
        self._settings = settings
        self._answered = False  # somebody, since the connection stands

    @property
    def pace(self) -> Pace:
        """What time an exchange takes."""
        return self._settings.pace

    def close(self) -> None:
        """Drop the connection and whatever was under way on it."""
        self._answered = False
        super().close()

    async def read(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        """Ask one unit for one block; exactly ``block.count`` registers, or why not.

        Some endpoints hang up after every answer: where one has answered before, it is asked again on a new connection.
        """
        outcome = await self._exchange(unit, function, block)
        if self._answered and isinstance(outcome, ReadFailure) and outcome.reason is Reason.LINK_LOST:
            if await self.connect() is not None:
                return outcome
            outcome = await self._exchange(unit, function, block)
        if not isinstance(outcome, ReadFailure) or outcome.reason is Reason.EXCEPTION:
            self._answered = True
        return outcome

    @abstractmethod
    async def _exchange(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        """One question and its answer."""


def where(unit: int, block: Span) -> str:
    """What was asked, for people."""
    return f"unit {unit}, registers {block.address:#06x}+{block.count}"
