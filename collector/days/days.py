"""Outcomes of the engine in, judged days out: the second stage, over small aggregates.

The first stage judges readings as they come, gateway by gateway. This one judges a site's day when it is over, in the
order of the days. A day that late readings change is put back (``reopen``) and judged again with all days after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from collector.days.book import Book
from collector.days.closing import Closing, Verdict
from collector.days.day import DAYS_REMEMBERED, ClosedDay, SiteDay
from collector.engine.engine import Outcome
from collector.engine.fleet import Fleet
from collector.events.event import Event
from collector.events.evidence import event_of

TOUCHES: Final = frozenset({"cover_opened", "terminal_cover_opened", "magnetic_field"})


@dataclass(frozen=True, slots=True)
class Score:
    """How suspicious one meter was on one local day, 0 … 1."""

    meter: str
    day: date
    kind: str
    score: float


@dataclass(slots=True)
class Judged:
    """What some days led to."""

    events: list[Event] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    closed: list[tuple[str, ClosedDay]] = field(default_factory=list)  # site, day


class Days:
    """All sites' days."""

    def __init__(self, fleet: Fleet, closing: Closing, configuration: str) -> None:
        """Judge by ``closing``; events carry ``configuration``."""
        self.book = Book(fleet)
        self._fleet = fleet
        self._closing = closing
        self._configuration = configuration
        self._past: dict[str, list[ClosedDay]] = {}
        self._touched: dict[str, dict[str, int]] = {}  # site → meter → ms

    def restore(self, site: str, past: Iterable[ClosedDay]) -> None:
        """Take up the closed days of a site, oldest first."""
        self._past[site] = list(past)[-DAYS_REMEMBERED:]
        self._closing.forget()

    def take(self, outcome: Outcome) -> Judged:
        """Take what the engine measured; judge the days that are over."""
        judged = Judged()
        self._touch(outcome.events)
        for site in {site for table in outcome.tables for site in self.book.add(table)}:
            self._close(site, self.book.over(site), judged)
        return judged

    def finish(self) -> Judged:
        """Judge the days under way as if they were over: no more readings will come."""
        judged = Judged()
        for site in self.book.sites():
            self._close(site, self.book.over(site, finish=True), judged)
        return judged

    def _close(self, site: str, days: Iterable[SiteDay], judged: Judged) -> None:
        past = self._past.setdefault(site, [])
        for day in days:
            touched = self._touched.get(site, {})
            today = {meter: at for meter, at in touched.items() if at < day.ends_at}
            self._touched[site] = {meter: at for meter, at in touched.items() if at >= day.ends_at}
            verdict = self._closing.close(past, day, today)
            past.append(verdict.closed)
            del past[:-DAYS_REMEMBERED]
            judged.closed.append((site, verdict.closed))
            judged.scores += [Score(m, day.day, "falsification", s) for m, s in verdict.scores.items()]
            judged.events += self._events(day, verdict)

    def _events(self, day: SiteDay, verdict: Verdict) -> Sequence[Event]:
        slots = dict(zip(day.meters, day.slots, strict=True))
        return [
            event_of(replace(finding, row=0), self._fleet, slots[meter], self._configuration)
            for meter, finding in verdict.findings
        ]

    def _touch(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.kind in TOUCHES and event.lifecycle == "opened" and event.site is not None:
                self._touched.setdefault(event.site, {})[event.series.meter] = event.at
