"""What came late is judged again, gateway by gateway, in a moment when nothing else waits.

Readings and the entries of meters' logs are late by themselves: each has its own mark, and is judged without the other
(``collector/rejudging.py``). A gateway that is late for long is judged even while it is busy.

What differs is found by comparing with the store. So it is told before the store has it: whoever is killed in between
tells it twice, and not never.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from collector.days.days import Days
from collector.engine.checkpoint import Checkpoint
from collector.engine.engine import Engine
from collector.engine.newest import Newest
from collector.engine.progress import Progress
from collector.errors import CannotStart, StoreBusy
from collector.events.event import iso
from collector.keeping import Keeping, note_days, refused_lines
from collector.late import Late
from collector.past_states import PastStates
from collector.rejudging import Rejudging
from collector.retrying import Retrying
from collector.signals import Counters
from metering.log import log

_WAITS_COMMITS: Final = 100  # for a quiet moment
_LONGEST_S: Final = 600.0  # for more of it
_ATTEMPTS: Final = 3  # to ask the store
_POSTPONED_S: Final = 60.0
_FOREVER_MS: Final = 9_000_000_000_000
_TIMER_S: Final = 0.01  # a timer may ring a little early

Result = TypeVar("Result")


class JudgingAgain:
    """Knows who is late, and judges them when it is worth it."""

    def __init__(
        self,
        *,
        rejudging: Rejudging,
        engine: Engine,
        days: Days,
        newest: Newest,
        past: PastStates,
        checkpoint: Checkpoint,
        keeping: Keeping,
        retrying: Retrying,
        counters: Counters,
        wake: Callable[[], None],
        settles_s: float,
    ) -> None:
        """Take up who was late before.

        ``wake`` is called when somebody has become due: nothing late has come of it for ``settles_s``.
        """
        self._rejudging = rejudging
        self._engine = engine
        self._days = days
        self._newest = newest
        self._past = past
        self._keeping = keeping
        self._retrying = retrying
        self._counters = counters
        self._wake = wake
        self._readings = Late(checkpoint.late(), settles_s, _LONGEST_S)
        self._logs = Late(checkpoint.late_logs(), settles_s, _LONGEST_S)
        self._waited = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, progress: Progress) -> None:
        """A commit became durable: who is late by it."""
        now_s = asyncio.get_running_loop().time()
        self._readings.note(progress.late, now_s)
        self._logs.note(progress.late_logs, now_s)

    def due(self) -> bool:
        """Whether somebody is to be judged now."""
        return self._wait_s() == 0

    async def judge(self, *, busy: bool) -> None:
        """Judge whom it is time for; while it is ``busy`` only after having waited for long.

        Raises:
            Stopping: the collector was told to stop while the store was away.
        """
        wait_s = self._wait_s()
        self._waited = 0 if wait_s is None else self._waited + 1
        if wait_s == 0 and (not busy or self._waited >= _WAITS_COMMITS):
            self._waited = 0
            await self._judge_due()
        self._set_timer(self._wait_s())

    async def _judge_due(self) -> None:
        loop = asyncio.get_running_loop()
        for late, judge in ((self._logs, self._judge_log), (self._readings, self._judge_readings)):
            for gateway, since in late.due(loop.time()):
                try:
                    await judge(gateway, since)
                except StoreBusy as error:  # it takes rows perhaps, and must not be kept from them
                    log.error("the store does not answer: what came late waits", gateway=gateway, why=str(error))
                    late.postpone(gateway, loop.time() + _POSTPONED_S)
                    return
                late.done(gateway)

    def _set_timer(self, wait_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if wait_s:
            self._timer = asyncio.get_running_loop().call_later(wait_s + _TIMER_S, self._wake)

    def _wait_s(self) -> float | None:
        now_s = asyncio.get_running_loop().time()
        waits = [wait for late in (self._readings, self._logs) if (wait := late.wait_s(now_s)) is not None]
        return min(waits, default=None)

    async def _judge_log(self, gateway: str, since: int) -> None:
        found = await self._rejudged(lambda: self._rejudging.run_log(gateway, since))
        progress = Progress(
            snapshots={gateway: self._engine.snapshot(gateway)},
            open_days={gateway: self._days.snapshot(gateway)},
            late=found.days.missed,
        )
        await self._keeping.commit(progress, found.events)
        rejected = await self._keeping.write([], found.events, found.moved)
        done = Progress(logs_judged_again=[gateway], refused=refused_lines(rejected))
        await self._keeping.commit(done)
        self._counters.rejected_lines += len(rejected)
        self.note(progress)
        self._counters.logs_judged_again += 1
        log.info("late entries of logs judged", gateway=gateway, since=iso(since), events=len(found.events))

    async def _judge_readings(self, gateway: str, since: int) -> None:
        until = self._newest.of_gateway(gateway)
        oldest = self._past.oldest(gateway)
        if until is None:  # nothing of it was ever judged
            await self._keeping.commit(Progress(judged_again={gateway: _FOREVER_MS}))
            return
        if oldest is not None:
            since = max(since, oldest + 1)  # its state was given up while it waited
        found = await self._rejudged(lambda: self._rejudging.run(gateway, since, until))
        if found is None:  # it will not become readable: who waited for it must not hold up the others
            log.error("late readings cannot be judged; they are stored", gateway=gateway, since=iso(since))
            await self._keeping.commit(Progress(judged_again={gateway: _FOREVER_MS}))
            return
        tables = [*found.tables, *self._days.tables(found.days)]
        await self._keeping.commit(Progress(), found.events, tables)
        rejected = await self._keeping.write(tables, found.events, found.moved)
        progress = Progress(
            snapshots={gateway: self._engine.snapshot(gateway)},
            past=found.past,
            open_days={gateway: self._days.snapshot(gateway)},
            judged_again={gateway: found.since},
            refused=refused_lines(rejected),
        )
        note_days(found.days, progress)
        await self._keeping.commit(progress)
        self._counters.rejected_lines += len(rejected)
        self._past.changed(gateway)
        self._counters.judged_again += 1
        log.info("late readings judged", gateway=gateway, since=iso(since), events=len(found.events))

    async def _rejudged(self, judge: Callable[[], Result]) -> Result:
        async def attempt() -> Result:
            try:
                return await asyncio.to_thread(judge)
            except CannotStart as error:
                raise StoreBusy(str(error)) from error

        return await self._retrying.until_done("store", attempt, _ATTEMPTS)
