"""An open connection: octets go out, and what comes in is kept until somebody takes it.

It knows when the last octet came, so that a link can tell how long its line has been silent, and why it was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from edge_agent.drivers.driver import ReadFailure

_MOST_KEPT: Final = 4096  # octets; no answer is longer than 260


class Stream(asyncio.Protocol):
    """One connection, whatever it runs over."""

    def __init__(self, why: Callable[[Stream, Exception | None], ReadFailure]) -> None:
        """``why`` says in our words why a connection was lost."""
        self.octets = bytearray()
        self.heard_s = 0.0  # loop time when the last octet came
        self.failure: ReadFailure | None = None  # why it was lost
        self.most_kept = _MOST_KEPT  # octets that may wait here; what speaks in longer messages wants more
        self._why = why
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._made = self._loop.create_future()

    @property
    def heard(self) -> bool:
        """Whether anything ever came."""
        return self.heard_s > 0

    @property
    def open(self) -> bool:
        """Whether octets can go out."""
        return self._transport is not None

    async def made(self) -> None:
        """Wait for the connection to stand."""
        await self._made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what the loop promises
        self._transport = transport
        if not self._made.done():
            self._made.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection broke, or we have closed it."""
        if self._transport is not None:
            self.failure = self._why(self, exc)
            self._transport = None
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Keep what arrives."""
        self.heard_s = self._loop.time()
        self.octets += data
        if len(self.octets) > self.most_kept:
            del self.octets[: -self.most_kept]
        if len(self.octets) >= self._wanted:
            self._wake()

    def send(self, data: bytes) -> None:
        """Let octets go out, if the connection stands."""
        if self._transport is not None:
            self._transport.write(data)

    async def wait(self, octets: int, until_s: float) -> bool:
        """Wait until so many octets are there; false if they are not by ``until_s`` or the connection broke."""
        if len(self.octets) >= octets:
            return True
        if self._transport is None:
            return False
        waiter = self._loop.create_future()
        self._wanted, self._waiter = octets, waiter
        timer = self._loop.call_at(until_s, _end, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            if self._waiter is waiter:  # a reader that was cancelled leaves after the next one has come
                self._waiter = None
        return len(self.octets) >= octets

    def _wake(self) -> None:
        if self._waiter is not None:
            _end(self._waiter)

    def close(self) -> None:
        """Let the connection go."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._wake()


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
