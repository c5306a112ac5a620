"""Where messages wait for the next commit; bounded, because the network is not.

The bound on what waits is the windows of all gateways; a peer that ignores its window meets the bound on bytes:
what does not fit is dropped and counted. A gateway sends it again, because nobody acknowledged it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_WAITING_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it came from the broker."""

    shard: str
    gateway: str  # as the topic says
    payload: bytes


class Intake:
    """Messages that wait."""

    def __init__(self, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        """Nothing waits yet."""
        self._waiting: list[Arrival] = []
        self._bytes = 0
        self._max_bytes = max_waiting_bytes
        self._something = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, arrival: Arrival) -> bool:
        """Let a message wait; ``False`` if there is no room."""
        if self._bytes + len(arrival.payload) > self._max_bytes:
            self.dropped += 1
            return False
        self._waiting.append(arrival)
        self._bytes += len(arrival.payload)
        self._something.set()
        return True

    def wake(self) -> None:
        """Let ``take`` return although nothing waits."""
        self._something.set()

    async def take(self, most: int, until: Callable[[], bool]) -> list[Arrival]:
        """Return up to ``most`` messages as soon as one waits; none once ``until()`` holds and nothing waits."""
        while not self._waiting and not until():
            self._something.clear()
            await self._something.wait()
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        self._bytes -= sum(len(arrival.payload) for arrival in taken)
        return taken
