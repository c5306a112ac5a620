"""What the customers really draw: mean power of each interval of a day, all customers at once.

The trades are those of ``load_curves``; that file makes one customer minute by minute for a meter that is polled, this
one makes hundreds at the pace of their readings. A customer's day is its hours on its calendar, bent by a standard
profile, times a day factor that remembers yesterday, the weather of the site, a slow wander, machines that run for a
while, and noise. Nothing is smooth, and no two customers share more than the weather and the calendar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from simulators.history.noise import Indices, Keys, keys, normal, uniform
from simulators.history.population import Population, activity
from simulators.history.scenarios import Incident
from simulators.history.span import Span
from simulators.history.surroundings import Surroundings, days_back, is_festival, is_holiday, remembered
from simulators.load_curves import TRADES, Floats, standard_profile

_KNOTS: Final = 12  # of the slow wander, a day
_LUMP_MIN: Final = 45  # a machine runs for so long
_EVENTS: Final = 3  # machines switched on for a while, at most, a day
_HUSH: Final = 0.05  # noise of what is drawn all the time, log
_JITTER_H: Final = 0.2  # of the daily opening and closing
_STREAMS: Final = ("days", "closed", "wander", "lumps", "noise", "hush", "events", "jitter", "cycle")
_SCALED: Final = ("downturn", "growth", "retrofit", "announced_tenant", "unannounced_tenant")
_SHIFTED: Final = ("announced_tenant", "unannounced_tenant", "new_hours")
_CLOSED: Final = ("announced_closure", "unannounced_closure")


class Demand:
    """The demand of a population over a span."""

    def __init__(
        self, population: Population, span: Span, surroundings: Surroundings, incidents: Sequence[Incident]
    ) -> None:
        """Lay the customers out as columns."""
        people = population.customers
        self._span, self._surroundings = span, surroundings
        self._keys: Mapping[str, Keys] = {what: keys(population.seed, population.names, what) for what in _STREAMS}
        self._incidents = [one for one in incidents if one.scenario in (*_SCALED, *_SHIFTED, *_CLOSED)]
        self._column = {name: n for n, name in enumerate(population.names)}
        self._trades = list(TRADES)
        self._trade = np.array([self._trades.index(one.trade) for one in people])
        self._windows = np.array([one.windows for one in people]).transpose(1, 2, 0)
        self._week = np.array([one.week for one in people]).T
        self._unit_kw = np.array([one.unit_kw for one in people])
        self._ceiling_kw = np.array([one.ceiling_kw for one in people])
        self._standby = np.array([one.standby for one in people])
        self._hump = np.array([one.hump for one in people])
        self._noise = np.array([one.noise for one in people])
        self._lumps = np.array([one.lumps for one in people])
        self._cooling = np.array([one.cooling for one in people])
        self._heating = np.array([one.heating for one in people])
        self._holiday = np.array([one.holiday for one in people])
        self._festival = np.array([TRADES[one.trade].festival for one in people])
        sigma = np.array([one.day_sigma for one in people])
        memory = np.array([one.day_memory for one in people])
        self._day_factor = np.exp(sigma * remembered(normal(self._keys["days"], days_back(span)), memory))
        self._opens = uniform(self._keys["closed"], np.arange(span.days)) >= np.array([one.closes for one in people])
        self._bend = _interpolation(span)

    def of_day(self, number: int) -> tuple[Floats, Floats]:
        """Power at work and power drawn all the time, kW, each of shape (intervals, customers)."""
        scale, busy = self._day_level(number)
        cooled, heated = self._surroundings.heat(number)
        weather = 1 + cooled[:, None] * self._cooling + heated[:, None] * self._heating
        at_work = self._shape(number) * busy * self._restless(number)
        at_work += self._machines(number) * (at_work > 0.1)  # noqa: PLR2004 - somebody is there to switch them on
        work_kw = self._unit_kw * (1 - self._standby) * scale * at_work * weather
        always_kw = self._unit_kw * self._standby * np.minimum(scale, 1.3) * self._calm(number) * (0.5 + 0.5 * weather)
        excess = np.maximum((work_kw + always_kw) / self._ceiling_kw, 1)
        return work_kw / excess, always_kw / excess

    def _day_level(self, number: int) -> tuple[Floats, Floats]:
        """Factor of everything and factor of the work, each of shape (customers,)."""
        day = self._span.day(number)
        busy = self._week[day.weekday()] * self._day_factor[number] * self._opens[number]
        if is_holiday(day):
            busy = busy * self._holiday
        if is_festival(day):
            busy = busy * self._festival
        scale = np.ones(len(busy))
        for one, column in self._active(number):
            if one.scenario in _CLOSED:
                busy[column] *= one.level
            elif one.scenario in _SCALED:
                days = number - one.first // self._span.per_day
                ramp = float(one.notes.get("ramp_days", 0))
                scale[column] *= 1 + (one.level - 1) * (min(1.0, days / ramp) if ramp else 1.0)
        return scale, busy

    def _shape(self, number: int) -> Floats:
        """Hours and standard profile, between 0 and 1."""
        windows = self._windows + _JITTER_H * (uniform(self._keys["jitter"], np.arange(2) + 2 * number) - 0.5)
        for one, column in self._active(number):
            if one.scenario in _SHIFTED:
                opens, closes = float(one.notes["opens_later_h"]), float(one.notes["closes_later_h"])
                windows[0, :, column] += (opens, closes)
                windows[0, 1, column] = max(windows[0, 1, column], windows[0, 0, column] + 2)
        hour = self._span.middle_hours
        profiles = np.stack([self._profile(number, TRADES[trade].profile, hour) for trade in self._trades], axis=1)
        return np.asarray(
            activity(hour, windows) * (1 - self._hump + self._hump * profiles[:, self._trade]), dtype=np.float64
        )

    def _profile(self, number: int, column: str, hour: Floats) -> Floats:
        profile = standard_profile(column, self._span.day(number))
        bent: Floats = np.interp(hour, np.arange(96) / 4 + 0.125, profile / profile.max(), period=24)
        return bent

    def _restless(self, number: int) -> Floats:
        """Wander, machines and noise of the work, mean about 1."""
        knots = 0.08 * normal(self._keys["wander"], np.arange(_KNOTS + 1) + number * _KNOTS)
        running, place = np.unique(self._span.of_day(number) * self._span.step_min // _LUMP_MIN, return_inverse=True)
        lumps = normal(self._keys["lumps"], running)[place] * self._lumps
        noise = normal(self._keys["noise"], self._span.of_day(number)) * self._noise
        bias = (self._lumps**2 + self._noise**2) / 2  # of the mean of a log-normal
        factor: Floats = np.exp(self._bend @ knots + lumps + noise - bias)
        return factor

    def _calm(self, number: int) -> Floats:
        """Cycles and noise of what is drawn all the time, mean about 1."""
        of_meter = uniform(self._keys["cycle"], np.arange(3))
        minutes = (self._span.of_day(number) * self._span.step_min)[:, None]
        cycle = ((minutes / (25 + 60 * of_meter[0]) + of_meter[1]) % 1) < 0.5  # noqa: PLR2004 - half of the time
        noise = normal(self._keys["hush"], self._span.of_day(number)) * _HUSH
        factor: Floats = np.exp(noise) * (1 + 0.5 * of_meter[2] * (cycle - 0.5))
        return factor

    def _machines(self, number: int) -> Floats:
        """A few machines that run for a quarter of an hour to two hours, in parts of the full activity."""
        hour = self._span.middle_hours[:, None]
        found = np.zeros((self._span.per_day, len(self._unit_kw)))
        for event in range(_EVENTS):
            start, lasts, size = uniform(self._keys["events"], 3 * (_EVENTS * number + event) + np.arange(3))
            begins = 24 * start
            found += ((hour >= begins) & (hour < begins + 0.25 + 1.75 * lasts)) * np.maximum(size - 0.5, 0) * 0.5
        return found

    def _active(self, number: int) -> list[tuple[Incident, int]]:
        """The incidents of a day, with the column of the meter."""
        begin, end = number * self._span.per_day, (number + 1) * self._span.per_day
        return [(one, self._column[one.meter]) for one in self._incidents if one.first < end and one.last > begin]


def _interpolation(span: Span) -> Floats:
    """Weights of the knots of a day, shape (intervals, knots + 1)."""
    place = span.middle_hours / 24 * _KNOTS
    weights: Floats = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(_KNOTS + 1)))
    return weights


def intervals_of(hours: tuple[float, float], span: Span) -> Indices:
    """Places in the day of the intervals that lie in some hours."""
    middle = span.middle_hours
    return np.flatnonzero((middle >= hours[0]) & (middle < hours[1]))
