"""Forecasts as rows for the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from collector.engine.fleet import Floats
from collector.forecast.day_ahead import DayAhead, Expected
from collector.forecast.month_end import MonthEnd
from collector.store.table import (
    DECIMALS,
    FORECAST_BLOCK,
    FORECAST_DAY,
    FORECAST_MONTH,
    Rows,
    Scaled,
    Series,
    Table,
    scaled,
)
from collector.tariff.calendar import BLOCK_MS, LocalDay

_INTERVALS: Final = ("80", "95")  # of ``spread.SHARES``, per cent

Chosen = Callable[[Floats], Floats]
"""What of a figure of all meters goes into a column."""


def day_tables(series: list[Series], slots: Rows, ahead: DayAhead, day: LocalDay) -> list[Table]:
    """The curve of the known meters block by block, and one row a meter for the day."""
    known = np.flatnonzero(ahead.known)
    blocks = np.arange(day.first, day.end, dtype=np.int64)
    curve = _figures("kwh", ahead.quarters, lambda values: values[known][:, day.quarters].ravel())
    of_block = Table(
        FORECAST_BLOCK, series, np.repeat(slots[known], len(blocks)), np.tile(blocks * BLOCK_MS, len(known)), curve
    )
    on_clock = ahead.quarters.best[:, day.quarters]
    with np.errstate(divide="ignore", invalid="ignore"):  # a day of 92 or 100 blocks
        longer = np.nan_to_num(np.abs(on_clock).sum(axis=1) / np.abs(ahead.quarters.best).sum(axis=1), nan=1.0)
    highest = np.argmax(np.nan_to_num(on_clock, nan=-np.inf), axis=1)
    peak_at = np.where(ahead.known, (day.first + highest) * float(BLOCK_MS), np.nan)
    of_day = (
        scaled("known", 0, ahead.known.astype(np.float64)),
        scaled("clean_days", 0, ahead.clean_days),
        *_figures("kwh", ahead.kwh, lambda values: np.where(ahead.known, values * longer, np.nan)),
        *_figures("peak_kw", ahead.peak_kw, lambda values: np.where(ahead.known, values, np.nan)),
        scaled("peak_at", 0, peak_at),
    )
    at = np.full(len(slots), day.first * BLOCK_MS, np.int64)
    return [of_block, Table(FORECAST_DAY, series, slots, at, of_day)]


def month_table(series: list[Series], slots: Rows, month: MonthEnd, first: int) -> Table:
    """One row a meter; ``first`` is the first block of the month."""
    known = ~np.isnan(month.kwh.best)
    columns = (
        scaled("known", 0, known.astype(np.float64)),
        scaled("days_left", 0, np.full(len(slots), float(month.days_left))),
        scaled("so_far_kwh", DECIMALS, month.so_far_kwh),
        *_figures("kwh", month.kwh, lambda values: values),
        scaled("so_far_peak_kw", DECIMALS, month.so_far_peak_kw),
        *_figures("peak_kw", month.peak_kw, lambda values: values),
    )
    return Table(FORECAST_MONTH, series, slots, np.full(len(slots), first * BLOCK_MS, np.int64), columns)


def _figures(name: str, expected: Expected, chosen: Chosen) -> tuple[Scaled, ...]:
    columns = [scaled(name, DECIMALS, chosen(expected.best))]
    for share, low, high in zip(_INTERVALS, expected.low, expected.high, strict=True):
        columns += [scaled(f"{name}_low_{share}", DECIMALS, chosen(low))]
        columns += [scaled(f"{name}_high_{share}", DECIMALS, chosen(high))]
    return tuple(columns)
