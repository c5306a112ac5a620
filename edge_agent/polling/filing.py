"""Puts rounds into the spool, and with them what must be remembered if and only if the round is.

Meters do not wait for a disk: a round that it does not take is not kept, and who made it decides what that means. It is
said once, until the disk takes rounds again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from edge_agent.errors import DiskFull
from edge_agent.signals import Counters
from edge_agent.spool.retention import Loss
from edge_agent.spool.spool import Spool
from metering.clock import Clock
from metering.log import log
from metering.meter_event import MeterEvents
from metering.round import Round


class Filing:
    """The one way into the spool."""

    def __init__(self, spool: Spool, clock: Clock, counters: Counters, filed: Callable[[], None]) -> None:
        """``filed`` is called after each round."""
        self._spool = spool
        self._clock = clock
        self._counters = counters
        self._filed = filed
        self._disk_full = False

    def marks(self) -> dict[str, str]:
        """What was remembered last, by name."""
        return self._spool.marks()

    @property
    def loss(self) -> Loss | None:
        """Rounds that were kept and are gone; see ``Spool.loss``."""
        return self._spool.loss

    async def file(self, content: Round | MeterEvents, marks: Mapping[str, str]) -> bool:
        """Keep one round and its marks; false if the disk takes neither."""
        try:
            await asyncio.to_thread(self._spool.append, content, self._clock.now_ms(), marks)
        except DiskFull as error:
            if not self._disk_full:
                log.error("round_lost", why=str(error), rows=content.rows)
            self._disk_full = True
            return False
        self._disk_full = False
        self._counters.rounds_spooled += 1
        self._filed()
        return True
