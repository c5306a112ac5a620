"""The closed days of a site lined up on its meters, and the level that they lead one to expect of a day.

    ln expected = recent level + what is usual for the class of the day + what is usual for this weekday

The class (workday, Saturday, Sunday, holiday) says by how much its days differ from all others, the weekday by how
much it differs from the other workdays, as far as it was seen often enough; both are medians over the last eight
weeks. The recent level is an exponentially fading mean of what is left. A day that does not ``learn`` (suspected,
closed, odd, incomplete), and a day before the tenant, the contract or the equipment changed, is not among them.
Nothing else is looked at: no clock, no weather, no model that has to be fitted. [OURS]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from collector.days.day import QUARTERS, ClosedDay, DayClass
from collector.engine.fleet import Floats
from collector.store.table import Mask, Rows

Figures = npt.NDArray[np.floating[Any]]
"""As a closed day keeps them: of half or single precision."""

DAYS_LOOKED_AT: Final = 56
FEWEST_DAYS: Final = 7
"""Clean days before anything is expected of a meter."""
FEWEST_OF_CLASS: Final = 3
"""Clean days of a class before anything is expected of the next."""

_STANDS_FOR: Final[dict[DayClass, DayClass]] = {"holiday": "sunday"}
_FADES: Final = 0.75  # weight of a day against the next clean day  [OURS]
_SHRINKS: Final = 0.5  # days of "like the others" that a weekday has to outweigh  [OURS]
_LEAST_KWH: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Past:
    """Closed days, oldest first, over the meters of the last one; matrices are (days, meters)."""

    days: tuple[ClosedDay, ...]
    meters: tuple[str, ...]
    places: tuple[Rows | None, ...]  # row of each meter, None = the same rows
    clean: Mask
    kwh: Floats  # of the day, quarters nobody knows counted as the others
    peak_kw: Floats  # highest quarter

    @classmethod
    def of(cls, days: Sequence[ClosedDay], since: Sequence[date | None]) -> Past:
        """Line the days up; what lies before ``since`` of a meter is not clean."""
        days = tuple(days[-DAYS_LOOKED_AT:])
        meters = days[-1].meters
        shape = len(days), len(meters)
        clean = np.zeros(shape, np.bool_)
        kwh, peak = np.full(shape, np.nan), np.full(shape, np.nan)
        places = []
        for i, closed in enumerate(days):
            place = _place(closed.meters, meters)
            known, rows = (slice(None), slice(None)) if place is None else (place >= 0, place[place >= 0])
            net = closed.net[rows]
            counted = ~np.isnan(net)
            number = counted.sum(axis=1)
            sums = np.where(counted, net, 0.0).sum(axis=1, dtype=np.float64)
            kwh[i, known] = np.where(number > 0, sums * QUARTERS / np.maximum(number, 1), np.nan)
            highest = np.where(counted, net, -np.inf).max(axis=1)
            peak[i, known] = np.where(number > 0, highest * 4.0, np.nan)
            clean[i, known] = closed.learns[rows]
            places.append(place)
        for m, start in enumerate(since):
            if start is not None:
                clean[: sum(closed.day < start for closed in days), m] = False
        return cls(days, meters, tuple(places), clean, kwh, peak)

    def net(self, i: int) -> Figures:
        """kWh by quarter of day ``i``, shape (meters, 96); NaN where it is not known."""
        return self.lined_up(i, self.days[i].net)

    def lined_up(self, i: int, values: Figures) -> Figures:
        """Values of day ``i``, one row a meter of that day, as rows of ``meters``; NaN where it had none."""
        place = self.places[i]
        if place is None:
            return values
        found: Figures = np.full((len(self.meters), *values.shape[1:]), np.nan, values.dtype)
        found[place >= 0] = values[place[place >= 0]]
        return found

    def of_class(self, kind: DayClass) -> list[int]:
        """The days of a class."""
        return [i for i, closed in enumerate(self.days) if closed.kind == kind]

    def stand_in(self, kind: DayClass) -> DayClass:
        """The class whose days are looked at for one that was never seen."""
        return _STANDS_FOR[kind] if kind in _STANDS_FOR and not self.of_class(kind) else kind


@dataclass(frozen=True, slots=True)
class Level:
    """What is usual of one figure (kWh or peak kW) of each meter, in ln units."""

    recent: Floats  # (meters,)
    classes: dict[DayClass, Floats]  # how the days of a class differ
    weekdays: Floats  # (7, meters): how a workday differs from the other workdays

    def of(self, kind: DayClass, weekday: int) -> Floats:
        """The expected figure of a day, NaN where the past is too short; shape (meters,)."""
        usual = self.classes.get(kind)
        if usual is None and kind in _STANDS_FOR:
            usual = self.classes.get(_STANDS_FOR[kind])
        elif usual is not None and kind in _STANDS_FOR:
            usual = np.where(np.isnan(usual), self.classes.get(_STANDS_FOR[kind], usual), usual)
        if usual is None:
            return np.full(len(self.recent), np.nan)
        offset = self.weekdays[weekday] if kind == "workday" else 0.0
        found: Floats = np.exp(self.recent + usual + offset)
        return found


def level_of(past: Past, figure: Floats) -> Level:
    """The level of one figure of the past; ``figure`` is (days, meters)."""
    known = past.clean & (figure > _LEAST_KWH)
    logs = np.where(known, np.log(np.where(known, figure, 1.0)), np.nan)
    ordinary = median(logs)
    residual = logs - ordinary
    classes: dict[DayClass, Floats] = {}
    for kind in dict.fromkeys(closed.kind for closed in past.days if closed.kind != "festival"):
        chosen = past.of_class(kind)
        usual = median(residual[chosen])
        classes[kind] = np.where(known[chosen].sum(axis=0) >= FEWEST_OF_CLASS, usual, np.nan)
        residual[chosen] -= np.where(np.isnan(usual), 0.0, usual)
    weekdays = np.zeros((7, len(past.meters)))
    for weekday in range(5):
        chosen = [i for i in past.of_class("workday") if past.days[i].day.weekday() == weekday]
        if chosen:
            number = known[chosen].sum(axis=0)
            usual = np.nan_to_num(median(residual[chosen]))
            weekdays[weekday] = usual * number / (number + _SHRINKS)
            residual[chosen] -= weekdays[weekday]
    festival = past.of_class("festival")
    residual[festival] = np.nan
    counted = ~np.isnan(residual)
    later = np.cumsum(counted[::-1], axis=0)[::-1] - counted  # clean days after this one
    weight = np.where(counted, _FADES**later, 0.0)
    number = counted.sum(axis=0)
    recent = (weight * np.nan_to_num(residual)).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-12)
    recent = np.where(number >= FEWEST_DAYS, ordinary + recent, np.nan)
    return Level(recent, classes, weekdays)


def median(values: Floats) -> Floats:
    """The median over the first axis, NaN where there is no value; (days, n) → (n,)."""
    ordered = np.sort(values, axis=0)  # NaN last
    number = (~np.isnan(values)).sum(axis=0)
    column = np.arange(values.shape[1])
    upper = ordered[np.minimum(number // 2, len(values) - 1), column]
    lower = ordered[np.maximum((number - 1) // 2, 0), column]
    found: Floats = np.where(number > 0, (lower + upper) / 2, np.nan)
    return found


def _place(have: tuple[str, ...], wanted: tuple[str, ...]) -> Rows | None:
    if have == wanted:
        return None
    rows = {name: row for row, name in enumerate(have)}
    return np.array([rows.get(name, -1) for name in wanted], np.intp)
