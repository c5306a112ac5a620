"""The load curve, the energy and the highest quarter of the next local day, with intervals of 80 % and 95 %.

    curve = usual shape of the class of day × expected energy         (``curve``, ``past``)
    interval = expected ± half-width × scale                          (``spread``)

Nothing is said of a meter before it has seven clean days and three of the class of tomorrow, of a day on which the
account announced to be closed, and of a festival: what that brings, ``festival`` says. Without generation nothing
expected is below zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from collector.days.day import Ahead, DayClass
from collector.engine.fleet import Floats
from collector.forecast.curve import curve_of
from collector.forecast.past import Level, Past, level_of
from collector.forecast.spread import Errors, errors_of, half_widths, quarter_scale, quarter_widths
from collector.store.table import Mask

_LARGEST: Final = 65_504.0  # kWh: what half precision holds


@dataclass(frozen=True, slots=True)
class Expected:
    """A figure with its intervals: low and high for each of ``spread.SHARES``; NaN where nothing is expected."""

    best: Floats
    low: tuple[Floats, ...]
    high: tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class DayAhead:
    """What is expected of the meters of a site on one local day."""

    day: date
    kind: DayClass
    meters: tuple[str, ...]
    known: Mask
    sends_back: Mask  # meters with generation: their figures may be below zero
    clean_days: Floats  # on which it rests
    quarters: Expected  # (meters, 96) kWh
    kwh: Expected  # (meters,)
    peak_kw: Expected  # (meters,)
    peak_level: Level
    kwh_level: Level
    errors: Errors

    def to_remember(self) -> Ahead:
        """What the closed day keeps of it."""
        curve = np.clip(self.quarters.best, -_LARGEST, _LARGEST)
        return Ahead(curve.astype(np.float16), self.peak_kw.best.astype(np.float32))


def day_ahead(past: Past, day: date, kind: DayClass, closed: Mask) -> DayAhead:
    """The forecast of ``day``, the day after the last of ``past``.

    Args:
        past: the closed days.
        day: the day to come.
        kind: its class.
        closed: by meter, whether the account announced to be closed.
    """
    kwh_level, peak_level = level_of(past, past.kwh), level_of(past, past.peak_kw)
    expected_kwh = kwh_level.of(kind, day.weekday())
    curve, sends_back = curve_of(past, kind, day.weekday(), expected_kwh)
    peak = peak_level.of(kind, day.weekday())
    known = ~np.isnan(curve).any(axis=1) & ~np.isnan(peak) & ~closed
    curve = np.where(known[:, None], curve, np.nan)
    errors = errors_of(past)
    size = np.abs(curve).sum(axis=1)
    return DayAhead(
        day=day,
        kind=kind,
        meters=past.meters,
        known=known,
        sends_back=sends_back,
        clean_days=past.clean.sum(axis=0).astype(np.float64),
        quarters=around(curve, quarter_scale(curve), quarter_widths(errors), sends_back[:, None]),
        kwh=around(curve.sum(axis=1), size, half_widths(errors.kwh.T), sends_back),
        peak_kw=around(np.where(known, peak, np.nan), peak, half_widths(np.abs(errors.peak).T), sends_back),
        peak_level=peak_level,
        kwh_level=kwh_level,
        errors=errors,
    )


def around(best: Floats, scale: Floats, widths: tuple[Floats, ...], below_zero: Mask) -> Expected:
    """A figure with its intervals."""
    least = np.where(below_zero, -np.inf, 0.0)
    return Expected(
        best,
        tuple(np.maximum(best - width * scale, least) for width in widths),
        tuple(best + width * scale for width in widths),
    )
