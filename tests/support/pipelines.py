"""A pipeline with everything it needs, on files in a folder, without a broker."""

from __future__ import annotations

from pathlib import Path

from collector.config import ChecksSettings
from collector.days.closing import Closing
from collector.days.day import decode_day
from collector.days.days import Days
from collector.engine.checkpoint import Checkpoint
from collector.engine.newest import Newest
from collector.feeds.outbox import OutboxRelay
from collector.forecast.festival_days import decode_festival
from collector.ingest.intake import Intake
from collector.ingest.sequence import Sequence
from collector.pipeline import Pipeline
from collector.registry.registry import Registry
from collector.rejudging import Rejudging
from collector.signals import Counters
from collector.store.sqlite_queries import SqliteQueries
from collector.store.sqlite_store import SqliteStore
from collector.store.store import Queries, Store
from metering.topics import Topics
from tests.support.engines import engine


class PipelineRoom:
    """One collector's pipeline; a second one over the same folder takes up where it stopped."""

    def __init__(
        self,
        folder: Path,
        registry: Registry,
        store: Store | None = None,
        queries: Queries | None = None,
        late_settles_s: float = 0.0,
    ) -> None:
        self.checkpoint = Checkpoint(folder / "state.db")
        self.store = store or SqliteStore(folder / "readings.db")
        self.queries = queries or SqliteQueries(folder / "readings.db")
        self.counters = Counters()
        self.engine = engine(registry)
        self.newest = Newest(self.engine.fleet)
        self.days = Days(self.engine.fleet, Closing(registry, ChecksSettings().suspicion), "test")
        sequence = Sequence()
        for gateway, epoch, mark in self.checkpoint.marks():
            sequence.restore(gateway, epoch, mark)
        for gateway, snapshot in self.checkpoint.snapshots():
            self.engine.restore(gateway, snapshot)
        for gateway, snapshot in self.checkpoint.newest():
            self.newest.restore(gateway, snapshot)
        for site in registry.sites:
            self.days.restore_past(
                site, [decode_day(body) for one, body in self.checkpoint.closed_days() if one == site]
            )
            self.days.restore_festivals(
                site, [decode_festival(body) for one, body in self.checkpoint.festivals() if one == site]
            )
        for gateway, snapshot in self.checkpoint.open_days():
            self.days.restore(gateway, snapshot)
        self.intake = Intake()
        self.rejudging = Rejudging(self.engine, self.days, self.checkpoint, self.queries)
        self.pipeline = Pipeline(
            intake=self.intake,
            sequence=sequence,
            engine=self.engine,
            days=self.days,
            newest=self.newest,
            rejudging=self.rejudging,
            store=self.store,
            checkpoint=self.checkpoint,
            sources={},
            relay=OutboxRelay(self.checkpoint, _nobody),
            topics=Topics(),
            window=8,
            counters=self.counters,
            late_settles_s=late_settles_s,
        )

    async def judge_late(self) -> None:
        """What a quiet moment leads to."""
        await self.pipeline.again.judge(busy=len(self.intake) > 0)


async def _nobody(_topic: str, _body: bytes) -> bool:
    return False
