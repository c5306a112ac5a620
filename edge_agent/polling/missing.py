"""Which time of one meter is without a good row, and has still to be read back from the meter's own history.

    good row      good row                                  good row
    ---x-------------x                                          x----------
                     |- margin -|== read ==|---- wanted ----|-m-|
                     first                read_to               last

A hole longer than the tolerance becomes a stretch between the two good rows beside it; what was read back moves
``read_to`` on from the front. Rows of a history are stamped by the meter's clock, so near a good row one may stand on
the wrong side of it and look like a register that fell: a margin is kept on both sides, and the registers of the two
good rows bound what may stand between them. Good rows that are lost afterwards leave a stretch with unknown registers.

Every ``Missing`` is a value: each step gives a new one. ``str`` and ``Missing.of`` carry it over a restart. A clock
that is set back takes the stretches ahead of it along: they never were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec

MOST_STRETCHES: Final = 32
"""More are merged, the nearest two first: to ask a little twice does no harm, to remember without end does."""


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """A hole between two good rows; times in ms since 1970 UTC."""

    first: int  # of the good row before it
    last: int  # of the good row after it
    read_to: int = 0  # everything up to this instant has been asked for
    low: float | None = None  # import register of the row before, kWh
    high: float | None = None  # of the row after

    def wanted(self, margin_ms: int) -> tuple[int, int] | None:
        """The first and the last instant still to be asked for; ``None`` if none is left."""
        first, last = max(self.first + margin_ms, self.read_to + 1), self.last - margin_ms
        return (first, last) if first <= last else None

    def joined(self, other: Stretch) -> Stretch:
        """Both and what lies between them, to be asked for from the start; the registers are those at the ends."""
        before, after = min(self, other, key=lambda one: one.first), max(self, other, key=lambda one: one.last)
        return Stretch(before.first, after.last, low=before.low, high=after.high)

    def fits(self, import_kwh: float | None) -> bool:
        """Whether a register can have stood so between the two rows; a meter that was exchanged began anew."""
        if import_kwh is None:
            return True
        exchanged = self.low is not None and self.high is not None and self.high < self.low
        above = self.low is None or exchanged or import_kwh >= self.low
        return above and (self.high is None or import_kwh <= self.high)


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing of one meter."""

    seen_at: int | None = None  # the last good row, ms since 1970 UTC
    import_kwh: float | None = None  # its register
    stretches: tuple[Stretch, ...] = ()  # oldest first, never overlapping

    @classmethod
    def of(cls, text: str) -> Missing:
        """What ``str`` wrote; a meter never seen if it says nothing.

        >>> Missing.of(str(Missing(7, None, (Stretch(1, 5),)))).stretches, Missing.of("?").seen_at
        ((Stretch(first=1, last=5, read_to=0, low=None, high=None),), None)
        """
        try:
            return cls(*msgspec.json.decode(text, type=tuple[int | None, float | None, tuple[Stretch, ...]]))
        except msgspec.MsgspecError:
            return cls()

    def __str__(self) -> str:
        return msgspec.json.encode((self.seen_at, self.import_kwh, self.stretches)).decode()

    def seen(self, at: int, import_kwh: float | None, tolerance_ms: int) -> Missing:
        """A good row: the time since the one before is missing if it is longer than the tolerance."""
        if self.seen_at is None:
            return Missing(at, import_kwh)
        if at < self.seen_at - tolerance_ms:
            return Missing(at, import_kwh, _before(self.stretches, at))
        if at <= self.seen_at:
            return self
        stretches = self.stretches
        if at - self.seen_at > tolerance_ms:
            stretches = _merged((*stretches, Stretch(self.seen_at, at, low=self.import_kwh, high=import_kwh)))
        return Missing(at, import_kwh, stretches)

    def lost(self, first: int, last: int) -> Missing:
        """Rows of this time had been good and are gone: it is missing after all, also what was read back of it."""
        last = last if self.seen_at is None else min(last, self.seen_at)
        if self.seen_at is None or first >= last:
            return self
        beside = [one for one in self.stretches if one.last <= first or one.first >= last]
        whole = Stretch(first, last)
        for one in self.stretches:
            if one not in beside:
                whole = whole.joined(one)
        return replace(self, stretches=_merged(tuple(sorted((*beside, whole), key=lambda one: one.first))))

    def read_back(self, last: int) -> Missing:
        """Everything of the oldest stretch up to an instant has been asked for, and what came is kept."""
        if not self.stretches:
            return self
        oldest = msgspec.structs.replace(self.stretches[0], read_to=max(last, self.stretches[0].read_to))
        rest = self.stretches[1:]
        return replace(self, stretches=rest if oldest.read_to >= oldest.last else (oldest, *rest))

    def span(self) -> tuple[int, int] | None:
        """From the first to the last instant that is missing; ``None`` if nothing is."""
        return (self.stretches[0].first, self.stretches[-1].last) if self.stretches else None

    def since(self, oldest: int) -> Missing:
        """Without what is older: no meter remembers it, or nobody wants it any more."""
        kept = tuple(
            one if one.first >= oldest else msgspec.structs.replace(one, read_to=max(one.read_to, oldest - 1))
            for one in self.stretches
            if one.last > oldest
        )
        return self if kept == self.stretches else replace(self, stretches=kept)


def _before(stretches: tuple[Stretch, ...], at: int) -> tuple[Stretch, ...]:
    """What lies before an instant, the last cut there."""
    return tuple(
        one if one.last <= at else msgspec.structs.replace(one, last=at, high=None)
        for one in stretches
        if one.first < at
    )


def _merged(stretches: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    while len(stretches) > MOST_STRETCHES:
        near = min(range(len(stretches) - 1), key=lambda n: stretches[n + 1].first - stretches[n].last)
        before, after = stretches[near : near + 2]
        one = msgspec.structs.replace(before, last=after.last, high=after.high)
        stretches = (*stretches[:near], one, *stretches[near + 2 :])
    return stretches
