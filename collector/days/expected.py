"""What a meter is expected to count on a day: the median of its clean days of the same class.

    expected[m, q] = median over the last clean days of that class, at most six weeks back     (robust, no fit)

A day on which a meter was suspected teaches nothing (else the abnormal is learnt as normal), nor does a day before
its tenant, contract or equipment changed; what the balance said before that is nothing about the present either.
Holidays and festivals are classes of their own; where one was never seen, a holiday is expected to be a Sunday, and
nothing is expected of a festival.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from collector.days.day import QUARTERS, ClosedDay, DayClass
from collector.engine.fleet import Floats
from collector.store.table import Mask

_FEWEST: Final = 3  # days of a class that make it known  [OURS]
_MOST: Final = 10  # days of a class that are looked at: a season is not an anomaly  [OURS]
_STANDS_FOR: Final[dict[DayClass, DayClass]] = {"holiday": "sunday"}


@dataclass(frozen=True, slots=True)
class History:
    """The closed days before a day, over the meters of that day; matrices are (days, meters, …)."""

    days: tuple[ClosedDay, ...]
    meters: tuple[str, ...]
    net: Floats  # (days, meters, quarters)
    learns: Mask  # (days, meters)
    balance: Floats
    log_ratio: Floats
    oddness: Floats
    odd_days: Floats

    @classmethod
    def of(cls, days: Sequence[ClosedDay], meters: tuple[str, ...], since: Sequence[date | None]) -> History:
        """Line the days up on ``meters``; what lies before ``since`` of a meter teaches nothing."""
        shape = len(days), len(meters)
        net = np.full((*shape, QUARTERS), np.nan)
        learns = np.zeros(shape, np.bool_)
        balance, ratio, oddness, odd = (np.full(shape, np.nan) for _ in range(4))
        for i, closed in enumerate(days):
            place = {name: n for n, name in enumerate(closed.meters)}
            rows = np.array([place.get(name, -1) for name in meters], np.intp)
            known, rows = rows >= 0, rows[rows >= 0]
            net[i, known] = closed.net[rows]
            learns[i, known] = closed.learns[rows]
            balance[i, known] = closed.balance[rows]
            ratio[i, known] = closed.log_ratio[rows]
            oddness[i, known] = closed.oddness[rows]
            odd[i, known] = closed.odd_days[rows]
            same = np.array([start is None or closed.day >= start for start in since], np.bool_)
            learns[i] &= same
            balance[i, ~same] = oddness[i, ~same] = np.nan
        return cls(tuple(days), meters, net, learns, balance, ratio, oddness, odd)

    def expected(self, kind: DayClass) -> Floats:
        """What a day of a class is expected to be, kWh, shape (meters, quarters); NaN = unknown."""
        expected = self._median([i for i, one in enumerate(self.days) if one.kind == kind])
        if kind in _STANDS_FOR:
            other = self._median([i for i, one in enumerate(self.days) if one.kind == _STANDS_FOR[kind]])
            expected = np.where(np.isnan(expected), other, expected)
        return expected

    def _median(self, chosen: list[int]) -> Floats:
        if not chosen:
            return np.full((len(self.meters), QUARTERS), np.nan)
        learns = self.learns[chosen]
        recent = learns & (np.cumsum(learns[::-1], axis=0)[::-1] <= _MOST)
        values = np.where(recent[:, :, None], self.net[chosen], np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a quarter nobody knows
            median: Floats = np.nanmedian(values, axis=0)
        median[(~np.isnan(values)).sum(axis=0) < _FEWEST] = np.nan
        return median
