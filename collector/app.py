"""Puts the rooms together and runs them until SIGTERM: what waits is committed, then everything is let go of."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from importlib.metadata import version

from collector.config import Configuration
from collector.days.day import ClosedDay, decode_day
from collector.days.days import Days
from collector.engine.checkpoint import Checkpoint
from collector.engine.engine import Engine
from collector.engine.newest import Newest
from collector.feeding import announcements_of, keep_feeds
from collector.feeds.outbox import OutboxRelay
from collector.forecast.festival_days import FestivalDay, decode_festival
from collector.ingest.approval_desk import ApprovalDesk
from collector.ingest.intake import Intake
from collector.ingest.mqtt_source import MqttSource
from collector.ingest.sequence import Sequence
from collector.pipeline import Pipeline
from collector.registry.approvals import Approvals
from collector.rejudging import Rejudging
from collector.signals import Counters
from collector.store.store import Store
from metering.control import Ack
from metering.ending import end
from metering.errors import Alarm, BackOff
from metering.log import log
from metering.topics import Topics

_PREPARE_RETRY_S = 2.0
_REPORT_S = 60.0
_GOODBYE_S = 2.0
_LATE_SETTLES_S = 30.0  # pieces of load profiles follow each other faster


async def serve(configuration: Configuration) -> None:
    """Run the collector until SIGTERM or SIGINT.

    Raises:
        StopAndFix: something it needs at start is missing or unusable.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    checkpoint = Checkpoint(configuration.state)
    try:
        store = configuration.store()
        try:
            if await _prepared(store, stop):
                await _run(configuration, checkpoint, store, stop)
        finally:
            await store.close()
    finally:
        checkpoint.close()


async def _run(configuration: Configuration, checkpoint: Checkpoint, store: Store, stop: asyncio.Event) -> None:
    settings, counters = configuration.settings, Counters()
    program = version("wattline")
    approvals = _approvals(configuration, checkpoint)
    announcements = await announcements_of(configuration, approvals, stop)
    if announcements is None:
        return
    engine = _engine(configuration, checkpoint, program, approvals)
    newest = Newest(engine.fleet)
    for gateway, snapshot in checkpoint.newest():
        newest.restore(gateway, snapshot)
    days = _days(configuration, checkpoint, engine)
    desk = ApprovalDesk(approvals, checkpoint)
    sequence = Sequence()
    for gateway, epoch, mark in checkpoint.marks():
        sequence.restore(gateway, epoch, mark)
    intake = Intake()
    pipeline: Pipeline | None = None

    def acks() -> list[tuple[str, Ack]]:
        return pipeline.acks() if pipeline else []

    sources = {
        shard: MqttSource(settings.mqtt, shard, intake, acks, program, desk.offer if i == 0 else None)
        for i, shard in enumerate(settings.shards)
    }
    first = next(iter(sources.values()))
    topics = Topics(settings.mqtt.prefix)

    async def publish(topic: str, body: bytes) -> bool:
        return await first.publish(topic, body, retain=topics.parse_approvals(topic) is not None)

    relay = OutboxRelay(checkpoint, publish)
    pipeline = Pipeline(
        intake=intake,
        sequence=sequence,
        engine=engine,
        days=days,
        newest=newest,
        rejudging=Rejudging(engine, days, checkpoint, configuration.queries()),
        store=store,
        checkpoint=checkpoint,
        sources=sources,
        relay=relay,
        topics=topics,
        window=settings.window,
        counters=counters,
        changed_approvals=desk.changed,
        announcements=announcements,
        late_settles_s=_LATE_SETTLES_S,
    )
    log.info("collector runs", shards=list(sources), state=str(configuration.state), configuration=configuration.digest)
    receiving = [asyncio.create_task(source.run(), name=f"source {name}") for name, source in sources.items()]
    relaying = asyncio.create_task(relay.run(), name="outbox")
    approving = asyncio.create_task(desk.run(), name="approvals")
    reporting = asyncio.create_task(_report(counters, intake), name="report")
    committing = asyncio.create_task(pipeline.run(), name="pipeline")
    feeding = asyncio.create_task(keep_feeds(configuration), name="feeds")
    asked_to_stop = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait(
            [asked_to_stop, committing, relaying, approving, *receiving], return_when=asyncio.FIRST_COMPLETED
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(source.say_goodbye() for source in sources.values())), _GOODBYE_S)
        pipeline.stop()
        await committing
        for task in (relaying, approving, *receiving):  # a task that ended by itself ended by a bug: let it be seen
            if task.done():
                task.result()
    finally:
        everything = (asked_to_stop, committing, relaying, approving, reporting, feeding, *receiving)
        await end(everything)
    log.info("collector stopped", **counters.as_dict())


def _approvals(configuration: Configuration, checkpoint: Checkpoint) -> Approvals:
    approvals = Approvals(configuration.registry, checkpoint.approvals())
    for one in approvals.unreadable:
        log.error("kept approvals are unreadable; they do not count", why=one)
    return approvals


def _engine(configuration: Configuration, checkpoint: Checkpoint, program: str, approvals: Approvals) -> Engine:
    fleet = configuration.rules.fleet(approvals)
    engine = Engine(fleet, configuration.rules.checks(), configuration.digest, program)
    for gateway, snapshot in checkpoint.snapshots():
        try:
            anew = engine.restore(gateway, snapshot)
        except ValueError as error:  # state is a cache: start anew rather than not at all
            log.error("engine state unreadable; its checks start anew", gateway=gateway, why=str(error))
            continue
        if anew:
            log.warning("checks start anew because their state has changed", gateway=gateway, checks=list(anew))
    return engine


def _days(configuration: Configuration, checkpoint: Checkpoint, engine: Engine) -> Days:
    days = Days(engine.fleet, configuration.rules.closing(), configuration.digest)
    try:
        past: dict[str, list[ClosedDay]] = {}
        for site, body in checkpoint.closed_days():
            past.setdefault(site, []).append(decode_day(body))
        for site, closed in past.items():
            if site in configuration.registry.sites:
                days.restore_past(site, closed)
        festivals: dict[str, list[FestivalDay]] = {}
        for site, body in checkpoint.festivals():
            festivals.setdefault(site, []).append(decode_festival(body))
        for site, seen in festivals.items():
            days.restore_festivals(site, seen)
        for gateway, snapshot in checkpoint.open_days():
            days.restore(gateway, snapshot)
    except ValueError as error:
        log.error("days of the past unreadable; what is usual is learnt anew", why=str(error))
        return Days(engine.fleet, configuration.rules.closing(), configuration.digest)
    return days


async def _prepared(store: Store, stop: asyncio.Event) -> bool:
    """Create what the store lacks; wait for a store that is away. ``False`` if asked to stop meanwhile."""
    failing = False
    while not stop.is_set():
        try:
            await store.prepare()
        except (BackOff, Alarm) as error:
            if not failing:
                log.error("the store is not ready; trying on", why=str(error))
            failing = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PREPARE_RETRY_S)
        else:
            return True
    return False


async def _report(counters: Counters, intake: Intake) -> None:
    before = counters.as_dict()
    while True:
        await asyncio.sleep(_REPORT_S)
        now = counters.as_dict()
        changed = {name: now[name] - before[name] for name in now if now[name] != before[name]}
        log.info("last minute", waiting=len(intake), dropped=intake.dropped, **changed)
        before = now
