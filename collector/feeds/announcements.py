"""What a commit has to say to the consumers of the feeds over MQTT: days, months and cases, as messages.

Deterministic, without clock and disk. A case is told of whenever an event of it is committed, as the fold over all its
events gives it; after a start the events of the store are folded first. A message that a crash repeats keeps its id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from collector.engine.progress import Outgoing
from collector.events.event import Event
from collector.feeds.case import Case, Verdict
from collector.feeds.feed_message import Stage, case_message, day_message, month_message
from collector.feeds.finished_days import FinishedDays
from collector.feeds.inspection import Body, FeederOf, cases_of, makes_a_case
from collector.feeds.pricing import DayDeterminants
from collector.feeds.statement import Statements
from collector.registry.approvals import Approvals
from collector.registry.registry import Registry
from collector.store.store import EnergyDayRow, EnergyMonthRow
from collector.store.table import Table
from metering.topics import Topics

_TOLD_AGAIN: Final = timedelta(days=7)
"""After a start the end of a case is told (again) if it lies at most so far back."""


class Announcements:
    """What was found so far, and what is new about it."""

    def __init__(
        self,
        topics: Topics,
        statements: Statements,
        registry: Registry,
        approvals: Approvals,
        verdicts: Callable[[], Sequence[Verdict]] = tuple,
    ) -> None:
        """Nothing is known yet; ``verdicts`` says what people have decided by now."""
        self._verdicts = verdicts
        self._topics = topics
        self._feeder_of = feeder_of(registry)
        self._days = FinishedDays(statements, approvals)
        self._events: dict[str, dict[str, Body]] = defaultdict(dict)  # meter → id → event
        self._ending: dict[str, datetime] = {}  # meters with cases that may end → event time up to which it was told

    def restore(self, events: Iterable[Body], days: Iterable[EnergyDayRow], months: Iterable[EnergyMonthRow]) -> None:
        """Take up what the store holds: all events, the last days and months."""
        for event in events:
            self._note(event)
        self._days.restore(days, months)

    def outgoing(self, events: Sequence[Event], tables: Sequence[Table]) -> list[Outgoing]:
        """The messages of one commit."""
        told: dict[str, Outgoing] = {}
        for event in events:
            body = event.cloudevent()
            if makes_a_case(body):
                self._note(body)
                for case in self._cases(event.series.meter, _instant(event.at)):
                    if event.condition in {one.condition for one in case.conditions}:
                        told[case.id] = case_message(self._topics, case, _stage(case, event))
        said = list(told.values())
        for statement in self._days.take(tables):
            if isinstance(statement, DayDeterminants):
                said.append(day_message(self._topics, statement))
                day_end = datetime.combine(statement.day, datetime.min.time(), UTC) + timedelta(days=1)
                said += self._ended(statement.meter, day_end)
            else:
                said.append(month_message(self._topics, statement))
        return said

    def _ended(self, meter: str, now: datetime) -> list[Outgoing]:
        """Cases of a meter that ended since the last look, by its own readings."""
        if meter not in self._ending:
            return []
        since = max(self._ending[meter], now - _TOLD_AGAIN)
        self._ending[meter] = max(since, now)
        return [
            case_message(self._topics, case, "closed")
            for case in self._cases(meter, now)
            if case.status == "ended" and case.ends_at is not None and since <= case.ends_at
        ]

    def _cases(self, meter: str, now: datetime) -> list[Case]:
        own = [one for one in self._verdicts() if one.meter == meter]
        return cases_of(self._events[meter].values(), own, now, self._feeder_of)

    def _note(self, event: Body) -> None:
        if makes_a_case(event):
            meter = event["data"]["meter"]
            self._events[meter][event["id"]] = event
            self._ending.setdefault(meter, datetime.min.replace(tzinfo=UTC))


def feeder_of(registry: Registry) -> FeederOf:
    """Which feeder a meter hangs on, or is the master of."""

    def feeder(meter: str) -> str | None:
        mastered = registry.mastered_by(meter)
        known = registry.meters.get(meter)
        return mastered.id if mastered else known.feeder if known else None

    return feeder


def _stage(case: Case, event: Event) -> Stage:
    if case.status != "open":
        return "closed"
    return "opened" if event.lifecycle == "opened" and case.conditions[0].condition == event.condition else "updated"


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
