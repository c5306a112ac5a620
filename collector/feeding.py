"""What the feeds need at start: what the store holds already, and the process that serves them over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from collector.config import Configuration
from collector.feeds.announcements import Announcements
from collector.feeds.http.child import keep_serving
from collector.feeds.http.sources import Sources
from collector.feeds.statement import Statements
from collector.feeds.verdicts import Verdicts
from collector.feeds.worklist import FAR_MS, Worklist
from collector.registry.approvals import Approvals
from metering.errors import StopAndFix
from metering.log import log
from metering.topics import Topics

_DAY_MS: Final = 86_400_000
_DAYS_BACK: Final = 4
_MONTHS_BACK: Final = 35
_RETRY_S: Final = 2.0


async def announcements_of(
    configuration: Configuration, approvals: Approvals, stop: asyncio.Event
) -> Announcements | None:
    """The feeds over MQTT, with what the store holds; waits for a store that is away. ``None`` if asked to stop."""
    failing = False
    while not stop.is_set():
        try:
            return await asyncio.to_thread(_announcements, configuration, approvals)
        except StopAndFix as error:
            if not failing:
                log.error("the store does not answer; trying on", why=str(error))
            failing = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _RETRY_S)
    return None


async def keep_feeds(configuration: Configuration) -> None:
    """Keep the feeds over HTTP running, if they are configured; cancel to end them."""
    if configuration.settings.http is not None:
        await keep_serving(("feeds", "--config", str(configuration.path)))


def worklist_of(configuration: Configuration) -> Worklist:
    """The inspection team's questions."""
    topics = Topics(configuration.settings.mqtt.prefix)
    return Worklist(configuration.queries(), configuration.registry, configuration.state, topics)


def sources_of(configuration: Configuration) -> Sources:
    """What the routes over HTTP read."""
    return Sources(
        queries=configuration.queries,
        registry=configuration.registry,
        tariffs=configuration.rules.tariffs,
        state=configuration.state,
        topics=Topics(configuration.settings.mqtt.prefix),
    )


def _announcements(configuration: Configuration, approvals: Approvals) -> Announcements:
    registry, queries = configuration.registry, configuration.queries()
    found = Announcements(
        Topics(configuration.settings.mqtt.prefix),
        Statements(registry, configuration.rules.tariffs),
        registry,
        approvals,
        Verdicts(configuration.state).all,
    )
    now = time.time_ns() // 1_000_000
    days = queries.energy(now - _DAYS_BACK * _DAY_MS, FAR_MS)
    months = queries.months(now - _MONTHS_BACK * _DAY_MS, FAR_MS)
    found.restore(queries.events(0, FAR_MS), days, months)
    return found
