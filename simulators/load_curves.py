"""What a business really draws: one power value a minute, the same for ever for (seed, meter, day).

The shape of a day is a standard load profile (BDEW G0 … G6, the table that demandlib ships) bent by the hours
of the trade: 零售 9–21, 制造 8–18, 餐饮 noon and evening, 仓储 night sorting, 电商 long days with festival surges.
A standard profile is the mean of many customers and far too smooth for one, so every meter adds its own opening
hours, day factor, slow wander, machine cycles and small events. Days are independent of each other: any day can be made
without the days before it.

The profile table is read as a file. demandlib's ``ElecSlp`` would import pandas (over a second) and, with
pandas 3.1, raises on a deprecation that it turns into an error itself.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal
from zlib import crc32

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Trade = Literal["retail", "manufacturing", "catering", "logistics", "ecommerce"]
MonthDay = tuple[int, int]

MINUTES: Final = 1440
FESTIVALS: Final[tuple[MonthDay, ...]] = ((6, 18), (11, 11))

_QUARTERS: Final = 96
_DAYS_A_MONTH: Final = 30


@dataclass(frozen=True, slots=True)
class Hours:
    """When a trade works, and which standard profile its work follows."""

    profile: str  # column of the BDEW table
    open: tuple[tuple[float, float], ...]  # hours; beyond 24 means past midnight
    standby: float  # share of the peak drawn outside these hours
    weekend: tuple[float, float]  # activity on Saturday and Sunday, weekday = 1
    power_factor: tuple[float, float]
    festival: float = 1.0  # activity on a festival


TRADES: Final[dict[Trade, Hours]] = {
    "retail": Hours("g4", ((9, 21),), 0.14, (1.12, 1.15), (0.91, 0.97)),
    "manufacturing": Hours("g1", ((8, 12), (13, 18)), 0.10, (0.75, 0.15), (0.85, 0.92)),
    "catering": Hours("g2", ((10, 14), (16.5, 21.5)), 0.16, (1.15, 1.12), (0.90, 0.96)),
    "logistics": Hours("g3", ((20, 28),), 0.25, (0.9, 0.8), (0.87, 0.94)),
    "ecommerce": Hours("g0", ((9, 23),), 0.18, (1.0, 0.95), (0.90, 0.97), festival=1.35),
}


@dataclass(frozen=True)
class Demand:
    """The demand of one meter; a pure function of its fields."""

    seed: int
    meter: str
    trade: Trade
    monthly_kwh: float
    ceiling_kw: float = float("inf")  # what the installed machines can draw at most
    festivals: Sequence[MonthDay] = FESTIVALS

    def day_kw(self, day: date) -> Floats:
        """Active power of each minute of a local day, kW, shape (1440,)."""
        rng = generator(self.seed, self.meter, "demand", day)
        shape = self._shape(day)
        wander = np.interp(np.arange(MINUTES), np.linspace(0, MINUTES, 49), rng.normal(0, 0.06, 49))
        factor = np.exp(rng.normal(0, 0.04) + wander + rng.normal(0, 0.015, MINUTES))
        kw = self._unit_kw * (shape * factor + self._machines(rng, shape))
        return np.minimum(kw, self.ceiling_kw)

    def peak_kw(self, first: date, days: int) -> float:
        """Highest 15-minute mean from ``first`` on, as if every day were a festival where the trade has one."""
        surge = TRADES[self.trade].festival
        peaks = (self._plain_peak(first + timedelta(days=d)) for d in range(days))
        return max(peaks) * surge

    def _plain_peak(self, day: date) -> float:
        kw = self.day_kw(day) / (TRADES[self.trade].festival if self._is_festival(day) else 1.0)
        return float(kw.reshape(_QUARTERS, 15).mean(axis=1).max())

    def _is_festival(self, day: date) -> bool:
        return (day.month, day.day) in self.festivals

    @cached_property
    def _unit_kw(self) -> float:
        """Power at activity 1: what makes an ordinary week carry a week's part of ``monthly_kwh``."""
        monday = date(2026, 3, 2)
        mean = float(np.mean([self._activity(monday + timedelta(days=d)) for d in range(7)]))
        return self.monthly_kwh / _DAYS_A_MONTH / 24 / mean

    def _shape(self, day: date) -> Floats:
        surge = TRADES[self.trade].festival if self._is_festival(day) else 1.0
        return self._activity(day) * surge

    def _activity(self, day: date) -> Floats:
        """Between standby and about 1, shape (1440,); no noise."""
        hours = TRADES[self.trade]
        own = generator(self.seed, self.meter, "habits")
        opens_later_h, closes_later_h = own.uniform(-0.5, 0.5, 2)
        working = np.zeros(MINUTES)
        hour = np.arange(MINUTES) / 60
        for start, end in hours.open:
            for wrap in (-24, 0):
                working = np.maximum(
                    working, trapezoid(hour, start + wrap + opens_later_h, end + wrap + closes_later_h)
                )
        profile = np.interp(hour, np.arange(_QUARTERS) / 4 + 0.125, standard_profile(hours.profile, day), period=24)
        calendar = (1.0,) * 5 + hours.weekend
        busy = calendar[day.weekday()] * working * (0.6 + 0.4 * profile / profile.max())
        return np.asarray(hours.standby + (1 - hours.standby) * busy, dtype=np.float64)

    def _machines(self, rng: np.random.Generator, shape: Floats) -> Floats:
        """A compressor that cycles all day and a few machines switched on for a while, in parts of the peak."""
        minute = np.arange(MINUTES)
        period_min, phase_min = rng.uniform(13, 27), rng.uniform(0, 27)
        extra = 0.025 * (((minute + phase_min) % period_min) < 0.45 * period_min)
        for _ in range(int(rng.integers(2, 6))):
            start, lasts = int(rng.integers(0, MINUTES)), int(rng.integers(8, 45))
            extra[start : start + lasts] += rng.uniform(0.02, 0.08) * shape[start]
        return np.asarray(extra, dtype=np.float64)


def generator(seed: int, *names: object) -> np.random.Generator:
    """A random generator of its own for each name: adding a meter changes no other meter."""
    return np.random.default_rng([seed, *(crc32(str(name).encode()) for name in names)])


def standard_profile(column: str, day: date) -> Floats:
    """The BDEW profile of a day in the units of the table, shape (96,): one value a quarter of an hour."""
    return _table()[(_season(day), day.isoweekday(), column)]


@lru_cache(maxsize=1)
def _table() -> dict[tuple[str, int, str], Floats]:
    """Every profile by season, weekday (1 = Monday) and column.

    Raises:
        FileNotFoundError: demandlib is not installed.
    """
    package = find_spec("demandlib")
    if package is None or package.origin is None:
        raise FileNotFoundError("demandlib is not installed: pip install 'wattline[simulators]'")
    found: dict[tuple[str, int, str], list[float]] = {}
    with (Path(package.origin).parent / "bdew" / "bdew_data" / "selp_series.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            for column in ("g0", "g1", "g2", "g3", "g4", "g5", "g6"):
                found.setdefault((row["period"], int(row["weekday"]), column), []).append(float(row[column]))
    return {key: np.array(values) for key, values in found.items()}


def _season(day: date) -> str:
    """The seasons of the BDEW tables."""
    if (5, 15) <= (day.month, day.day) <= (9, 14):
        return "summer"
    if (3, 21) <= (day.month, day.day) <= (10, 31):
        return "transition"
    return "winter"


def trapezoid(hour: Floats, start: float | Floats, end: float | Floats) -> Floats:
    """0 outside, 1 inside, half an hour of slope at either end; shapes are broadcast."""
    return np.clip(np.minimum((hour - start) / 0.5, (end - hour) / 0.5), 0, 1)
