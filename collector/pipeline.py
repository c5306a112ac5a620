"""The only file that knows the order of a commit.

    1  decode and sequence what arrived     duplicate → acknowledge again; hole → ask again;
                                            poison → quarantine, counted, acknowledged
    2  write the raw rows and log entries                   retried for ever; a line refused for ever → quarantine
    3  judge them, then the days they end   events, determinants, new state; determinants and events are stored
    4  one transaction                      sequence marks, state of engine and days, outbox, quarantine
    5  acknowledge, relay the outbox
    6  when it is quiet                     what came late is judged again: ``JudgingAgain``

A commit starts as soon as the one before is done: small and quick when it is quiet, large when it is busy. A crash
anywhere replays from the gateways: rows overwrite themselves, events keep their ids, and what is committed twice is
dropped by its sequence number. Nothing is acknowledged before step 4 has returned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from collector.days.days import TOUCHES, Days
from collector.engine.checkpoint import Checkpoint
from collector.engine.engine import Engine, Outcome
from collector.engine.frame import Block, Frame, blocks_of, misdated
from collector.engine.newest import Newest
from collector.engine.progress import Progress, note_oldest
from collector.engine.rows import entries_of, entry_rows
from collector.events.event import iso
from collector.feeds.announcements import Announcements
from collector.feeds.outbox import OutboxRelay
from collector.ingest.admission import Admission, Admitted
from collector.ingest.intake import Arrival, Intake
from collector.ingest.mqtt_source import MqttSource
from collector.ingest.sequence import Mark
from collector.ingest.sequence import Sequence as RoundSequence
from collector.judging_again import JudgingAgain
from collector.keeping import Keeping, note_days, refused_lines
from collector.past_states import PastStates
from collector.rejudging import Rejudging
from collector.retrying import Retrying, Stopping
from collector.signals import Counters
from collector.store.store import Store
from collector.store.table import LOAD_BLOCK
from metering.control import Ack
from metering.log import log
from metering.message import epoch_text
from metering.meter_event import MeterEvents
from metering.topics import Topics

_MESSAGES_PER_COMMIT: Final = 2000


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
        self._past = PastStates(checkpoint)
        self._retrying = Retrying(counters)
        self._keeping = Keeping(store, checkpoint, relay, self._retrying, topics, announcements)
        self.again = JudgingAgain(
            rejudging=rejudging,
            engine=engine,
            days=days,
            newest=newest,
            past=self._past,
            checkpoint=checkpoint,
            keeping=self._keeping,
            retrying=self._retrying,
            counters=counters,
            wake=intake.wake,
            settles_s=late_settles_s,
        )
        self._sources = sources
        self._window = window
        self._counters = counters
        self._changed_approvals = changed_approvals
        # What may be acknowledged: marks as they were committed, never as they stand in the middle of a commit.
        self._committed = {(gateway, epoch): mark.seq for gateway, epoch, mark in sequence.epochs()}

    def stop(self) -> None:
        """Finish the commit under way and what waits, then return from ``run``."""
        self._retrying.stop()
        self._intake.wake()

    async def run(self) -> None:
        """Commit what arrives until ``stop``."""
        try:
            while True:
                arrivals = await self._intake.take(_MESSAGES_PER_COMMIT, self._has_other_work)
                if arrivals:
                    await self.commit(arrivals)
                elif self._retrying.stopped:
                    return
                await self.again.judge(busy=len(self._intake) > 0)
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
        rejected = await self._keeping.write([block.table(engine.fleet) for block in blocks])
        rejected += await self._keeping.write_log(admitted.logs)
        progress = Progress(refused=admitted.refused)
        self._keep_past(admitted, blocks, progress)
        outcome = self._judge(blocks, admitted.logs, progress)
        rejected += await self._keeping.write(outcome.tables, outcome.events)
        progress.refused += refused_lines(rejected)
        progress.marks = self._marks(admitted)
        for gateway in admitted.gateways:
            progress.snapshots[gateway] = engine.snapshot(gateway)
            progress.newest[gateway] = self._newest.snapshot(gateway)
        await self._keeping.commit(progress, outcome.events, outcome.tables)
        self._committed_now(progress)
        await self._answer(admitted)
        self._count(admitted, outcome, len(rejected))

    def acks(self) -> list[tuple[str, Ack]]:
        """The acknowledgement of every known gateway, for a connection that is new.

        Several epochs of one gateway share its topic; each is said, the last one stays.
        """
        return [(gateway, self._ack(gateway, epoch)) for gateway, epoch in self._committed]

    def _has_other_work(self) -> bool:
        return self._retrying.stopped or self.again.due()

    def _warn_of_shared_names(self) -> None:
        shared = self._engine.fleet.shared
        while shared:
            log.error("several gateways report one meter: rename one of them", meter=shared.pop())

    def _keep_past(self, admitted: Admitted, blocks: Sequence[Block], progress: Progress) -> None:
        for gateway in dict.fromkeys(content.gateway for content in admitted.rounds):
            newest = self._newest.of_gateway(gateway)
            if newest is None:  # nothing was judged yet: a state from which all of it can be
                newest = self._before_the_first(gateway, blocks)
            if newest is not None and self._past.due(gateway, newest):
                progress.past.append((gateway, newest, self._engine.snapshot(gateway)))

    def _before_the_first(self, gateway: str, blocks: Sequence[Block]) -> int | None:
        own = self._engine.fleet.of_gateway(gateway)
        judged = ((np.isin(one.slots, own) & ~misdated(one.quality, profiled=not one.waves), one.at) for one in blocks)
        return min((int(at[which].min()) - 1 for which, at in judged if which.any()), default=None)

    def _judge(self, blocks: Sequence[Block], logs: Sequence[MeterEvents], progress: Progress) -> Outcome:
        """Judge all blocks wave by wave, each gateway's rounds in their order; then the logs, and the days."""
        frames = sorted((pair for block in blocks for pair in block.frames()), key=lambda pair: pair[0])
        whole = Outcome()
        for block in blocks:
            if not block.waves:
                kept = ~misdated(block.quality, profiled=True)
                slots, at = block.slots[kept], block.at[kept].astype(np.float64)
                self._note_late(self._newest.by_gateway(slots, at), progress)
                self._newest.take(slots, at)  # or what is newer than the last live reading is never judged
        for _, frame in frames:
            self._note_late(self._newest.take(frame.slots, frame.at), progress)
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
        note_oldest(whole.late_entries, outcome.late_entries)
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
        note_oldest(progress.late, judged.missed)
        whole.events += judged.events
        whole.tables += self._days.tables(judged)
        note_days(judged, progress)
        progress.open_days |= {gateway: self._days.snapshot(gateway) for gateway in ended}

    def _note_late(self, late: Mapping[str, Sequence[int]], progress: Progress) -> None:
        """Note since when gateways have to be judged again; what is older than any state of theirs never can be."""
        for gateway, instants in late.items():
            judgeable = self._past.after_the_oldest(gateway, instants)
            if len(judgeable) < len(instants):
                self._counters.rows_too_late += len(instants) - len(judgeable)
                if self._past.first_too_late(gateway):
                    log.error(
                        "readings came too late to be judged; they are stored", gateway=gateway, at=iso(min(instants))
                    )
            if judgeable:
                note_oldest(progress.late, {gateway: min(judgeable)})

    def _marks(self, admitted: Admitted) -> list[tuple[str, int, Mark]]:
        marks = ((gateway, epoch, self._sequence.mark(gateway, epoch)) for gateway, epoch in admitted.advanced)
        return [(gateway, epoch, mark) for gateway, epoch, mark in marks if mark is not None]

    def _committed_now(self, progress: Progress) -> None:
        for gateway, epoch, mark in progress.marks:
            self._committed[gateway, epoch] = mark.seq
        for gateway in {gateway for gateway, _, _ in progress.past}:
            self._past.changed(gateway)
        self.again.note(progress)

    async def _answer(self, admitted: Admitted) -> None:
        answers = admitted.repeat | admitted.missing | admitted.advanced
        for (gateway, epoch), shard in answers.items():
            source = self._sources.get(shard)
            if source is not None:
                resend = (gateway, epoch) in admitted.missing
                await source.acknowledge(gateway, self._ack(gateway, epoch, resend=resend))

    def _ack(self, gateway: str, epoch: int, *, resend: bool = False) -> Ack:
        return Ack(epoch_text(epoch), self._committed[gateway, epoch], self._window, resend)

    def _count(self, admitted: Admitted, outcome: Outcome, rejected: int) -> None:
        counters = self._counters
        counters.commits += 1
        counters.rounds += len(admitted.rounds)
        counters.rows += sum(content.rows for content in admitted.rounds)
        counters.entries += sum(content.rows for content in admitted.logs)
        counters.poison += sum(one.kind == "message" for one in admitted.refused)
        counters.rejected_lines += rejected
        counters.events += len(outcome.events)
