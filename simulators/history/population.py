"""Who is there: customers with their habits and meters, and the lines they hang on.

Meters are numbered; a line takes the next 10 to 40 of them. Most lines have a master meter, some have none, and some
meters hang on no line at all. Each customer is drawn from the seed and the meter's name alone, each line from the
seed and the line's name: one more meter changes no other meter (only the master above it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np

from simulators.load_curves import TRADES, Floats, Trade, generator, standard_profile, trapezoid

SITE: Final = "town-01"
NOMINAL_V: Final = 220.0

Windows = tuple[tuple[float, float], tuple[float, float]]
Three = tuple[float, float, float]

_TRADES: Final[tuple[Trade, ...]] = tuple(TRADES)
_FREQUENCY: Final = (0.34, 0.2, 0.22, 0.1, 0.14)
_NEVER: Final = (-100.0, -100.0)
_ALL_NIGHT: Final = 0.12  # share of the customers whose night hangs on one phase
_LINELESS: Final = 0.1
_MASTERLESS: Final = 0.15
_WITH_PV: Final = 0.04
_BASE_A: Final = ((15.0, 5.0), (40.0, 10.0), (math.inf, 20.0))  # up to this contract, kVA
_MAXIMUM_A: Final = (40.0, 60.0, 80.0, 100.0, 150.0, 250.0, 400.0, 630.0, 1000.0)
_CONTRACT_STEP_KVA: Final = 5
_CEILING: Final = 1.9  # what the installed machines can draw, in parts of the power at full activity
_CONTRACT_MARGIN: Final = 1.2  # above that
_RATING_MARGIN: Final = 1.8  # of the maximum current above the contract
_REFERENCE: Final = np.arange(96) / 4 + 0.125
_TUESDAY: Final = date(2026, 3, 24)


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer and the meter; powers in kW, hours of the local day."""

    name: str
    line: int  # -1: on no line
    trade: Trade
    windows: Windows  # when it works; beyond 24 means past midnight
    week: tuple[float, ...]  # activity Monday … Sunday
    standby: float  # share of the full activity that is drawn all the time
    hump: float  # how much of the standard profile shows in its day
    unit_kw: float  # power at full activity
    day_sigma: float  # of the day factor, log
    day_memory: float
    noise: float  # of an interval, log
    lumps: float  # of machines that run for a while, log
    cooling: float  # more power for each °C above what is pleasant
    heating: float
    holiday: float  # activity on a public holiday
    closes: float  # probability that it does not open on a day
    tangent: float  # kvar for each kW at work
    share: Three  # phases at work
    night_share: Three  # phases of what is drawn all the time
    one_phase_night: bool
    offset: Three  # of its voltages, share of the nominal
    gain: float  # what the meter shows of what it sees: its class
    start_kwh: float
    pv_kw: float
    contract_kva: float

    @property
    def ceiling_kw(self) -> float:
        """What the installed machines can draw at most."""
        return _CEILING * self.unit_kw

    @property
    def base_current_a(self) -> float:
        """Base current of a meter for that contract."""
        return next(base for limit, base in _BASE_A if self.contract_kva <= limit)

    @property
    def maximum_current_a(self) -> float:
        """Maximum current of a meter for that contract."""
        return _rated(_RATING_MARGIN * self.contract_kva * 1000 / 3 / NOMINAL_V)


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its technical loss, kW at S kVA: ``fixed_kw + linear · S + square · S²``."""

    name: str
    mastered: bool
    fixed_kw: float
    linear: float
    square: float
    gain: float
    start_kwh: float

    @property
    def master(self) -> str:
        """Name of its master meter."""
        return f"{self.name}-master"


@dataclass(frozen=True)
class Population:
    """All customers in the order of their numbers, all lines in the order of theirs."""

    seed: int
    customers: tuple[Customer, ...]
    lines: tuple[Line, ...]

    @cached_property
    def names(self) -> list[str]:
        """Names of the customers' meters."""
        return [one.name for one in self.customers]

    @cached_property
    def line_of(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Line of each customer, -1 for none."""
        return np.array([one.line for one in self.customers], dtype=np.int64)

    @cached_property
    def masters(self) -> list[int]:
        """Numbers of the lines with a master meter."""
        return [n for n, line in enumerate(self.lines) if line.mastered]

    def maximum_current_a(self, line: int) -> float:
        """Maximum current of a line's master, on the primary side."""
        kva = sum(one.contract_kva for one in self.customers if one.line == line)
        return _rated(kva * 1000 / 3 / NOMINAL_V)


def settle(seed: int, meters: int) -> Population:
    """Draw a population of so many customers."""
    lines: list[Line] = []
    customers: list[Customer] = []
    block = 0
    while len(customers) < meters:
        rng = generator(seed, "block", block)
        lineless = rng.random() < _LINELESS and block > 0
        size = int(rng.integers(10, 41)) // (3 if lineless else 1)
        number = -1 if lineless else len(lines)
        if not lineless:
            lines.append(_line(seed, len(lines)))
        for _ in range(min(size, meters - len(customers))):
            customers.append(_customer(seed, f"m{len(customers) + 1:04d}", number))
        block += 1
    return Population(seed, tuple(customers), tuple(lines))


def activity(hour: Floats, windows: Floats) -> Floats:
    """0 outside the hours, 1 inside: ``windows`` of shape (2, 2, n) → (hour, n)."""
    found = np.zeros((len(hour), windows.shape[2]))
    for start, end in windows:
        for wrap in (-24, 0):
            np.maximum(found, trapezoid(hour[:, None], start + wrap, end + wrap), out=found)
    return found


def _line(seed: int, number: int) -> Line:
    name = f"f{number + 1:02d}"
    rng = generator(seed, name, "line")
    return Line(
        name=name,
        mastered=number == 0 or rng.random() >= _MASTERLESS,
        fixed_kw=float(rng.uniform(0.1, 0.8)),
        linear=float(rng.uniform(0.002, 0.015)),
        square=float(rng.uniform(0.005, 0.03) / 120),
        gain=_gain(rng),
        start_kwh=float(rng.uniform(1e4, 5e5)),
    )


def _customer(seed: int, name: str, line: int) -> Customer:
    rng = generator(seed, name, "customer")
    trade = _TRADES[int(rng.choice(len(_TRADES), p=_FREQUENCY))]
    hours = TRADES[trade]
    opens, closes = rng.normal(0, 0.7), rng.normal(0, 0.7)
    shifted = [(start + opens, max(end + closes, start + opens + 1.5)) for start, end in hours.open]
    windows = (shifted[0], shifted[1] if len(shifted) > 1 else _NEVER)
    week = _week(rng, hours.weekend)
    standby = float(np.clip(hours.standby * rng.lognormal(0, 0.5), 0.015, 0.5))
    hump = float(rng.uniform(0.15, 0.65))
    one_phase_night = bool(rng.random() < _ALL_NIGHT)
    power_factor = float(rng.uniform(*hours.power_factor))
    unit_kw = _monthly_kwh(rng) / 720 / _mean_activity(trade, windows, week, standby, hump)
    return Customer(
        name=name,
        line=line,
        trade=trade,
        windows=windows,
        week=week,
        standby=standby,
        hump=hump,
        unit_kw=unit_kw,
        day_sigma=float(rng.uniform(0.04, 0.16)),
        day_memory=float(rng.uniform(0.2, 0.8)),
        noise=float(rng.uniform(0.03, 0.14)),
        lumps=float(rng.choice([0.05, 0.15, 0.35], p=[0.4, 0.4, 0.2])),
        cooling=float(rng.uniform(0, 0.05)),
        heating=float(rng.choice([0, rng.uniform(0, 0.03)])),
        holiday=_holiday(rng, trade),
        closes=float(rng.choice([0, 0.004, 0.015], p=[0.4, 0.4, 0.2])),
        tangent=math.tan(math.acos(power_factor)),
        share=_shares(rng.uniform(0.28, 0.39, 3)),
        night_share=_shares(rng.permutation([0.9, 0.06, 0.04]) if one_phase_night else rng.uniform(0.28, 0.39, 3)),
        one_phase_night=one_phase_night,
        offset=_three(rng.uniform(-0.012, 0.018, 3)),
        gain=_gain(rng),
        start_kwh=float(rng.uniform(100, 5e4)),
        pv_kw=round(float(rng.uniform(0.5, 1.3)) * unit_kw, 1) if rng.random() < _WITH_PV else 0.0,
        contract_kva=_contract(_CEILING * unit_kw / power_factor),
    )


def _monthly_kwh(rng: np.random.Generator) -> float:
    """Mostly 1,000 to 5,000; some start-ups below, a few large ones above."""
    low, high = ((200, 1000), (1000, 5000), (5000, 20000))[int(rng.choice(3, p=[0.1, 0.83, 0.07]))]
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _week(rng: np.random.Generator, weekend: tuple[float, float]) -> tuple[float, ...]:
    week = np.array((1.0,) * 5 + weekend) * rng.lognormal(0, 0.07, 7)
    week[5:] *= rng.lognormal(0, 0.25)
    if rng.random() < 0.15:  # noqa: PLR2004 - a day of rest of its own
        week[int(rng.integers(7))] *= rng.uniform(0, 0.3)
    return tuple(np.clip(week, 0, 1.35).tolist())


def _holiday(rng: np.random.Generator, trade: Trade) -> float:
    if rng.random() < {"manufacturing": 0.85, "logistics": 0.4, "catering": 0.25}.get(trade, 0.2):
        return float(rng.uniform(0, 0.15))
    return float(rng.uniform(0.7, 1.25))


def _mean_activity(trade: Trade, windows: Windows, week: tuple[float, ...], standby: float, hump: float) -> float:
    working = activity(_REFERENCE, np.array(windows)[:, :, None])[:, 0]
    profile = _flat_profile(trade)
    return standby + (1 - standby) * float(np.mean(week)) * float((working * (1 - hump + hump * profile)).mean())


def _flat_profile(trade: Trade) -> Floats:
    """The standard profile of a Tuesday in March, highest value 1, shape (96,)."""
    profile = standard_profile(TRADES[trade].profile, _TUESDAY)
    return np.asarray(profile / profile.max(), dtype=np.float64)


def _contract(kva: float) -> float:
    return float(_CONTRACT_STEP_KVA * math.ceil(_CONTRACT_MARGIN * kva / _CONTRACT_STEP_KVA))


def _rated(current_a: float) -> float:
    return next((rated for rated in _MAXIMUM_A if rated >= current_a), math.ceil(current_a / 1000) * 1000.0)


def _gain(rng: np.random.Generator) -> float:
    return float(1 + np.clip(rng.normal(0, 0.0022), -0.005, 0.005))


def _shares(parts: Floats) -> Three:
    return _three(parts / parts.sum())


def _three(values: Floats) -> Three:
    a, b, c = values.tolist()
    return a, b, c
