"""Where approvals arrive while the collector runs: read, kept in the state file, then in force from the next commit on.

A list is in force only after it is kept, and changes limits only between two group commits, never in the middle of
one: a crash at any point ends with the list in force or with the broker giving its retained message again.
"""

from __future__ import annotations

import asyncio
from typing import Final

from collector.engine.checkpoint import Checkpoint
from collector.registry.approvals import Approvals
from metering.errors import BackOff, DecodeError
from metering.log import log

_RETRY_S: Final = 2.0
_MOST_WAITING: Final = 100_000


class ApprovalDesk:
    """Takes lists of approvals, one after the other."""

    def __init__(self, approvals: Approvals, checkpoint: Checkpoint) -> None:
        """Keep in ``checkpoint`` what ``approvals`` takes."""
        self._approvals = approvals
        self._checkpoint = checkpoint
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_MOST_WAITING)
        self._changed: dict[str, None] = {}

    def offer(self, meter: str, payload: bytes) -> None:
        """Let a list wait; a retained message that finds no room comes again with the next connection."""
        try:
            self._waiting.put_nowait((meter, payload))
        except asyncio.QueueFull:
            log.warning("no room for approvals; they come again with the next connection", meter=meter)

    async def run(self) -> None:
        """Take lists for ever; cancel to stop."""
        while True:
            await self.take(*await self._waiting.get())

    async def take(self, meter: str, payload: bytes) -> bool:
        """Check, keep and take up one list; return whether it says anything new. A wrong one is refused with a log."""
        try:
            before = self._approvals.of(meter)
            changed = self._approvals.would_change(meter, payload)
        except DecodeError as error:
            log.warning("approvals refused", meter=meter, why=str(error))
            return False
        if not changed:
            return False
        while True:
            try:
                await asyncio.to_thread(self._checkpoint.keep_approvals, meter, payload)
                break
            except BackOff as error:
                log.warning("approvals wait", meter=meter, why=str(error))
                await asyncio.sleep(_RETRY_S)
        self._approvals.arrive(meter, payload)
        self._changed[meter] = None
        log.info("approvals taken", meter=meter, before=len(before), now=len(self._approvals.of(meter)))
        return True

    def changed(self) -> list[str]:
        """The meters whose approvals have changed since the last call."""
        found, self._changed = list(self._changed), {}
        return found
