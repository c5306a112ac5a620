"""How far forecasts of this meter went wrong: the intervals come from its own past errors, and from nothing else.

An error is a share of what was expected: ``|counted − expected| / scale``. The half-width of an interval that shall
hold in a share of all cases is the error of rank ⌈(n + 1) · share⌉ among the last four weeks: as many as are needed
if tomorrow is like any of the days before (split conformal). For quarters of an hour the errors of three hours of the
day are ranked together. Days that do not learn are not among them. While there are few, a floor holds. [OURS]
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from collector.days.day import QUARTERS
from collector.engine.fleet import Floats
from collector.forecast.past import Figures, Past

SHARES: Final = (0.8, 0.95)

_DAYS: Final = 28
_CURVE_DAYS: Final = 14
_BIN: Final = 12  # quarters
_FEW: Final = 14  # errors below which the floor holds
_FLOOR_OF_FEW: Final = (0.25, 0.5)
_FLOOR: Final = (0.02, 0.04)
_LEAST_SHARE: Final = 0.1  # of a mean quarter: the scale of quarters that are nearly empty


@dataclass(frozen=True, slots=True)
class Errors:
    """Past errors, as shares; NaN where there is none."""

    quarters: Figures  # (meters, bins, errors)
    kwh: Floats  # (days, meters)
    peak: Floats  # (days, meters), with their sign: (counted − expected) / expected


def quarter_scale(curve: Figures) -> Floats:
    """What errors of quarters are shares of, shape (meters, 96)."""
    size = np.abs(curve)
    found: Floats = np.maximum(size, _LEAST_SHARE * size.mean(axis=1, keepdims=True) + 1e-6)
    return found


def errors_of(past: Past) -> Errors:
    """The errors of the forecasts that were made on the days of the past."""
    meters = len(past.meters)
    kwh, peak = np.full((_DAYS, meters), np.nan), np.full((_DAYS, meters), np.nan)
    quarters = np.full((_CURVE_DAYS, meters, QUARTERS), np.nan, np.float32)
    number = len(past.days)
    for n, i in enumerate(range(number - 1, max(0, number - 1 - _DAYS), -1)):
        made, day = past.days[i - 1], past.days[i]
        if made.ahead is None or made.day + timedelta(days=1) != day.day:
            continue
        curve = np.where(past.clean[i][:, None], past.lined_up(i - 1, made.ahead.curve).astype(np.float32), np.nan)
        size = np.abs(curve).sum(axis=1, dtype=np.float64)
        expected = curve.sum(axis=1, dtype=np.float64)
        kwh[n] = np.abs(past.kwh[i] - expected) / np.maximum(size, 1e-6)
        expected_peak = past.lined_up(i - 1, made.ahead.peak_kw)
        peak[n] = np.where(past.clean[i], past.peak_kw[i] / np.maximum(expected_peak, 1e-6) - 1.0, np.nan)
        if n < _CURVE_DAYS:
            quarters[n] = np.abs(past.net(i) - curve) / quarter_scale(curve)
    binned = quarters.reshape(_CURVE_DAYS, meters, QUARTERS // _BIN, _BIN).transpose(1, 2, 0, 3)
    return Errors(binned.reshape(meters, QUARTERS // _BIN, -1), kwh, peak)


def half_widths(errors: Figures) -> tuple[Floats, ...]:
    """The half-width for each of ``SHARES``, over the last axis of ``errors``."""
    ordered = np.sort(errors, axis=-1)  # NaN last
    number = (~np.isnan(errors)).sum(axis=-1)
    found = []
    for share, least, least_of_few in zip(SHARES, _FLOOR, _FLOOR_OF_FEW, strict=True):
        rank = np.minimum(np.ceil((number + 1) * share), number).astype(np.intp)
        width = np.take_along_axis(ordered, np.maximum(rank - 1, 0)[..., None], axis=-1)[..., 0]
        floor = np.where(number < _FEW, least_of_few, least)
        found.append(np.fmax(width, floor).astype(np.float64))
    return tuple(found)


def quarter_widths(errors: Errors) -> tuple[Floats, ...]:
    """The half-widths of quarters, shape (meters, 96) each."""
    return tuple(np.repeat(width, _BIN, axis=1) for width in half_widths(errors.quarters))
