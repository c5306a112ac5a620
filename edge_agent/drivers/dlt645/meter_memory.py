"""What a DL/T 645 meter remembers: registers frozen at past instants, and records of events.

Both are numbered from the newest back, 1 is the newest, so every new one moves all numbers on. What was read while they
moved would be another instant's: a freeze counts only if its instant is the same before and after its registers were
read, records only if their count is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from edge_agent.drivers.dlt645.data import decode, taken_apart
from edge_agent.drivers.dlt645.event_records import MOST_RECORDS, RECORD_LISTS, RecordList, count_of
from edge_agent.drivers.dlt645.frame import ErrorWord
from edge_agent.drivers.dlt645.moment import to_the_minute
from edge_agent.drivers.dlt645.profile import Dlt645Profile
from edge_agent.drivers.driver import Freeze, LoggedEvent, NewEvents, ReadFailure, Reason

MOST_FREEZES: Final = {"timed": 12, "daily": 62}
"""How many freezes a meter keeps: table A.6 (05 00 xx 01 … 0C); daily ones (05 06) by the supplements."""

_PREFIX: Final = {"timed": "0500", "daily": "0506"}
_REGISTERS: Final = {"01": ("active_energy_import", "0001FF00"), "02": ("active_energy_export", "0002FF00")}
_TRIES: Final = 3

Ask = Callable[[str], Awaitable[bytes | ReadFailure]]


class MeterMemory:
    """The memory of one meter."""

    def __init__(self, ask: Ask, profile: Dlt645Profile, energy_ratio: float) -> None:
        """``ask`` reads one identifier; ``energy_ratio`` brings registers to the primary side."""
        self._ask = ask
        self._profile = profile
        self._ratio = energy_ratio

    async def freezes(self, newest: int) -> list[Freeze] | ReadFailure:
        """The newest so many, oldest first; fewer if the meter has fewer."""
        kind = self._profile.freezes
        if kind is None:
            return []
        found: dict[int, Freeze] = {}
        for back in range(min(newest, MOST_FREEZES[kind]), 0, -1):
            frozen = await self._freeze(_PREFIX[kind], f"{back:02X}")
            if isinstance(frozen, ReadFailure):
                return frozen
            if frozen is not None:
                found[frozen.at] = frozen
        return [found[at] for at in sorted(found)]

    async def _freeze(self, prefix: str, back: str) -> Freeze | ReadFailure | None:
        """One of them; ``None`` if there is none, or if it moved on meanwhile."""
        before = await self._instant(prefix, back)
        if before is None or isinstance(before, ReadFailure):
            return before
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
        after = await self._instant(prefix, back)
        if isinstance(after, ReadFailure):
            return after
        return Freeze(before, values) if after == before and values else None

    async def _instant(self, prefix: str, back: str) -> int | ReadFailure | None:
        data = await self._ask(f"{prefix}00{back}")
        if isinstance(data, ReadFailure):
            return None if _missing(data) else data
        return to_the_minute(data, self._profile.zone)

    async def events(self, counts: Mapping[str, int]) -> NewEvents | ReadFailure:
        """What was logged since ``counts``; a kind that the meter does not keep is left out."""
        events: list[LoggedEvent] = []
        now: dict[str, int] = {}
        missed: dict[str, int] = {}
        for name in self._profile.events:
            found = await self._records(RECORD_LISTS[name], counts.get(name))
            if isinstance(found, ReadFailure):
                if not _missing(found):
                    return found
                continue
            count, lost, new = found
            now[name] = count
            events += new
            if lost:
                missed[name] = lost
        return NewEvents(tuple(sorted(events)), now, missed)

    async def _records(self, of: RecordList, before: int | None) -> tuple[int, int, list[LoggedEvent]] | ReadFailure:
        """Count now, records overwritten unread, and what the new ones say. A count that fell was cleared."""
        count = await self._count(of)
        for _ in range(_TRIES):
            if isinstance(count, ReadFailure):
                return count
            since = before if before is not None and before <= count else 0
            new = min(count - since, MOST_RECORDS)
            events: list[LoggedEvent] = []
            for back in range(new, 0, -1):
                record = await self._ask(of.identifier(back))
                if isinstance(record, ReadFailure):
                    return record
                events += of.events(record, self._profile.zone)
            after = await self._count(of) if new else count
            if after == count:
                lost = 0 if before is None else count - since - new
                return count, lost, events
            count = after
        return ReadFailure(Reason.GARBLED, f"records {of.name} came faster than they can be read")

    async def _count(self, of: RecordList) -> int | ReadFailure:
        data = await self._ask(of.count_identifier)
        if isinstance(data, ReadFailure):
            return data
        count = count_of(data)
        return count if count is not None else ReadFailure(Reason.GARBLED, f"no count behind {of.count_identifier}")


def _missing(failure: ReadFailure) -> bool:
    """Whether the meter does not have what was asked, or not without a password."""
    missing = ErrorWord.NO_DATA | ErrorWord.PASSWORD
    return failure.reason is Reason.EXCEPTION and bool((failure.code or 0) & missing)
