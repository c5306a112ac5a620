"""What a DL/T 645 meter remembers: registers frozen at past instants, and records of events.

Both are numbered from the newest back, 1 is the newest, so every new one moves all numbers on. What was read while they
moved would be another instant's: a freeze counts only if its instant is the same before and after its registers were
read, records only if their count is.

A freeze that is wanted by time is looked for where it must stand if the meter has missed none since the newest; its own
instant says how far off that was. The mark of the event records is the count of each kind, as JSON, and of which kinds
the newest record had no end yet.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from edge_agent.drivers.dlt645.data import decode, taken_apart
from edge_agent.drivers.dlt645.event_records import MOST_RECORDS, RECORD_LISTS, RecordList, count_of
from edge_agent.drivers.dlt645.frame import ErrorWord
from edge_agent.drivers.dlt645.moment import to_the_minute
from edge_agent.drivers.dlt645.profile import Dlt645Profile
from edge_agent.drivers.driver import GOOD, ReadFailure, Reason
from edge_agent.drivers.memory import IntervalRow, Intervals, LoggedEvent, NewEvents
from metering.round import Quality

MOST_FREEZES: Final = {"timed": 12, "daily": 62}
"""How many freezes a meter keeps: table A.6 (05 00 xx 01 … 0C); daily ones (05 06) by the supplements."""

_PREFIX: Final = {"timed": "0500", "daily": "0506"}
_REGISTERS: Final = {"01": ("active_energy_import", "0001FF00"), "02": ("active_energy_export", "0002FF00")}
_TRIES: Final = 3
_NO_TIME: Final = 0  # instant of a freeze that shows none: empty, or with a digit that is none
_UNENDED: Final = "unended "
_SUMMER: Final = 1 / 8  # of a day: daylight saving moves a midnight by less

USUAL_INTERVAL_MS: Final = {"timed": 3_600_000, "daily": 86_400_000}
"""How far apart freezes stand: timed ones as the meter was told, this until its freezes have shown it."""

Ask = Callable[[str], Awaitable[bytes | ReadFailure]]


class Freeze(NamedTuple):
    """The registers of a meter as they stood at an instant, kept by the meter itself."""

    at: int  # ms since 1970 UTC, by the meter's clock
    values: dict[str, float | None]


class MeterMemory:
    """The memory of one meter."""

    def __init__(self, ask: Ask, profile: Dlt645Profile, energy_ratio: float) -> None:
        """``ask`` reads one identifier; ``energy_ratio`` brings registers to the primary side."""
        self._ask = ask
        self._profile = profile
        self._ratio = energy_ratio

    async def intervals(self, first_ms: int, last_ms: int) -> Intervals | ReadFailure:
        """The freezes between two instants, both with them."""
        kind = self._profile.freezes
        if kind is None:
            return ReadFailure(Reason.UNABLE, "its profile names no freezes")
        period_ms = USUAL_INTERVAL_MS[kind]
        if kind == "daily" and not self._midnight_between(first_ms, last_ms):
            return Intervals(period_ms, ())
        newest = await self._instant(_PREFIX[kind], "01")
        if isinstance(newest, ReadFailure):
            return newest
        if newest is None or newest < first_ms:
            return Intervals(period_ms, ())
        if kind == "timed":
            second = await self._instant(_PREFIX[kind], "02")
            if isinstance(second, ReadFailure):
                return second
            if second and second < newest:
                period_ms = min(newest - second, USUAL_INTERVAL_MS["daily"])
        shelf = _Shelf(_PREFIX[kind], MOST_FREEZES[kind], newest, period_ms, certain=kind == "daily")
        rows = await self._rows(shelf, first_ms, last_ms)
        return rows if isinstance(rows, ReadFailure) else Intervals(period_ms, tuple(rows))

    def _midnight_between(self, first_ms: int, last_ms: int) -> bool:
        zone = self._profile.zone
        last = datetime.fromtimestamp(last_ms / 1000, UTC).astimezone(zone)
        return last.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000 >= first_ms

    async def _rows(self, shelf: _Shelf, first_ms: int, last_ms: int) -> list[IntervalRow] | ReadFailure:
        """Back from the last wanted, one by one; where the meter made none for a while, it stands nearer by so many."""
        found: dict[int, IntervalRow] = {}
        back, looked = min(shelf.number_of(last_ms), shelf.most), False
        while back <= shelf.most and shelf.may_reach(back, first_ms):
            frozen = await self._freeze(shelf.prefix, f"{back:02X}", first_ms, last_ms)
            if isinstance(frozen, ReadFailure):
                return frozen
            if frozen is None or (frozen.at == _NO_TIME and not looked):
                if looked or back == 1:
                    break
                back //= 2  # it has fewer
                continue
            if frozen.at == _NO_TIME:
                back += 1  # those before it may be sound
                continue
            never_made = 0 if looked else round((shelf.instant_of(back) - frozen.at) / shelf.period_ms)
            looked = True
            if never_made > 0 and frozen.at <= last_ms:
                back = max(back - never_made, 1)
                continue
            if frozen.at < first_ms:
                break
            if frozen.values:
                quality = Quality.PARTIAL if None in frozen.values.values() else GOOD
                found[frozen.at] = IntervalRow(frozen.at, frozen.values, quality)
            back += 1
        return [found[at] for at in sorted(found)]

    async def _freeze(self, prefix: str, back: str, first_ms: int, last_ms: int) -> Freeze | ReadFailure | None:
        """One of them, without values if it is of another time; ``None`` if there is none."""
        before = await self._instant(prefix, back)
        if before is None or isinstance(before, ReadFailure):
            return before
        if not first_ms <= before <= last_ms:
            return Freeze(before, {})
        values = await self._registers(prefix, back)
        if isinstance(values, ReadFailure):
            return values
        after = await self._instant(prefix, back)
        if after == before:
            return Freeze(before, values)
        moved_on = ReadFailure(Reason.GARBLED, f"freeze {back} moved on while it was read")
        return after if isinstance(after, ReadFailure) else moved_on

    async def _registers(self, prefix: str, back: str) -> dict[str, float | None] | ReadFailure:
        values: dict[str, float | None] = {}
        for di1, (quantity, block) in _REGISTERS.items():
            data = await self._ask(f"{prefix}{di1}{back}")
            if isinstance(data, ReadFailure):
                if not _missing(data):
                    return data
                continue
            parts = taken_apart(block, data)
            if parts is None:
                return ReadFailure(Reason.GARBLED, f"{len(data)} octets behind {prefix}{di1}{back}")
            for tariff, (identifier, octets) in enumerate(parts.items()):
                number = decode(identifier, octets).number
                name = f"{quantity}_t{tariff}" if tariff else quantity
                values[name] = None if number is None else number * self._ratio
        return values

    async def _instant(self, prefix: str, back: str) -> int | ReadFailure | None:
        data = await self._ask(f"{prefix}00{back}")
        if isinstance(data, ReadFailure):
            return None if _missing(data) else data
        return to_the_minute(data, self._profile.zone) or _NO_TIME

    async def events(self, mark: str) -> NewEvents | ReadFailure:
        """What was logged since ``mark``; a kind that the meter does not keep, or counts in no number, is left out."""
        counts = _counts_of(mark)
        events: list[LoggedEvent] = []
        now: dict[str, int] = {}
        missed = 0
        for name in self._profile.events:
            found = await self._records(RECORD_LISTS[name], counts.get(name), unended=_UNENDED + name in counts)
            if isinstance(found, ReadFailure):
                if not _missing(found):
                    return found
                continue
            if found is None:
                now |= {key: counts[key] for key in (name, _UNENDED + name) if key in counts}
                continue
            now[name] = found.total
            now |= {_UNENDED + name: 1} if found.unended else {}
            events += found.events
            missed += found.missed
        return NewEvents(tuple(sorted(events, key=lambda one: one.at)), msgspec.json.encode(now).decode(), missed)

    async def _records(self, of: RecordList, before: int | None, *, unended: bool) -> _Records | ReadFailure | None:
        """What is new; a count that fell was cleared. A record that had no end when it was read may have one now."""
        count = await self._count(of)
        for _ in range(_TRIES):
            if count is None or isinstance(count, ReadFailure):
                return count
            since = before if before is not None and before <= count else 0
            new = min(count - since, MOST_RECORDS)
            known = int(unended and since == before and new < MOST_RECORDS)
            events: list[LoggedEvent] = []
            has_no_end = False
            missed = count - since - new
            for back in range(new + known, 0, -1):
                record = await self._ask(of.identifier(back))
                if isinstance(record, ReadFailure):
                    if not _missing(record):
                        return record
                    has_no_end = False  # it keeps fewer records than it counts
                    missed += back <= new
                    continue
                found = of.events(record, self._profile.zone)
                has_no_end = 0 < len(found) < len(of.marks)
                events += [one for one in found if back <= new or one.event is not of.marks[0][1]]
            after = await self._count(of) if new + known else count
            if after == count:
                return _Records(count, 0 if before is None else missed, events, has_no_end)
            count = after
        return ReadFailure(Reason.GARBLED, f"records {of.name} came faster than they can be read")

    async def _count(self, of: RecordList) -> int | ReadFailure | None:
        data = await self._ask(of.count_identifier)
        return data if isinstance(data, ReadFailure) else count_of(data)


class _Records(NamedTuple):
    """The records of one kind."""

    total: int  # there ever were
    missed: int  # overwritten unread, or not kept
    events: list[LoggedEvent]  # of the new ones
    unended: bool  # whether the newest has no end yet


class _Shelf(NamedTuple):
    """Freezes numbered from the newest back."""

    prefix: str
    most: int
    newest: int  # its instant, ms since 1970 UTC
    period_ms: int
    certain: bool  # or the meter was without power between its newest two, or was told another period

    def number_of(self, at_ms: int) -> int:
        """Where the last freeze at or before an instant must stand."""
        return max(math.ceil((self.newest - at_ms) / self.period_ms - _SUMMER), 0) + 1

    def may_reach(self, number: int, at_ms: int) -> bool:
        """Whether the freeze of a number, or one after it, can be as late as an instant."""
        return not self.certain or self.instant_of(number) + _SUMMER * self.period_ms >= at_ms

    def instant_of(self, number: int) -> int:
        """When the freeze of a number must have been made."""
        return self.newest - (number - 1) * self.period_ms


def _counts_of(mark: str) -> Mapping[str, int]:
    """The counts that a mark holds; none if it is no mark of ours."""
    try:
        return msgspec.json.decode(mark, type=dict[str, int])
    except msgspec.MsgspecError:
        return {}


def _missing(failure: ReadFailure) -> bool:
    """Whether the meter does not have what was asked, or not without a password."""
    missing = ErrorWord.NO_DATA | ErrorWord.PASSWORD
    return failure.reason is Reason.EXCEPTION and bool((failure.code or 0) & missing)
