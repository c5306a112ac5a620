"""Energy and highest quarter that a billing month will have come to at its end.

    kWh  = what the days of the month counted + what is expected of each day that is left
    peak = the higher of what was reached and what the highest of so many days usually is

The interval of the energy grows with the days that are left as days^0.9: faster than independent errors would
(days^0.5), because who is above what was expected today will be tomorrow. That of the peak asks the clean days of the
last eight weeks: the highest of n days lies below the day of rank r with probability rⁿ; beyond the highest day the
tail goes on as the highest fifth thins out. Energy is net where energy is sent back. A quarter nobody knows counts as
the others of its day, a day nobody knows as what is expected of it; a festival that is to come counts as the day of
the week that it is, an announced closure as nothing. [OURS]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from collector.days.day import DayClass
from collector.engine.fleet import Floats
from collector.forecast.day_ahead import DayAhead, Expected, around
from collector.forecast.festival_days import ordinary
from collector.forecast.past import Past
from collector.forecast.spread import SHARES, half_widths
from collector.store.table import Mask

DayClasses = Callable[[date], DayClass]
Closed = Callable[[date], Mask]
"""By meter, whether the account announced to be closed on a local date."""

_GROWS: Final = 0.9
_FEWEST_PEAKS: Final = 14


@dataclass(frozen=True, slots=True)
class MonthEnd:
    """What is expected of a billing month; arrays are (meters,)."""

    first: date
    days_left: int
    so_far_kwh: Floats
    so_far_peak_kw: Floats
    kwh: Expected
    peak_kw: Expected


def month_end(past: Past, ahead: DayAhead, first: date, end: date, day_class: DayClasses, closed: Closed) -> MonthEnd:
    """The forecast of the month from ``first`` until before ``end``; the day of ``ahead`` lies in it."""
    left = [ahead.day + timedelta(days=n) for n in range((end - ahead.day).days)]
    so_far, reached = _so_far(past, ahead, first, day_class)
    kinds = [ordinary(day_class(day), day) for day in left]
    open_days = np.stack([~closed(day) for day in left])
    days_kwh = np.stack([_kwh(ahead, kind, day) for kind, day in zip(kinds, left, strict=True)])
    days_kwh = np.where(open_days, days_kwh, 0.0)
    kwh = so_far + days_kwh.sum(axis=0)
    scale = np.abs(days_kwh).mean(axis=0) * len(left) ** _GROWS
    energy = around(kwh, scale, half_widths(ahead.errors.kwh.T), ahead.sends_back)
    return MonthEnd(
        first=first,
        days_left=len(left),
        so_far_kwh=so_far,
        so_far_peak_kw=reached,
        kwh=Expected(
            energy.best,
            tuple(np.where(ahead.sends_back, low, np.maximum(low, so_far)) for low in energy.low),
            energy.high,
        ),
        peak_kw=_peak(reached, np.where(past.clean, past.peak_kw, np.nan), open_days.sum(axis=0).astype(np.float64)),
    )


def _so_far(past: Past, ahead: DayAhead, first: date, day_class: DayClasses) -> tuple[Floats, Floats]:
    """kWh and highest quarter of the days of the month that are over."""
    total, reached = np.zeros(len(past.meters)), np.zeros(len(past.meters))
    place = {closed.day: i for i, closed in enumerate(past.days)}
    seen = np.zeros(len(past.meters), np.bool_)
    day = past.days[0].day
    while day < ahead.day:
        i = place.get(day)
        kwh = np.full(len(past.meters), np.nan) if i is None else past.kwh[i]
        if day >= first:
            expected = ahead.kwh_level.of(ordinary(day_class(day), day), day.weekday())
            total += np.where(np.isnan(kwh), np.where(seen, expected, 0.0), kwh)
            if i is not None:
                reached = np.fmax(reached, past.peak_kw[i])
        seen |= ~np.isnan(kwh)
        day += timedelta(days=1)
    return total, reached


def _kwh(ahead: DayAhead, kind: DayClass, day: date) -> Floats:
    """What is expected of one day; every day of a meter that sends energy back is as the next one."""
    return np.where(ahead.sends_back, ahead.kwh.best, ahead.kwh_level.of(kind, day.weekday()))


def _peak(reached: Floats, peaks: Floats, days: Floats) -> Expected:
    """The highest of ``reached`` and of so many ``days`` as those of the past; ``peaks`` is (past days, meters)."""
    ordered = np.sort(peaks, axis=0)  # NaN last
    number = (~np.isnan(peaks)).sum(axis=0)
    enough = number >= _FEWEST_PEAKS
    column = np.arange(len(number))
    last = np.maximum(number - 1, 0)
    top = np.maximum(number // 5, 1)  # the highest fifth says how fast the tail thins out
    step = ordered[last, column] - ordered[np.maximum(last - top, 0), column]
    slope = step / np.log1p(top)

    def reaches(probability: float) -> Floats:
        share = probability ** (1.0 / np.maximum(days, 1))
        place = np.clip(share * (number + 1) - 1, 0, last)
        under = np.floor(place).astype(np.intp)
        over = np.minimum(under + 1, last)
        part = place - under
        found = (1 - part) * ordered[under, column] + part * ordered[over, column]
        beyond = np.log(np.maximum(1.0, 1.0 / ((number + 1) * (1.0 - share))))
        found = np.maximum(reached, found + slope * beyond)
        return np.where(enough, np.where(days > 0, found, reached), np.nan)

    tails = [(1.0 - share) / 2.0 for share in SHARES]
    return Expected(reaches(0.5), tuple(reaches(tail) for tail in tails), tuple(reaches(1.0 - tail) for tail in tails))
