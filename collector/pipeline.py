"""The only file that knows the order of a commit.

    1  decode and sequence what arrived     duplicate → acknowledge again; hole → ask again;
                                            poison → quarantine, counted, acknowledged
    2  write the raw rows and log entries                   retried for ever; a line refused for ever → quarantine
    3  judge them, then the days they end   events, determinants, new state; determinants and events are stored
    4  one transaction                      sequence marks, state of engine and days, outbox, quarantine
    5  acknowledge, relay the outbox
    6  when it is quiet                     gateways with late readings or entries are judged again from the store

A commit starts as soon as the one before is done: small and quick when it is quiet, large when it is busy. A crash
anywhere replays from the gateways: rows overwrite themselves, events keep their ids, and what is committed twice is
dropped by its sequence number. Nothing is acknowledged before step 4 has returned.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np

from collector.days.day import encode_day
from collector.days.days import TOUCHES, Days, Judged
from collector.engine.checkpoint import Checkpoint, Outgoing, Progress, Refused
from collector.engine.engine import Engine, Outcome
from collector.engine.frame import Block, Frame, blocks_of
from collector.engine.newest import Newest
from collector.engine.rows import entries_of, entry_rows
from collector.errors import CannotStart, StoreBusy
from collector.events.event import Event, iso
from collector.feeds.announcements import Announcements
from collector.feeds.outbox import OutboxRelay
from collector.forecast.festival_days import encode_festival
from collector.ingest.admission import Admission, Admitted
from collector.ingest.intake import Arrival, Intake
from collector.ingest.mqtt_source import MqttSource
from collector.ingest.sequence import Sequence as RoundSequence
from collector.late import Late
from collector.rejudging import Rejudged, Rejudging
from collector.signals import Counters
from collector.store.store import Rejected, Store
from collector.store.table import LOAD_BLOCK, Table
from metering.codec import epoch_text
from metering.control import Ack
from metering.errors import Alarm, BackOff
from metering.log import log
from metering.meter_event import MeterEvents
from metering.topics import Topics

_MESSAGES_PER_COMMIT: Final = 2000
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 15.0
_ALARM_DELAY_S: Final = 10.0
_STATE_EVERY_MS: Final = 86_400_000
_LATE_WAITS_COMMITS: Final = 100  # for a quiet moment
_LATE_LONGEST_S: Final = 600.0  # for more of it
_TIMER_S: Final = 0.01  # a timer may ring a little early
_FOREVER_MS: Final = 9_000_000_000_000

Result = TypeVar("Result")


class Stopping(Exception):  # noqa: N818 - not an error: the commit is given up, nothing of it was acknowledged
    """The collector was asked to stop while the store was away."""


class Pipeline:
    """Group commits, one after the other."""

    def __init__(
        self,
        *,
        intake: Intake,
        sequence: RoundSequence,
        engine: Engine,
        days: Days,
        newest: Newest,
        rejudging: Rejudging,
        store: Store,
        checkpoint: Checkpoint,
        sources: Mapping[str, MqttSource],
        relay: OutboxRelay,
        topics: Topics,
        window: int,
        counters: Counters,
        changed_approvals: Callable[[], Sequence[str]] = list,
        announcements: Announcements | None = None,
        late_settles_s: float = 0.0,
    ) -> None:
        """Put the rooms together; nothing runs yet.

        ``changed_approvals`` names the meters whose temporary capacity has changed since it was asked last. What comes
        late is judged once nothing late has come for ``late_settles_s``.
        """
        self._intake = intake
        self._sequence = sequence
        self._admission = Admission(sequence, counters)
        self._engine = engine
        self._days = days
        self._newest = newest
        self._rejudging = rejudging
        self._late = Late(checkpoint.late(), late_settles_s, _LATE_LONGEST_S)
        self._late_logs = Late(checkpoint.late_logs(), late_settles_s, _LATE_LONGEST_S)
        self._late_waits = 0
        self._late_timer: asyncio.TimerHandle | None = None
        self._past: dict[str, int | None] = {}  # gateway → instant of the newest state that is kept
        self._store = store
        self._checkpoint = checkpoint
        self._sources = sources
        self._relay = relay
        self._topics = topics
        self._window = window
        self._counters = counters
        self._changed_approvals = changed_approvals
        self._announcements = announcements
        self._stop = asyncio.Event()
        # What may be acknowledged: marks as they were committed, never as they stand in the middle of a commit.
        self._committed = {(gateway, epoch): mark.seq for gateway, epoch, mark in sequence.epochs()}

    def stop(self) -> None:
        """Finish the commit under way and what waits, then return from ``run``."""
        self._stop.set()
        self._intake.wake()

    async def run(self) -> None:
        """Commit what arrives until ``stop``."""
        try:
            while True:
                arrivals = await self._intake.take(_MESSAGES_PER_COMMIT, self._has_other_work)
                if arrivals:
                    await self.commit(arrivals)
                elif self._stop.is_set():
                    return
                await self._judge_late()
        except Stopping:
            log.warning("stopped while the store was away; the gateways will send the last rounds again")

    async def commit(self, arrivals: Sequence[Arrival]) -> None:
        """One group commit.

        Raises:
            Stopping: ``stop`` was called while the store was away; nothing was acknowledged.
        """
        engine = self._engine
        for meter in self._changed_approvals():
            engine.fleet.approve(meter)
        admitted = self._admission.admit(arrivals, asyncio.get_running_loop().time())
        self._committed |= admitted.begun
        blocks = blocks_of(engine.fleet, admitted.rounds)
        self._warn_of_shared_names()
        rejected = await self._write([block.table(engine.fleet) for block in blocks], [])
        if admitted.logs:
            rejected += await self._insist("store", lambda: self._store.write_log(admitted.logs))
        progress = Progress(refused=admitted.refused)
        self._keep_past(admitted, progress)
        outcome = self._judge(blocks, admitted.logs, progress)
        if outcome.tables or outcome.events:
            rejected += await self._write(outcome.tables, outcome.events)
        progress.refused += [Refused("line", "store", one.reason, one.line.encode()) for one in rejected]
        await self._announce(outcome.events, outcome.tables, progress)
        await self._keep(admitted, progress)
        await self._answer(admitted)
        if progress.outgoing:
            self._relay.wake()
        self._count(admitted, outcome, len(rejected))

    def acks(self) -> list[tuple[str, Ack]]:
        """The acknowledgement of every known gateway, for a connection that is new.

        Several epochs of one gateway share its topic; each is said, the last one stays.
        """
        return [(gateway, self._ack(gateway, epoch)) for gateway, epoch in self._committed]

    def _warn_of_shared_names(self) -> None:
        shared = self._engine.fleet.shared
        while shared:
            log.error("several gateways report one meter: rename one of them", meter=shared.pop())

    # --- steps 2 to 5 ---------------------------------------------------------------------------

    async def _write(self, tables: Sequence[Table], events: Sequence[Event]) -> list[Rejected]:
        if not tables and not events:
            return []
        return await self._insist("store", lambda: self._store.write(tables, events))

    def _keep_past(self, admitted: Admitted, progress: Progress) -> None:
        """Once a day of readings, keep a gateway's state as it was: late readings are judged from there."""
        for gateway in dict.fromkeys(content.gateway for content in admitted.rounds):
            newest = self._newest.of_gateway(gateway)
            if newest is None:
                continue
            if gateway not in self._past:
                self._past[gateway] = self._checkpoint.last_past_state(gateway)
            last = self._past[gateway]
            if last is None or newest - last >= _STATE_EVERY_MS:
                progress.past.append((gateway, newest, self._engine.snapshot(gateway)))

    def _judge(self, blocks: Sequence[Block], logs: Sequence[MeterEvents], progress: Progress) -> Outcome:
        """Judge all blocks wave by wave, each gateway's rounds in their order; then the logs, and the days."""
        frames = sorted((pair for block in blocks for pair in block.frames()), key=lambda pair: pair[0])
        whole = Outcome()
        for block in blocks:
            if not block.waves:
                at = block.at.astype(np.float64)
                _note_late(progress.late, self._newest.oldest(block.slots, at))
                self._newest.take(block.slots, at)  # or what is newer than the last live reading is never judged
        for _, frame in frames:
            _note_late(progress.late, self._newest.take(frame.slots, frame.at))
            self._process(frame, whole)
        for frame in entry_rows(self._engine.fleet, entries_of(logs)).frames():
            self._process(frame, whole)
        progress.late_logs |= whole.late_entries
        if whole.tables or whole.events:
            self._judge_days(whole, progress)
        return whole

    def _process(self, frame: Frame, whole: Outcome) -> None:
        outcome = self._engine.process(frame)
        whole.events += outcome.events
        whole.tables += outcome.tables
        _note_late(whole.late_entries, outcome.late_entries)
        for one in outcome.switched:
            log.error("check switched off", check=one.check, gateway=one.gateway, why=one.reason)

    def _judge_days(self, whole: Outcome, progress: Progress) -> None:
        ended = {
            self._engine.fleet.series[slot].gateway
            for table in whole.tables
            if table.measurement == LOAD_BLOCK
            for slot in np.unique(table.rows).tolist()
        }
        ended |= {event.series.gateway for event in whole.events if event.kind in TOUCHES}
        judged = self._days.take(whole)
        _note_late(progress.late, judged.missed)
        whole.events += judged.events
        if judged.scores:
            whole.tables.append(self._days.scores_table(judged.scores))
        whole.tables += judged.forecasts
        progress.closed_days += _closed_days(judged)
        progress.festivals += _festivals(judged)
        progress.open_days |= {gateway: self._days.snapshot(gateway) for gateway in ended}

    async def _keep(self, admitted: Admitted, progress: Progress) -> None:
        progress.marks += [
            (gateway, epoch, mark)
            for gateway, epoch in admitted.advanced
            if (mark := self._sequence.mark(gateway, epoch)) is not None
        ]
        for gateway in admitted.gateways:
            progress.snapshots[gateway] = self._engine.snapshot(gateway)
            progress.newest[gateway] = self._newest.snapshot(gateway)
        if progress:
            await self._insist("state", lambda: asyncio.to_thread(self._checkpoint.commit, progress))
        for gateway, epoch, mark in progress.marks:
            self._committed[gateway, epoch] = mark.seq
        self._past |= {gateway: upto for gateway, upto, _ in progress.past}
        now_s = asyncio.get_running_loop().time()
        self._late.note(progress.late, now_s)
        self._late_logs.note(progress.late_logs, now_s)

    async def _announce(self, events: Sequence[Event], tables: Sequence[Table], progress: Progress) -> None:
        """Put what is new into the outbox, and the events into the hash chain."""
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

    # --- step 6 ---------------------------------------------------------------------------------

    def _has_other_work(self) -> bool:
        return self._stop.is_set() or self._late_wait_s() == 0

    def _late_wait_s(self) -> float | None:
        """How long until a gateway is to be judged again; ``None`` if none is late."""
        now_s = asyncio.get_running_loop().time()
        waits = [wait for late in (self._late, self._late_logs) if (wait := late.wait_s(now_s)) is not None]
        return min(waits, default=None)

    async def _judge_late(self) -> None:
        """Judge gateways with late readings or entries again once nothing waits, or has waited for long."""
        loop = asyncio.get_running_loop()
        wait_s = self._late_wait_s()
        if self._late_timer is not None:
            self._late_timer.cancel()
        if wait_s:
            self._late_timer = loop.call_later(wait_s + _TIMER_S, self._intake.wake)
        self._late_waits = 0 if wait_s is None else self._late_waits + 1
        if wait_s != 0 or (len(self._intake) and self._late_waits < _LATE_WAITS_COMMITS):
            return
        self._late_waits = 0
        for gateway, since in self._late_logs.due(loop.time()):
            await self._judge_log_again(gateway, since)
            self._late_logs.done(gateway)
        for gateway, since in self._late.due(loop.time()):
            until = self._newest.of_gateway(gateway)
            kept = self._checkpoint.past_state(gateway, since) or self._checkpoint.last_past_state(gateway) is None
            if until is None or not kept:
                log.error("readings came too late to be judged; they are stored", gateway=gateway, since=iso(since))
                await self._insist_on(Progress(judged_again={gateway: _FOREVER_MS}))
            else:
                await self._judge_again(gateway, since, until)
            self._late.done(gateway)

    async def _rejudged(self, judge: Callable[[], Rejudged]) -> Rejudged:
        async def attempt() -> Rejudged:
            try:
                return await asyncio.to_thread(judge)
            except CannotStart as error:
                raise StoreBusy(str(error)) from error

        return await self._insist("store", attempt)

    async def _judge_log_again(self, gateway: str, since: int) -> None:
        found = await self._rejudged(lambda: self._rejudging.run_log(gateway, since))
        await self._write([], found.events)
        progress = Progress(
            snapshots={gateway: self._engine.snapshot(gateway)},
            open_days={gateway: self._days.snapshot(gateway)},
            late=found.days.missed,
            logs_judged_again=[gateway],
        )
        await self._announce(found.events, [], progress)
        await self._insist_on(progress)
        self._late.note(progress.late, asyncio.get_running_loop().time())
        self._relay.wake()
        self._counters.logs_judged_again += 1
        log.info("late entries of logs judged", gateway=gateway, since=iso(since), events=len(found.events))

    async def _judge_again(self, gateway: str, since: int, until: int) -> None:
        found = await self._rejudged(lambda: self._rejudging.run(gateway, since, until))
        tables = list(found.tables)
        if found.days.scores:
            tables.append(self._days.scores_table(found.days.scores))
        tables += found.days.forecasts
        await self._write(tables, found.events)
        progress = Progress(
            snapshots={gateway: self._engine.snapshot(gateway)},
            past=found.past,
            open_days={gateway: self._days.snapshot(gateway)},
            closed_days=_closed_days(found.days),
            festivals=_festivals(found.days),
            judged_again={gateway: found.since},
        )
        await self._announce(found.events, tables, progress)
        await self._insist_on(progress)
        self._past.pop(gateway, None)
        self._relay.wake()
        self._counters.judged_again += 1
        log.info("late readings judged", gateway=gateway, since=iso(since), events=len(found.events))

    async def _insist_on(self, progress: Progress) -> None:
        await self._insist("state", lambda: asyncio.to_thread(self._checkpoint.commit, progress))

    async def _answer(self, admitted: Admitted) -> None:
        answers = admitted.repeat | admitted.missing | admitted.advanced
        for (gateway, epoch), shard in answers.items():
            source = self._sources.get(shard)
            if source is not None:
                resend = (gateway, epoch) in admitted.missing
                await source.acknowledge(gateway, self._ack(gateway, epoch, resend=resend))

    def _ack(self, gateway: str, epoch: int, *, resend: bool = False) -> Ack:
        return Ack(epoch_text(epoch), self._committed[gateway, epoch], self._window, resend)

    async def _insist(self, what: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Try for ever, with jitter; say once when it begins to fail and once when it is over."""
        delay_s, failing = _FIRST_DELAY_S, False
        while True:
            try:
                result = await attempt()
            except BackOff as error:
                wait_s = error.after_s or random.uniform(delay_s / 2, delay_s)  # noqa: S311 - jitter
                delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
                if not failing:
                    log.warning(f"{what} does not take our data; trying on", why=str(error))
            except Alarm as error:
                wait_s = _ALARM_DELAY_S
                log.error(f"{what} refuses us; nothing is lost, but a person has to act", why=str(error))
            else:
                if failing:
                    log.info(f"{what} takes our data again")
                return result
            failing = True
            self._counters.store_retries += 1
            await self._pause(wait_s)

    async def _pause(self, wait_s: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), wait_s)
        except TimeoutError:
            return
        raise Stopping

    def _count(self, admitted: Admitted, outcome: Outcome, rejected: int) -> None:
        counters = self._counters
        counters.commits += 1
        counters.rounds += len(admitted.rounds)
        counters.rows += sum(content.rows for content in admitted.rounds)
        counters.entries += sum(content.rows for content in admitted.logs)
        counters.poison += sum(one.kind == "message" for one in admitted.refused)
        counters.rejected_lines += rejected
        counters.events += len(outcome.events)


def _closed_days(judged: Judged) -> list[tuple[str, str, bytes]]:
    return [(site, one.day.isoformat(), encode_day(one)) for site, one in judged.closed]


def _festivals(judged: Judged) -> list[tuple[str, str, bytes]]:
    return [(site, one.day.isoformat(), encode_festival(one)) for site, one in judged.festivals]


def _note_late(late: dict[str, int], more: Mapping[str, int]) -> None:
    for gateway, since in more.items():
        late[gateway] = min(late.get(gateway, since), since)
