"""What all links share: one connection that is opened, held and dropped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.modbus.pace import Pace
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.transport.stream import Stream

Opening = Callable[[], Awaitable[Stream | ReadFailure]]


class StreamLink(ABC):
    """One bus over one stream; every ``connect`` takes a fresh one."""

    def __init__(self, settings: ModbusBusSettings, opening: Opening) -> None:
        self._settings = settings
        self._opening = opening
        self._stream: Stream | None = None

    @property
    def pace(self) -> Pace:
        """What time an exchange takes."""
        return self._settings.pace

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return self._stream is not None and self._stream.open

    async def connect(self) -> ReadFailure | None:
        """Open the connection, or say why that is impossible."""
        self.close()
        opened = await self._opening()
        if isinstance(opened, ReadFailure):
            return opened
        self._stream = opened
        return None

    @abstractmethod
    async def read(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        """Ask one unit for one block; exactly ``block.count`` registers, or why not."""

    def close(self) -> None:
        """Drop the connection and whatever was under way on it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _no_answer(self, stream: Stream, where: str, *, noise: bool) -> ReadFailure:
        """Why nothing came that could be used."""
        if not stream.open:
            return stream.failure or ReadFailure(Reason.LINK_LOST, "closed under the request")
        return ReadFailure(Reason.NOISE if noise else Reason.SILENT, where)


def where(unit: int, block: Span) -> str:
    """What was asked, for people."""
    return f"unit {unit}, registers {block.address:#06x}+{block.count}"
