"""Which messages are new, which were seen, and where one is missing.

Each gateway counts the messages of one spool file (its epoch): 1, 2, 3 … without holes; a gap message covers a run
of numbers that the gateway gave up. The mark of an epoch is the highest number up to which nothing is missing.

    covers mark + 1, …                  → ADMIT        the mark moves to its last number
    ends at or below the mark           → DUPLICATE    acknowledge again
    starts beyond mark + 1              → HOLE         ask for mark + 1; drop it, it will come again

A message also says which number is the oldest its spool still holds. Numbers below that can never come again: they
were acknowledged by a collector (perhaps by one whose memory is lost). An unknown epoch therefore starts there, and
a mark below it moves up; what is passed over is counted as skipped, never silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from metering.message import Envelope
from metering.round import Gap


class Verdict(Enum):
    """What to do with a message."""

    ADMIT = "admit"
    DUPLICATE = "duplicate"
    HOLE = "hole"


@dataclass(slots=True)
class Mark:
    """How far one epoch of one gateway has come."""

    seq: int
    rounds: int = 0  # admitted
    rounds_lost: int = 0  # declared lost by gap messages
    rows_lost: int = 0
    skipped: int = 0  # numbers passed over because the spool no longer holds them


class Sequence:
    """The marks of all gateways and epochs."""

    def __init__(self) -> None:
        """No mark yet."""
        self._marks: dict[tuple[str, int], Mark] = {}

    def restore(self, gateway: str, epoch: int, mark: Mark) -> None:
        """Take up a mark that was committed earlier."""
        self._marks[gateway, epoch] = mark

    def mark(self, gateway: str, epoch: int) -> Mark | None:
        """How far an epoch has come; ``None`` if nothing of it was ever seen."""
        return self._marks.get((gateway, epoch))

    def epochs(self) -> list[tuple[str, int, Mark]]:
        """All marks."""
        return [(gateway, epoch, mark) for (gateway, epoch), mark in self._marks.items()]

    def judge(self, gateway: str, envelope: Envelope, gap: Gap | None = None) -> Verdict:
        """Judge a round, or a gap that covers several numbers, and move the mark."""
        mark = self._marks.get((gateway, envelope.epoch))
        if mark is None:
            mark = self._marks[gateway, envelope.epoch] = Mark(envelope.oldest - 1)
        if mark.seq < envelope.oldest - 1:
            mark.skipped += envelope.oldest - 1 - mark.seq
            mark.seq = envelope.oldest - 1
        if envelope.seq <= mark.seq:
            return Verdict.DUPLICATE
        start = envelope.seq if gap is None else gap.first
        if start > mark.seq + 1:
            return Verdict.HOLE
        if gap is None:
            mark.rounds += 1
        else:  # a gap that has grown since it was first sent counts with what is new of it
            new = envelope.seq - mark.seq
            mark.rounds_lost += new
            mark.rows_lost += gap.rows * new // (gap.last - gap.first + 1)
        mark.seq = envelope.seq
        return Verdict.ADMIT
