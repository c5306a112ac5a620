"""What the spool gives up when it is full, and what it need not keep any longer.

Room is made from the oldest end. Acknowledged items are kept only for a collector that lost its memory, so
they go first and silently. After them unacknowledged ones go, and a gap stands in their place: it says which
numbers are missing and how many rows they held, and it grows with what is given up next, so that a long
outage leaves one gap and not thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from metering.codec import decode, encode_packed
from metering.errors import DecodeError
from metering.message import Envelope
from metering.round import Origin, Round, unpack

EVICTED: Final = "evicted"
CORRUPT: Final = "corrupt"
LOSS_TAKEN: Final = "loss_taken"
"""The mark by which whoever fills the spool says which loss it has taken care of."""


@dataclass(frozen=True, slots=True)
class Held:
    """One item of the spool without its body."""

    first: int  # an item stands for the numbers first … seq
    seq: int
    rows: int
    gap: bool
    kept_at: int = 0  # ms since 1970 UTC


@dataclass(frozen=True, slots=True)
class Loss:
    """Rounds that the collector will never have, by the time they are of: ms since 1970 UTC, both included."""

    since: int
    until: int
    last: int  # the highest number among them
    logs: int = 0  # 1: entries of meters' logs may be among them

    def __str__(self) -> str:
        return f"{self.since} {self.until} {self.last} {self.logs}"

    @classmethod
    def of(cls, text: str) -> Loss | None:
        """What ``str`` wrote; ``None`` of an empty text.

        Raises:
            ValueError: something else.
        """
        return cls(*map(int, text.split(" ", 3))) if text else None

    @classmethod
    def by(cls, item: Held, body: bytes) -> Loss:
        """What is lost with one item: live rows are as old as the item, what was read back of a meter is older."""
        try:
            content = decode(encode_packed(Envelope(0, item.seq, 0), body)).content
        except DecodeError:
            content = None
        if not isinstance(content, Round) or content.origin is not Origin.BACKFILL:
            return cls(item.kept_at, item.kept_at, item.seq, int(not isinstance(content, Round)))
        times = unpack(content.measured_at, "q")
        return cls(min(times), max(times), item.seq)

    def joined(self, other: Loss | None) -> Loss:
        """Both in one: what lies between them is asked for along with them."""
        if other is None:
            return self
        since, until = min(self.since, other.since), max(self.until, other.until)
        return Loss(since, until, max(self.last, other.last), max(self.logs, other.logs))


@dataclass(frozen=True, slots=True)
class Eviction:
    """Items to take out of the spool, and the gap that takes their place, if any."""

    seqs: tuple[int, ...]
    gap: Held | None = None

    @property
    def lost_rows(self) -> int:
        """Rows the gap stands for."""
        return self.gap.rows if self.gap else 0


def evict(oldest: Sequence[Held], acknowledged: int, batch: int) -> Eviction | None:
    """Make room for one more batch of items.

    Args:
        oldest: the oldest items in order, at least ``batch`` + 1 of them if there are so many.
        acknowledged: everything up to this number has been acknowledged.
        batch: how many items to give up at once.

    Returns:
        ``None`` if nothing is left to give up: the spool is empty or holds one gap only.
    """
    done = [item.seq for item in oldest if item.seq <= acknowledged][:batch]
    if done:
        return Eviction(tuple(done))
    run: list[Held] = []
    fresh = 0
    for item in oldest:
        fresh += not item.gap
        if fresh > batch:
            break
        run.append(item)
    if not any(not item.gap for item in run):
        return None
    gap = Held(run[0].first, run[-1].seq, sum(item.rows for item in run), gap=True)
    return Eviction(tuple(item.seq for item in run), gap)
