"""What arrived → what is new, what is refused, what is said again and what is asked for again.

A duplicate is known by its number, without a look at its body. A body that breaks a rule is refused and its number
taken, so that what stands behind it passes; but nothing about it may move a mark over numbers that were not seen. What
was lost is counted and said here, where it is heard of: rounds that a gateway gave up, entries that a meter overwrote.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from collector.engine.progress import Refused
from collector.ingest.intake import Arrival
from collector.ingest.sequence import Sequence, Verdict
from collector.signals import Counters
from metering.codec import decode_body, read_envelope
from metering.errors import DecodeError
from metering.log import log
from metering.message import Content, Envelope
from metering.meter_event import MeterEvents
from metering.round import Gap, Round

_ASK_AGAIN_S: Final = 2.0


@dataclass(slots=True)
class Admitted:
    """What is let through, and whom to answer."""

    rounds: list[Round] = field(default_factory=list)
    logs: list[MeterEvents] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    advanced: dict[tuple[str, int], str] = field(default_factory=dict)  # gateway, epoch → shard
    repeat: dict[tuple[str, int], str] = field(default_factory=dict)  # duplicates: say it again
    missing: dict[tuple[str, int], str] = field(default_factory=dict)  # holes: ask again
    begun: dict[tuple[str, int], int] = field(default_factory=dict)  # unknown epochs: below what nothing will come

    @property
    def gateways(self) -> list[str]:
        """Those that something new came from."""
        return list(dict.fromkeys([one.gateway for one in self.rounds] + [one.gateway for one in self.logs]))


class Admission:
    """The door of the pipeline."""

    def __init__(self, sequence: Sequence, counters: Counters) -> None:
        """Let through what ``sequence`` calls new."""
        self._sequence = sequence
        self._counters = counters
        self._asked: dict[tuple[str, int], tuple[int, float]] = {}  # what was asked for again, and when

    def admit(self, arrivals: Iterable[Arrival], now_s: float) -> Admitted:
        """Judge messages in the order in which they came; the marks move on."""
        admitted = Admitted()
        for arrival in arrivals:
            try:
                envelope = read_envelope(arrival.payload)
            except DecodeError as error:  # nobody can be acknowledged: we do not know the number
                admitted.refused.append(Refused("message", arrival.gateway, str(error), arrival.payload))
                continue
            self._admit_one(arrival, envelope, admitted, now_s)
        return admitted

    def _admit_one(self, arrival: Arrival, envelope: Envelope, admitted: Admitted, now_s: float) -> None:
        gateway = arrival.gateway
        key = (gateway, envelope.epoch)
        mark = self._sequence.mark(*key)
        if mark is None:  # nothing below its oldest number will ever come
            admitted.begun[key] = envelope.oldest - 1
        elif envelope.seq <= mark.seq:  # known without a look at its body
            self._counters.duplicates += 1
            admitted.repeat[key] = arrival.shard
            return
        content: Content | None = None
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
            if self._may_ask(key, now_s):
                admitted.missing[key] = arrival.shard
            return
        admitted.advanced[key] = arrival.shard
        if content is None:
            log.warning("poison quarantined", gateway=gateway, seq=envelope.seq, why=reason)
            admitted.refused.append(Refused("message", gateway, reason, arrival.payload))
        else:
            self._take(content, admitted)

    def _take(self, content: Content, admitted: Admitted) -> None:
        if isinstance(content, Gap):
            self._lose(content)
        elif isinstance(content, MeterEvents):
            self._miss(content)
            admitted.logs.append(content)
        else:
            admitted.rounds.append(content)

    def _may_ask(self, key: tuple[str, int], now_s: float) -> bool:
        """Ask for one number once, then wait: what was under way behind the hole arrives and asks again."""
        mark = self._sequence.mark(*key)
        seq = mark.seq if mark else 0
        asked_seq, asked_at = self._asked.get(key, (-1, 0.0))
        if seq == asked_seq and now_s - asked_at < _ASK_AGAIN_S:
            return False
        self._asked[key] = (seq, now_s)
        return True

    def _lose(self, gap: Gap) -> None:
        self._counters.rounds_lost += gap.last - gap.first + 1
        self._counters.rows_lost += gap.rows
        log.error("rounds lost", gateway=gap.gateway, first=gap.first, last=gap.last, rows=gap.rows, why=gap.reason)

    def _miss(self, content: MeterEvents) -> None:
        for meter, entries in content.missed.items():
            self._counters.entries_missed += entries
            if entries:
                log.warning(
                    "entries of a meter's log overwritten unread", gateway=content.gateway, meter=meter, entries=entries
                )
