"""What the links of all drivers share: one connection that is opened, held and dropped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.transport.stream import Stream

Opening = Callable[[], Awaitable[Stream | ReadFailure]]


class StreamLink:
    """One bus over one stream; every ``connect`` takes a fresh one."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._stream: Stream | None = None

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
