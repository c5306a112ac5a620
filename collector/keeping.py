"""What a commit leaves behind: rows and events in the store, then state, messages and marks by one transaction.

Both are offered until they are taken. Whatever is to be told leaves with the commit: its events join the hash chain
and the outbox, the feeds say what is new in them. All of that becomes durable together, or none of it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from collector.days.day import encode_day
from collector.days.days import Judged
from collector.engine.checkpoint import Checkpoint
from collector.engine.progress import Outgoing, Progress, Refused
from collector.events.event import Event
from collector.feeds.announcements import Announcements
from collector.feeds.outbox import OutboxRelay
from collector.forecast.festival_days import encode_festival
from collector.retrying import Retrying
from collector.store.store import Rejected, Store
from collector.store.table import Table
from metering.log import log
from metering.meter_event import MeterEvents
from metering.topics import Topics


class Keeping:
    """The store, the state file and the outbox of one collector."""

    def __init__(
        self,
        store: Store,
        checkpoint: Checkpoint,
        relay: OutboxRelay,
        retrying: Retrying,
        topics: Topics,
        announcements: Announcements | None = None,
    ) -> None:
        """Events are always told; days, months and cases only with ``announcements``."""
        self._store = store
        self._checkpoint = checkpoint
        self._relay = relay
        self._retrying = retrying
        self._topics = topics
        self._announcements = announcements

    async def write(
        self, tables: Sequence[Table], events: Sequence[Event] = (), moved: Sequence[Event] = ()
    ) -> list[Rejected]:
        """Store rows and events, those that have moved at no instant of before; return what is refused for ever.

        Raises:
            Stopping: the collector was told to stop while the store was away.
        """
        if not tables and not events:
            return []
        return await self._retrying.until_done("store", lambda: self._store.write(tables, events, moved))

    async def write_log(self, logs: Sequence[MeterEvents]) -> list[Rejected]:
        """Store entries of meters' logs; return what is refused for ever.

        Raises:
            Stopping: the collector was told to stop while the store was away.
        """
        if not logs:
            return []
        return await self._retrying.until_done("store", lambda: self._store.write_log(logs))

    async def commit(self, progress: Progress, events: Sequence[Event] = (), tables: Sequence[Table] = ()) -> None:
        """Keep what was stored before, and what there is to tell of these events and tables.

        Raises:
            Stopping: the collector was told to stop while the state file did not take it.
        """
        await self._tell(events, tables, progress)
        if progress:
            await self._retrying.until_done("state", lambda: asyncio.to_thread(self._checkpoint.commit, progress))
        if progress.outgoing:
            self._relay.wake()

    async def _tell(self, events: Sequence[Event], tables: Sequence[Table], progress: Progress) -> None:
        progress.chained += [(one.id, one.body()) for one in events]
        progress.outgoing += [
            Outgoing(one.id, self._topics.event(one.kind, one.series.meter), one.body()) for one in events
        ]
        if self._announcements is None:
            return
        try:
            progress.outgoing += await asyncio.to_thread(self._announcements.outgoing, events, tables)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in telling, it must not stop storing
            log.error("the feeds were not told of a commit", why=f"{type(error).__name__}: {error}")


def refused_lines(rejected: Sequence[Rejected]) -> list[Refused]:
    """Lines that the store refuses for ever, for the quarantine."""
    return [Refused("line", "store", one.reason, one.line.encode()) for one in rejected]


def note_days(judged: Judged, progress: Progress) -> None:
    """Put the days that closed into a commit; say which did not."""
    for site, day, why in judged.failed:
        log.error("a day could not be judged", site=site, day=day.isoformat(), why=why)
    progress.closed_days += [(site, one.day.isoformat(), encode_day(one)) for site, one in judged.closed]
    progress.festivals += [(site, one.day.isoformat(), encode_festival(one)) for site, one in judged.festivals]
