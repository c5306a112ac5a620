"""One rate group: waits for its ticks, sends the buses on their errands, spools the rounds.

When the disk takes a round no longer, the round is lost and counted, and polling goes on: meters do not wait.
While the gateway is not sure of the time, its rows say so and are sent all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from edge_agent.drivers.driver import GOOD
from edge_agent.polling.agenda import Errand
from edge_agent.polling.bus import Bus
from edge_agent.polling.filing import Filing
from edge_agent.polling.gateway_clock import GatewayClock
from edge_agent.polling.gathering import Gathering, RoundName, Row
from edge_agent.polling.register_truth import RegisterTruth
from edge_agent.polling.schedule import Schedule, Tick, clock_is_set
from edge_agent.signals import Counters
from metering.clock import Clock
from metering.log import log
from metering.round import FAILED, Quality, Round

_LOOK_AGAIN_S = 1.0


class MeterMemories(Protocol):
    """Who wants to know what was read, and has something to remember with it."""

    def clock_doubts(self, row: Row) -> Quality:
        """What the meter's clock, as this row may tell it, says against the row."""
        ...

    def marks_due(self, now_ms: int) -> Mapping[str, str]:
        """What is to be written down with the next round."""
        ...

    def kept(self, content: Round) -> None:
        """A round of live rows has become durable."""
        ...


class Poller:
    """The loop of one rate group."""

    def __init__(
        self,
        name: RoundName,
        asks: Mapping[Bus, Sequence[tuple[str, frozenset[str]]]],
        filing: Filing,
        truth: RegisterTruth,
        clock: Clock,
        gateway_clock: GatewayClock,
        counters: Counters,
        memory: MeterMemories,
        priority: int = 0,
    ) -> None:
        self._name = name
        self._asks = asks
        self._meters = [meter for on_bus in asks.values() for meter, _ in on_bus]
        self._priority = priority
        self._schedule = Schedule.of(name.gateway, name.group, name.period_ms)
        self._truth = truth
        self._filing = filing
        self._clock = clock
        self._gateway_clock = gateway_clock
        self._counters = counters
        self._memory = memory
        self._doubted: dict[str, Quality] = {}
        self.failing: dict[str, bool] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until ``stop``; the round under way is spooled before this returns."""
        last: Tick | None = None
        tick = await self._next(None, stop)
        async with asyncio.TaskGroup() as late:
            while not await self._reached(tick.starts_at, stop):
                if self._clock.now_ms() < tick.starts_at:  # set back: nobody waits for the old time
                    tick = await self._next(last, stop)
                    continue
                self._counters.ticks_skipped += tick.skipped
                gathering, done = self._send_out(tick)
                await self._reached(tick.closes_at, stop, done)
                await self._keep(gathering)
                if not gathering.complete and not stop.is_set():
                    late.create_task(self._late_rows(gathering, done, stop))
                last, tick = tick, await self._next(tick, stop)

    async def _next(self, last: Tick | None, stop: asyncio.Event) -> Tick:
        await self._until_the_clock_is_set(stop)
        return self._schedule.next(self._clock.now_ms(), last)

    def _send_out(self, tick: Tick) -> tuple[Gathering, asyncio.Event]:
        gathering = Gathering(self._name, tick, self._meters)
        done = asyncio.Event()
        of_all = self._gateway_clock.look()

        def deliver(row: Row) -> None:
            self.failing[row.meter] = bool(row.quality & FAILED)
            doubts = self._doubts(row) | self._memory.clock_doubts(row) | of_all
            gathering.add(Row(row.meter, row.measured_at, row.quality | doubts, row.values) if doubts else row)
            if gathering.complete:
                done.set()

        for bus, asks in self._asks.items():
            for meter, quantities in asks:
                bus.submit(Errand(meter, quantities, tick.ends_at, deliver, bus.suspect(meter), self._priority))
        return gathering, done

    def _doubts(self, row: Row) -> Quality:
        doubts = self._truth.judge(row.meter, row.measured_at, row.values)
        if row.values and doubts != self._doubted.get(row.meter, GOOD):
            self._doubted[row.meter] = doubts
            if doubts:
                log.warning("register_doubted", meter=row.meter, why=str(doubts.name).lower())
            else:
                log.info("register_good_again", meter=row.meter)
        return doubts

    async def _late_rows(self, gathering: Gathering, done: asyncio.Event, stop: asyncio.Event) -> None:
        """Every errand ends in a row soon after ``ends_at``, so this does too."""
        while not done.is_set() and not stop.is_set():
            await self._reached(self._clock.now_ms() + self._name.period_ms, stop, done)
        await self._keep(gathering)

    async def _keep(self, gathering: Gathering) -> None:
        content = gathering.take()
        if content is None:
            return
        marks = {**self._memory.marks_due(self._clock.now_ms()), **self._gateway_clock.marks_due()}
        if await self._filing.file(content, marks):
            self._memory.kept(content)
            self._gateway_clock.kept(marks)
        else:
            self._counters.rows_lost += content.rows

    async def _until_the_clock_is_set(self, stop: asyncio.Event) -> None:
        if not clock_is_set(self._clock.now_ms()):
            log.error("clock_unset", why="readings without a time are worth nothing; waiting for the clock")
        while not clock_is_set(self._clock.now_ms()) and not stop.is_set():
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _reached(self, at_ms: int, stop: asyncio.Event, done: asyncio.Event | None = None) -> bool:
        """Wait for an instant, for ``done``, or until the clock is set back; ``True`` if ``stop`` came."""
        waits = [asyncio.ensure_future(self._clock.sleep_until(at_ms)), asyncio.ensure_future(stop.wait())]
        if done is not None:
            waits.append(asyncio.ensure_future(done.wait()))
        try:
            # Nothing is further away than that, whatever the clock was set to before the waits began.
            longest_s = 2 * self._name.period_ms / 1000
            await asyncio.wait(waits, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return stop.is_set()
