"""Outcomes of the engine in, judged days out: the second stage, over small aggregates.

The first stage judges readings as they come, gateway by gateway. This one judges a site's day when it is over, in the
order of the days. A day that late readings change is put back (``reopen``) and judged again with all days after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

import msgspec
import numpy as np

from collector.checks.check import Finding
from collector.days import change, feeder_excess, suspicion
from collector.days.book import Book
from collector.days.closing import Closing
from collector.days.day import DAYS_REMEMBERED, ClosedDay, SiteDay
from collector.engine.engine import Outcome
from collector.engine.fleet import Fleet, Floats
from collector.events.event import Event
from collector.events.evidence import event_of
from collector.forecast import capacity_forecast, festival_forecast
from collector.forecast.festival_days import FestivalDay
from collector.forecast.forecasting import Forecasting
from collector.store.table import SUSPICION, Table, scaled
from collector.tariff.calendar import BLOCK_MS, LocalDay

FALSIFICATION: Final = "falsification"
DAY_KINDS: Final = frozenset(
    {suspicion.KIND, feeder_excess.KIND, change.KIND, capacity_forecast.KIND, festival_forecast.KIND}
)
TOUCHES: Final = frozenset({"cover_opened", "terminal_cover_opened", "magnetic_field"})


@dataclass(frozen=True, slots=True)
class Score:
    """How suspicious one meter was on one local day, 0 … 1."""

    slot: int
    meter: str
    day: date
    starts_at: int  # ms: the day
    kind: str
    score: float


class _Saved(msgspec.Struct, frozen=True):
    book: bytes
    touched: dict[str, dict[str, list[int]]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Saved).decode


@dataclass(slots=True)
class Judged:
    """What some days led to."""

    events: list[Event] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    closed: list[tuple[str, ClosedDay]] = field(default_factory=list)  # site, day
    missed: dict[str, int] = field(default_factory=dict)  # gateway → ms: what it says of a day that is over
    festivals: list[tuple[str, FestivalDay]] = field(default_factory=list)  # site, what a festival brought
    forecasts: list[Table] = field(default_factory=list)
    failed: list[tuple[str, date, str]] = field(default_factory=list)  # site, day that a bug left unjudged, reason


class Days:
    """All sites' days."""

    def __init__(self, fleet: Fleet, closing: Closing, configuration: str) -> None:
        """Judge by ``closing``; events carry ``configuration``."""
        self.book = Book(fleet)
        self._fleet = fleet
        self._closing = closing
        self._forecasting = Forecasting(fleet, closing.day_class)
        self._configuration = configuration
        self._past: dict[str, list[ClosedDay]] = {}
        self._touched: dict[str, dict[str, list[int]]] = {}  # site → meter → ms
        self._reopened: set[str] = set()  # sites

    def restore_past(self, site: str, past: Iterable[ClosedDay]) -> None:
        """Take up the closed days of a site, oldest first."""
        self._past[site] = list(past)[-DAYS_REMEMBERED:]
        self._over(site)
        self._closing.forget()

    def restore_festivals(self, site: str, festivals: Iterable[FestivalDay]) -> None:
        """Take up what the festivals of a site brought, oldest first."""
        self._forecasting.remember(site, festivals)

    def snapshot(self, gateway: str) -> bytes:
        """What a gateway's meters have of the days under way."""
        touched = {
            site: {meter: instants for meter, instants in meters.items() if self._fleet.gateway_of(meter) == gateway}
            for site, meters in self._touched.items()
        }
        return _encode(_Saved(self.book.snapshot(gateway), {site: own for site, own in touched.items() if own}))

    def restore(self, gateway: str, snapshot: bytes) -> None:
        """Take up what a gateway's meters had of the days under way; the closed days come first.

        Raises:
            ValueError: the bytes are no snapshot.
        """
        try:
            saved = _decode(snapshot)
        except msgspec.MsgspecError as error:
            raise ValueError(f"no days under way: {error}") from error
        self.book.restore(gateway, saved.book)
        for site, meters in saved.touched.items():
            for meter, instants in meters.items():
                self._note_touch(site, meter, instants)

    def reopen(self, site: str, since_ms: int) -> None:
        """Put back every closed day that was not over at ``since_ms``, to be judged again."""
        calendar = self._fleet.calendar_of_site(site)
        first = calendar.day_of(since_ms // BLOCK_MS).date
        past = self._past.get(site, [])
        self._past[site] = [one for one in past if one.day < first]
        self._reopened.add(site)
        known = self._past[site][-1].touched if self._past[site] else {}
        self._forecasting.forget_since(site, first)
        self.book.over_until(site, calendar.day_on(first).first)
        for closed in past:
            if closed.day >= first:
                blocks = calendar.day_on(closed.day)
                self.book.reopen(_again(site, closed, blocks, self._fleet), blocks.first)
                for meter, at in closed.touched.items():
                    if known.get(meter) != at:
                        self._note_touch(site, meter, [at])
        self._closing.forget()

    def take(self, outcome: Outcome) -> Judged:
        """Take what the engine measured; judge the days that are over."""
        judged = Judged()
        missed = self._touch(outcome.events)
        sites = {site for table in outcome.tables for site in self.book.add(table)}
        judged.missed = self.book.missed()
        for gateway, at in missed.items():
            judged.missed[gateway] = min(judged.missed.get(gateway, at), at)
        for site in sorted(sites | self._reopened):
            self._close(site, self.book.over(site), judged)
        self._reopened.clear()
        return judged

    def finish(self) -> Judged:
        """Judge the days under way as if they were over: no more readings will come."""
        judged = Judged()
        for site in sorted(self.book.sites()):
            self._close(site, self.book.over(site, finish=True), judged)
        return judged

    def _over(self, site: str) -> None:
        past = self._past[site]
        if past:
            self.book.over_until(site, self._fleet.calendar_of_site(site).day_on(past[-1].day).end)

    def _close(self, site: str, days: Iterable[SiteDay], judged: Judged) -> None:
        past = self._past.setdefault(site, [])
        for day in days:
            touched = self._touched.get(site, {})
            before = {meter: [at for at in instants if at < day.ends_at] for meter, instants in touched.items()}
            later = {meter: [at for at in instants if at >= day.ends_at] for meter, instants in touched.items()}
            today = {meter: max(instants) for meter, instants in before.items() if instants}
            self._touched[site] = {meter: instants for meter, instants in later.items() if instants}
            try:
                verdict = self._closing.close(past, day, today)
                told = self._forecasting.after(past, verdict.closed, day)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a day, it must not stop storing
                judged.failed.append((site, day.day, f"{type(error).__name__}: {error}"))
                continue
            past.append(told.closed)
            del past[:-DAYS_REMEMBERED]
            judged.closed.append((site, told.closed))
            judged.forecasts += told.tables
            judged.festivals += [(site, one) for one in told.festivals]
            slots = dict(zip(day.meters, day.slots, strict=True))
            judged.scores += [
                Score(slots[meter], meter, day.day, day.starts_at, FALSIFICATION, score)
                for meter, score in verdict.scores.items()
            ]
            judged.events += self._events(slots, (*verdict.findings, *told.findings))

    def _events(self, slots: Mapping[str, int], findings: Iterable[tuple[str, Finding]]) -> Sequence[Event]:
        return [
            event_of(replace(finding, row=0), self._fleet, slots[meter], self._configuration)
            for meter, finding in findings
        ]

    def tables(self, judged: Judged) -> list[Table]:
        """Scores and forecasts as tables."""
        return [*([self._scores_table(judged.scores)] if judged.scores else []), *judged.forecasts]

    def _scores_table(self, scores: Sequence[Score]) -> Table:
        slots = np.array([one.slot for one in scores], np.intp)
        at = np.array([one.starts_at for one in scores], np.int64)
        return Table(
            SUSPICION, self._fleet.series, slots, at, (scaled("score", 4, np.array([s.score for s in scores])),)
        )

    def _touch(self, events: Iterable[Event]) -> dict[str, int]:
        """Note which meters were touched; return the gateways of those that were on a day that is over."""
        missed: dict[str, int] = {}
        for event in events:
            if event.kind not in TOUCHES or event.site is None:
                continue
            if event.lifecycle == "withdrawn":
                known = self._touched.get(event.site, {}).get(event.series.meter, [])
                known[:] = [at for at in known if at != event.started_at]
            elif event.lifecycle == "opened":
                self._note_touch(event.site, event.series.meter, [event.at])
                if self.book.is_over(event.site, event.at):
                    gateway = event.series.gateway
                    missed[gateway] = min(missed.get(gateway, event.at), event.at)
        return missed

    def _note_touch(self, site: str, meter: str, instants: Iterable[int]) -> None:
        known = self._touched.setdefault(site, {})
        known[meter] = sorted({*known.get(meter, ()), *instants})


def _again(site: str, closed: ClosedDay, local: LocalDay, fleet: Fleet) -> SiteDay:
    """A closed day as it was before it was judged: import and export are one by then."""
    net = closed.net.astype(np.float64)
    return SiteDay(
        site=site,
        day=closed.day,
        starts_at=local.first * BLOCK_MS,
        ends_at=local.end * BLOCK_MS,
        meters=closed.meters,
        slots=tuple(int(fleet.slots(fleet.gateway_of(meter), (meter,))[0]) for meter in closed.meters),
        imported=net,
        exported=np.full(net.shape, np.nan),
        measured=~np.isnan(net),
        power_factor=_factors(closed),
    )


def _factors(closed: ClosedDay) -> Floats:
    if closed.power_factor is None:
        return np.full(len(closed.meters), np.nan)
    kept: Floats = closed.power_factor.astype(np.float64)
    found: Floats = kept.round(3)
    return found
