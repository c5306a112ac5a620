"""The only file that knows the order of a commit.

    1  decode and sequence what arrived     duplicate → acknowledge again; hole → ask again;
                                            poison → quarantine, counted, acknowledged
    2  write the raw rows                   retried for ever; a line refused for ever → quarantine
    3  judge them                           events, determinants, new state; determinants and events are stored
    4  one transaction                      sequence marks, engine state, outbox, quarantine
    5  acknowledge, relay the outbox

A commit starts as soon as the one before is done: small and quick when it is quiet, large when it is busy. A crash
anywhere replays from the gateways: rows overwrite themselves, events keep their ids, and what is committed twice is
dropped by its sequence number. Nothing is acknowledged before step 4 has returned.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from collector.engine.checkpoint import Checkpoint, Outgoing, Refused
from collector.engine.engine import Engine, Outcome
from collector.engine.frame import Block, blocks_of
from collector.events.event import Event
from collector.feeds.announcements import Announcements
from collector.feeds.outbox import OutboxRelay
from collector.ingest.intake import Arrival, Intake
from collector.ingest.mqtt_source import MqttSource
from collector.ingest.sequence import Sequence as RoundSequence
from collector.ingest.sequence import Verdict
from collector.signals import Counters
from collector.store.store import Rejected, Store
from collector.store.table import Table
from metering.codec import Envelope, decode_body, epoch_text, read_envelope
from metering.control import Ack
from metering.errors import Alarm, BackOff, DecodeError
from metering.log import log
from metering.round import Gap, Round
from metering.topics import Topics

_MESSAGES_PER_COMMIT: Final = 2000
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 15.0
_ALARM_DELAY_S: Final = 10.0
_ASK_AGAIN_S: Final = 2.0

Result = TypeVar("Result")


class Stopping(Exception):  # noqa: N818 - not an error: the commit is given up, nothing of it was acknowledged
    """The collector was asked to stop while the store was away."""


@dataclass(slots=True)
class Admitted:
    """What step 1 let through, and whom to answer."""

    rounds: list[Round] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    advanced: dict[tuple[str, int], str] = field(default_factory=dict)  # gateway, epoch → shard
    repeat: dict[tuple[str, int], str] = field(default_factory=dict)  # duplicates: say it again
    missing: dict[tuple[str, int], str] = field(default_factory=dict)  # holes: ask again


class Pipeline:
    """Group commits, one after the other."""

    def __init__(
        self,
        *,
        intake: Intake,
        sequence: RoundSequence,
        engine: Engine,
        store: Store,
        checkpoint: Checkpoint,
        sources: Mapping[str, MqttSource],
        relay: OutboxRelay,
        topics: Topics,
        window: int,
        counters: Counters,
        announcements: Announcements | None = None,
    ) -> None:
        """Put the rooms together; nothing runs yet."""
        self._intake = intake
        self._sequence = sequence
        self._engine = engine
        self._store = store
        self._checkpoint = checkpoint
        self._sources = sources
        self._relay = relay
        self._topics = topics
        self._window = window
        self._counters = counters
        self._announcements = announcements
        self._stop = asyncio.Event()
        self._asked: dict[tuple[str, int], tuple[int, float]] = {}  # what was asked for again, and when
        # What may be acknowledged: marks as they were committed, never as they stand in the middle of a commit.
        self._committed = {(gateway, epoch): mark.seq for gateway, epoch, mark in sequence.epochs()}

    def stop(self) -> None:
        """Finish the commit under way and what waits, then return from ``run``."""
        self._stop.set()
        self._intake.wake()

    async def run(self) -> None:
        """Commit what arrives until ``stop``."""
        try:
            while arrivals := await self._intake.take(_MESSAGES_PER_COMMIT, self._stop.is_set):
                await self.commit(arrivals)
        except Stopping:
            log.warning("stopped while the store was away; the gateways will send the last rounds again")

    async def commit(self, arrivals: Sequence[Arrival]) -> None:
        """One group commit.

        Raises:
            Stopping: ``stop`` was called while the store was away; nothing was acknowledged.
        """
        admitted = self._admit(arrivals)
        engine = self._engine
        blocks = blocks_of(engine.fleet, admitted.rounds)
        self._warn_of_shared_names()
        rejected = await self._write([block.table(engine.fleet) for block in blocks], [])
        outcome = self._judge(blocks)
        if outcome.tables or outcome.events:
            rejected += await self._write(outcome.tables, outcome.events)
        refused = admitted.refused + [Refused("line", "store", one.reason, one.line.encode()) for one in rejected]
        announced = await self._announced(outcome)
        await self._keep(admitted, outcome.events, announced, refused)
        await self._answer(admitted)
        if outcome.events or announced:
            self._relay.wake()
        self._count(admitted, outcome, len(rejected))

    def acks(self) -> list[tuple[str, Ack]]:
        """The acknowledgement of every known gateway, for a connection that is new.

        Several epochs of one gateway share its topic; each is said, the last one stays.
        """
        return [(gateway, self._ack(gateway, epoch)) for gateway, epoch in self._committed]

    # --- step 1 ---------------------------------------------------------------------------------

    def _admit(self, arrivals: Sequence[Arrival]) -> Admitted:
        admitted = Admitted()
        for arrival in arrivals:
            try:
                envelope = read_envelope(arrival.payload)
            except DecodeError as error:  # nobody can be acknowledged: we do not know the number
                admitted.refused.append(Refused("message", arrival.gateway, str(error), arrival.payload))
                continue
            self._admit_one(arrival, envelope, admitted)
        return admitted

    def _admit_one(self, arrival: Arrival, envelope: Envelope, admitted: Admitted) -> None:
        gateway = arrival.gateway
        key = (gateway, envelope.epoch)
        mark = self._sequence.mark(*key)
        if mark is None:  # nothing below its oldest number will ever come
            self._committed[key] = envelope.oldest - 1
        elif envelope.seq <= mark.seq:  # known without a look at its body
            self._counters.duplicates += 1
            admitted.repeat[key] = arrival.shard
            return
        content: Round | Gap | None = None
        reason = ""
        try:
            decoded = decode_body(envelope, arrival.payload).content
            if decoded.gateway == gateway:
                content = decoded
            else:
                reason = f"the body says gateway {decoded.gateway}, the topic says {gateway}"
        except DecodeError as error:
            reason = str(error)
        if content is None and mark is not None and envelope.oldest - 1 > mark.seq:
            # Nothing about it can be believed: it may not move the mark over rounds that are still to come.
            admitted.refused.append(Refused("message", gateway, reason, arrival.payload))
            return
        verdict = self._sequence.judge(gateway, envelope, content if isinstance(content, Gap) else None)
        if verdict is Verdict.HOLE:
            self._counters.holes += 1
            if self._may_ask(key):
                admitted.missing[key] = arrival.shard
            return
        admitted.advanced[key] = arrival.shard
        if content is None:
            log.warning("poison quarantined", gateway=gateway, seq=envelope.seq, why=reason)
            admitted.refused.append(Refused("message", gateway, reason, arrival.payload))
        elif isinstance(content, Gap):
            self._lose(content)
        else:
            admitted.rounds.append(content)

    def _may_ask(self, key: tuple[str, int]) -> bool:
        """Ask for one number once, then wait: what was under way behind the hole arrives and asks again."""
        mark = self._sequence.mark(*key)
        seq, now = mark.seq if mark else 0, asyncio.get_running_loop().time()
        asked_seq, asked_at = self._asked.get(key, (-1, 0.0))
        if seq == asked_seq and now - asked_at < _ASK_AGAIN_S:
            return False
        self._asked[key] = (seq, now)
        return True

    def _lose(self, gap: Gap) -> None:
        self._counters.rounds_lost += gap.last - gap.first + 1
        self._counters.rows_lost += gap.rows
        log.error("rounds lost", gateway=gap.gateway, first=gap.first, last=gap.last, rows=gap.rows, why=gap.reason)

    def _warn_of_shared_names(self) -> None:
        shared = self._engine.fleet.shared
        while shared:
            log.error("several gateways report one meter: rename one of them", meter=shared.pop())

    # --- steps 2 to 5 ---------------------------------------------------------------------------

    async def _write(self, tables: Sequence[Table], events: Sequence[Event]) -> list[Rejected]:
        if not tables and not events:
            return []
        return await self._insist("store", lambda: self._store.write(tables, events))

    def _judge(self, blocks: Sequence[Block]) -> Outcome:
        """Judge the frames of all blocks wave by wave: each gateway's rounds in their order."""
        frames = sorted((pair for block in blocks for pair in block.frames()), key=lambda pair: pair[0])
        whole = Outcome()
        for _, frame in frames:
            outcome = self._engine.process(frame)
            whole.events += outcome.events
            whole.tables += outcome.tables
            for one in outcome.switched:
                log.error("check switched off", check=one.check, gateway=one.gateway, why=one.reason)
        return whole

    async def _announced(self, outcome: Outcome) -> list[Outgoing]:
        if self._announcements is None:
            return []
        return await asyncio.to_thread(self._announcements.outgoing, outcome.events, outcome.tables)

    async def _keep(
        self, admitted: Admitted, events: Sequence[Event], announced: Sequence[Outgoing], refused: Sequence[Refused]
    ) -> None:
        marks = [
            (gateway, epoch, mark)
            for gateway, epoch in admitted.advanced
            if (mark := self._sequence.mark(gateway, epoch)) is not None
        ]
        judged = dict.fromkeys(content.gateway for content in admitted.rounds)
        snapshots = {gateway: self._engine.snapshot(gateway) for gateway in judged}
        bodies = [(one.id, one.body()) for one in events]
        topics = [self._topics.event(one.kind, one.series.meter) for one in events]
        outgoing = [Outgoing(name, topic, body) for topic, (name, body) in zip(topics, bodies, strict=True)]
        outgoing += announced
        if marks or refused:
            await self._insist(
                "state", lambda: asyncio.to_thread(self._checkpoint.commit, marks, snapshots, outgoing, refused, bodies)
            )
        for gateway, epoch, mark in marks:
            self._committed[gateway, epoch] = mark.seq

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
        counters.poison += sum(one.kind == "message" for one in admitted.refused)
        counters.rejected_lines += rejected
        counters.events += len(outcome.events)
