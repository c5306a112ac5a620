"""The transactional outbox: events reach the broker at least once, in their order, each under its one id.

An event is put here by the same transaction that commits the state it follows from, and leaves when the broker has
taken it. A crash in between sends it again; consumers drop what they know by its id. The store has every event too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from collector.engine.checkpoint import Checkpoint
from metering.errors import BackOff
from metering.log import log

_AT_ONCE: Final = 100
_RETRY_S: Final = 2.0

Publish = Callable[[str, bytes], Awaitable[bool]]


class OutboxRelay:
    """Relays events whenever there are some and the broker is there."""

    def __init__(self, checkpoint: Checkpoint, publish: Publish) -> None:
        """Publish with ``publish``, which says whether the broker has taken it."""
        self._checkpoint = checkpoint
        self._publish = publish
        self._something = asyncio.Event()

    def wake(self) -> None:
        """Something was put into the outbox, or the broker is back."""
        self._something.set()

    async def run(self) -> None:
        """Relay for ever; cancel to stop."""
        while True:
            self._something.clear()
            try:
                while await self.relay_some():
                    pass
            except BackOff as error:
                log.warning("outbox waits", why=str(error))
            try:
                async with asyncio.timeout(_RETRY_S):
                    await self._something.wait()
            except TimeoutError:
                continue

    async def relay_some(self) -> bool:
        """Relay the oldest events; return whether there may be more.

        Raises:
            StoreBusy: what was relayed could not be noted; it will be relayed again.
        """
        pending = await asyncio.to_thread(self._checkpoint.pending, _AT_ONCE)
        taken = []
        for one in pending:
            if not await self._publish(one.topic, one.body.encode()):
                break
            taken.append(one.id)
        if taken:
            await asyncio.to_thread(self._checkpoint.relayed, taken)
        return len(taken) == _AT_ONCE
