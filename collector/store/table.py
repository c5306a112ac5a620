"""What is written to a store: whole columns of scaled integers, never rows of floats.

A row is identified by measurement, series (gateway and meter) and time. Writing it again overwrites it with
the same values, so that a resend is harmless. The series holds nothing that can change: the site of a meter
is a fact of the registry, and a resend under another registry would be stored twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

READING: Final = "reading"
METER_EVENT: Final = "meter_event"
LOAD_BLOCK: Final = "load_block"
ENERGY_DAY: Final = "energy_day"
ENERGY_MONTH: Final = "energy_month"
SUSPICION: Final = "suspicion"
FORECAST_BLOCK: Final = "forecast_block"
FORECAST_DAY: Final = "forecast_day"
FORECAST_MONTH: Final = "forecast_month"

SUSPICION_COLUMNS: Final = ("score",)
"""Columns of ``suspicion``, one row a meter and local day, stamped with the day's first instant: 0 … 1."""

LOAD_BLOCK_COLUMNS: Final = ("import_kwh", "export_kwh", "import_kvarh", "covered", "estimated")
"""Columns of ``load_block``, one row a meter and quarter of an hour, stamped with the block's first instant: energy
by register, the share of the block that measured intervals cover (0…1), and 1 where energy was spread over a gap."""

ENERGY_DAY_COLUMNS: Final = (
    "sharp",
    "peak",
    "flat",
    "valley",
    "total",
    "estimated",
    "night",
    "own_window",
    "export",
    "kvarh",
    "maximum_demand",
    "maximum_demand_at",
    "sliding_demand",
    "sliding_demand_at",
    "peak_kva",
    "peak_kva_at",
    "coverage",
    "complete",
    "readings",
    "failures",
    "revision",
)
"""Columns of ``energy_day`` and ``energy_month``, one row a meter and local day or billing month, stamped with its
first instant: kWh by period and in all, kWh whose period is an estimate, kWh at night and in the trade's own window,
kWh export, kvarh import; the highest 15-minute demand by blocks and sliding in steps of five minutes (kW), and the
highest mean apparent power of a block (kVA), each with the start of its quarter of an hour (ms); the share that
measured intervals cover, whether it is complete (1 or 0), rows that came and rows that failed, and how often what was
stated has changed (no value = never)."""

_WITH_INTERVALS: Final = ("", "_low_80", "_high_80", "_low_95", "_high_95")

FORECAST_BLOCK_COLUMNS: Final = tuple(f"kwh{bound}" for bound in _WITH_INTERVALS)
"""Columns of ``forecast_block``, one row a meter and quarter of an hour to come, stamped with its first instant:
expected kWh (import less export) and its intervals of 80 % and 95 %."""

FORECAST_DAY_COLUMNS: Final = (
    "known",
    "clean_days",
    *(f"kwh{bound}" for bound in _WITH_INTERVALS),
    *(f"peak_kw{bound}" for bound in _WITH_INTERVALS),
    "peak_at",
)
"""Columns of ``forecast_day``, one row a meter and local day to come, stamped with its first instant: whether
anything is expected (1 or 0: no other column counts), clean days it rests on, expected kWh, highest 15-minute demand
(kW), and when the expected curve is highest (ms)."""

FORECAST_MONTH_COLUMNS: Final = (
    "known",
    "days_left",
    "so_far_kwh",
    *(f"kwh{bound}" for bound in _WITH_INTERVALS),
    "so_far_peak_kw",
    *(f"peak_kw{bound}" for bound in _WITH_INTERVALS),
)
"""Columns of ``forecast_month``, one row a meter and billing month, stamped with its first instant and written anew
each day: whether anything is expected, days left, kWh counted so far and expected at the end, highest demand (kW)
reached so far and expected at the end."""

DECIMALS: Final = 4
"""Of a determinant: 0.1 Wh, 0.1 W."""

LOAD_PROFILE: Final = "load_profile"
"""``origin`` of a reading that the meter itself had kept, and stamped by its own clock; live readings have none."""


@dataclass(frozen=True, slots=True)
class Series:
    """What identifies a meter for ever."""

    gateway: str
    meter: str


@dataclass(frozen=True, slots=True)
class Scaled:
    """One column: value = integer / 10**decimals; ``valid`` marks the rows that have one (None = all)."""

    name: str
    decimals: int
    integers: Ints
    valid: Mask | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one measurement; row i belongs to ``series[rows[i]]`` at ``at[i]`` ms since 1970 UTC."""

    measurement: str
    series: list[Series]
    rows: Rows
    at: Ints
    columns: tuple[Scaled, ...]
    origin: str = ""  # of all its rows; stored beside the values unless it is empty

    def __len__(self) -> int:
        return len(self.at)


def scaled(name: str, decimals: int, values: npt.NDArray[np.float64]) -> Scaled:
    """Floats → one column; NaN is "no value"."""
    valid = ~np.isnan(values)
    rounded = np.rint(np.where(valid, values, 0.0) * 10**decimals)
    return Scaled(name, decimals, rounded.astype(np.int64), None if valid.all() else valid)
