"""What the meters of one site share: temperature, clouds, holidays, festivals.

The dates are those of the public holidays of 2026, taken for every year: a history is illustrative, not a calendar.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np

from simulators.history.noise import keys, normal, uniform
from simulators.history.span import Span
from simulators.load_curves import FESTIVALS, Floats, MonthDay

HOLIDAYS: Final[tuple[tuple[MonthDay, MonthDay], ...]] = (
    ((1, 1), (1, 3)),
    ((2, 15), (2, 23)),
    ((4, 4), (4, 6)),
    ((5, 1), (5, 5)),
    ((6, 19), (6, 21)),
    ((9, 25), (9, 27)),
    ((10, 1), (10, 7)),
)

_MEMORY: Final = 0.75  # of the weather from day to day
_BACK: Final = 20  # days after which nothing is remembered
_COOL_C, _WARM_C = 12.0, 24.0  # below the one is heated, above the other cooled
_SUNRISE_H, _SUNSET_H = 6.0, 18.5


class Surroundings:
    """The weather and the calendar of one site."""

    def __init__(self, seed: int, site: str, span: Span) -> None:
        """Draw the weather of all days."""
        self._span = span
        self._anomaly_c = 3.0 * remembered(normal(keys(seed, [site], "temperature"), days_back(span)), _MEMORY)[:, 0]
        self._clear = 0.15 + 0.85 * uniform(keys(seed, [site], "clouds"), np.arange(span.days))[:, 0] ** 0.6
        self._broken = keys(seed, [site], "broken clouds")

    def temperature_c(self, number: int) -> Floats:
        """Outside temperature of a day, °C, shape (per_day,)."""
        season = np.sin(2 * np.pi * (self._span.day(number).timetuple().tm_yday - 110) / 365)
        hour = np.sin(2 * np.pi * (self._span.middle_hours - 9) / 24)
        return np.asarray(17 + 11 * season + self._anomaly_c[number] + 4 * hour, dtype=np.float64)

    def heat(self, number: int) -> tuple[Floats, Floats]:
        """Degrees to cool and to heat, °C, each of shape (per_day,)."""
        temperature = self.temperature_c(number)
        return np.maximum(temperature - _WARM_C, 0), np.maximum(_COOL_C - temperature, 0)

    def sun(self, number: int) -> Floats:
        """Share of the rated power that a generator makes, shape (per_day,)."""
        height = np.sin(np.pi * (self._span.middle_hours - _SUNRISE_H) / (_SUNSET_H - _SUNRISE_H))
        broken = 1 - 0.4 * (1 - self._clear[number]) * uniform(self._broken, self._span.of_day(number))[:, 0]
        return np.asarray(0.85 * np.maximum(height, 0) ** 1.2 * self._clear[number] * broken, dtype=np.float64)


def is_holiday(day: date) -> bool:
    """Whether a date is a public holiday."""
    return any(first <= (day.month, day.day) <= last for first, last in HOLIDAYS)


def is_festival(day: date) -> bool:
    """Whether a date is a sales festival."""
    return (day.month, day.day) in FESTIVALS


def days_back(span: Span) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Numbers of the days of a span with the days before that ``remembered`` needs; none is negative."""
    return np.arange(span.days + _BACK)


def remembered(shocks: Floats, memory: float | Floats) -> Floats:
    """AR(1) of deviation 1 from shocks of shape (days + some days before, n), shape (days, n)."""
    values = np.empty_like(shocks)
    values[0] = shocks[0]
    fresh = np.sqrt(1 - np.square(memory))
    for day in range(1, len(shocks)):
        values[day] = memory * values[day - 1] + fresh * shocks[day]
    return values[_BACK:]
