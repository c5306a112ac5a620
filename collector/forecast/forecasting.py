"""``after(before, closed, today)``: what follows for the days to come when a day of a site is closed.

A function of the closed days and of what earlier festivals brought, and of nothing else: a day that late readings
change is judged again with the forecast it would have had, and a back-test makes the same forecasts as live readings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from collector.checks.check import Finding
from collector.days.day import ClosedDay, DayClass, SiteDay, Warned
from collector.engine.fleet import Fleet
from collector.forecast import capacity_forecast, festival_forecast
from collector.forecast.day_ahead import DayAhead, day_ahead
from collector.forecast.festival_days import FESTIVAL_DAYS_REMEMBERED, FestivalDay, festival_day
from collector.forecast.month_end import month_end
from collector.forecast.past import Past
from collector.forecast.reached import reached
from collector.forecast.tables import day_tables, month_table
from collector.store.table import Mask, Table


@dataclass(frozen=True, slots=True)
class Told:
    """What the closing of a day tells about those to come."""

    closed: ClosedDay  # with what was expected of the next day, and the warnings that are open
    tables: list[Table]
    findings: list[tuple[str, Finding]]
    festivals: list[FestivalDay]  # what the day leaves behind if it was a festival


class Forecasting:
    """Forecasts for all sites; remembers what their festivals brought."""

    def __init__(self, fleet: Fleet, day_class: Callable[[str, date], DayClass]) -> None:
        """Forecast by what the fleet's registry says; ``day_class`` of a site and local date."""
        self._fleet = fleet
        self._day_class = day_class
        self._festivals: dict[str, list[FestivalDay]] = {}

    def remember(self, site: str, festivals: Iterable[FestivalDay]) -> None:
        """Take up what the festivals of a site brought, oldest first."""
        self._festivals[site] = list(festivals)[-FESTIVAL_DAYS_REMEMBERED:]

    def forget_since(self, site: str, first: date) -> None:
        """Forget the festivals from a day on: it will be judged again."""
        self._festivals[site] = [one for one in self._festivals.get(site, []) if one.day < first]

    def after(self, before: Sequence[ClosedDay], closed: ClosedDay, today: SiteDay) -> Told:
        """Look ahead from the day just closed.

        Args:
            before: the closed days before it, oldest first.
            closed: the day.
            today: the same day as it was counted.
        """
        past = Past.of((*before, closed), [self._since(meter, closed.day) for meter in closed.meters])
        left = [one] if closed.kind == "festival" and (one := festival_day(past)) is not None else []
        self._festivals[today.site] = [*self._festivals.get(today.site, []), *left][-FESTIVAL_DAYS_REMEMBERED:]
        following = closed.day + timedelta(days=1)
        ahead = day_ahead(past, following, self._day_class(today.site, following), self._closed(past, following))
        calendar = self._fleet.calendar_of_site(today.site)
        tomorrow = calendar.day_on(following)
        month = calendar.month_of(tomorrow.first)
        outlook = month_end(
            past,
            ahead,
            month.date,
            calendar.day_of(month.end).date,
            lambda day: self._day_class(today.site, day),
            lambda day: self._closed(past, day),
        )
        slots = np.array(today.slots, np.intp)
        over, still = reached(before[-1].warned if before else {}, past, today)
        warnings = [
            *capacity_forecast.capacity_forecasts(self._fleet, past, ahead, today, tomorrow),
            *self._of_festivals(before, past, ahead, today),
        ]
        warned = {f"{finding.kind}:{meter}": one for meter, finding, one in warnings}
        return Told(
            replace(closed, ahead=ahead.to_remember(), warned=still | warned),
            [
                *day_tables(self._fleet.series, slots, ahead, tomorrow),
                month_table(self._fleet.series, slots, outlook, month.first),
            ],
            [*over, *((meter, finding) for meter, finding, _ in warnings)],
            left,
        )

    def _of_festivals(
        self, before: Sequence[ClosedDay], past: Past, ahead: DayAhead, today: SiteDay
    ) -> list[tuple[str, Finding, Warned]]:
        festivals = self._fleet.registry.sites[today.site].festivals
        days = festival_forecast.due(festivals, before[-1].day if before else None, today.day)
        calendar = self._fleet.calendar_of_site(today.site)
        memory = self._festivals[today.site]
        return [
            one
            for day in days
            for one in festival_forecast.festival_forecasts(
                self._fleet, past, ahead, today, calendar.day_on(day), memory
            )
        ]

    def _since(self, meter: str, day: date) -> date | None:
        changes = self._fleet.registry.changes_of(meter)
        return max((one.on for one in changes if one.on <= day + timedelta(days=1)), default=None)

    def _closed(self, past: Past, day: date) -> Mask:
        registry = self._fleet.registry
        return np.array([registry.closed_on(meter, day) for meter in past.meters], np.bool_)
