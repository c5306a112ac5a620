"""What flows through a meter at an instant, what the meter sees of it, and what its registers have counted.

Within one minute everything is constant, so energy is piecewise linear and a register is the exact integral of
the power that the meter shows (unless a scenario slows the register). Two views:

    true      what the customer draws
    metered   what the meter's circuits see: equal to the true view until somebody touches the wiring

Honest shops are moderately unbalanced (phase shares about 25 to 42 %, for minutes more), but no phase stands near
zero while the others carry load. Days have 24 hours: the world here has no daylight saving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import hypot
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.load_curves import MINUTES, TRADES, Demand, Floats, generator
from simulators.scenarios import Scenario

Three = tuple[float, float, float]

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Rating:
    """The name plate of a direct-connected three-phase meter, and the contract of its customer."""

    nominal_voltage_v: float
    base_current_a: float
    maximum_current_a: float
    contract_kva: float


@dataclass(frozen=True, slots=True)
class Flow:
    """Electricity at one instant, by phase: V, A, kW, kvar (positive = import, inductive)."""

    voltage_v: Three
    current_a: Three
    active_kw: Three
    reactive_kvar: Three
    frequency_hz: float

    @property
    def total_kw(self) -> float:
        """Active power of all phases."""
        return sum(self.active_kw)

    @property
    def total_kvar(self) -> float:
        """Reactive power of all phases."""
        return sum(self.reactive_kvar)

    @property
    def total_kva(self) -> float:
        """Apparent power as the root of the squares of both sums."""
        return hypot(self.total_kw, self.total_kvar)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a meter knows at one instant. Registers by phase: kWh and kvarh."""

    flow: Flow
    import_kwh: Three
    import_kvarh: Three
    export_kwh: Three = (0.0, 0.0, 0.0)
    export_kvarh: Three = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Day:
    """One day, minute by minute."""

    power_kw: npt.NDArray[np.float32]  # (1440,) true
    share: npt.NDArray[np.float32]  # (1440, 3) of the true power
    tangent: npt.NDArray[np.float32]  # (1440, 3) kvar per kW
    voltage_v: npt.NDArray[np.float32]  # (1440, 3)
    seen: npt.NDArray[np.float32]  # (1440, 3) share of the current
    frequency_hz: npt.NDArray[np.float32]  # (1440,)
    kwh: Floats  # (1441, 3) counted since midnight
    kvarh: Floats  # (1441, 3) the same


class SimulatedMeter:
    """One meter and its customer; a pure function of the instant, with the last day kept for speed."""

    def __init__(
        self, demand: Demand, rating: Rating, midnight: tuple[date, int], scenarios: Sequence[Scenario] = ()
    ) -> None:
        """Take a customer, a meter, what is done to it, and ``midnight``: its first day and that instant in ms."""
        self.name = demand.meter
        self.demand = demand
        self.rating = rating
        self.scenarios = tuple(scenarios)
        self._first, self._midnight_ms = midnight
        rng = self._generator("installation")
        self._start_kwh = rng.uniform(150, 3000, 3)
        self._own_share = _normalised(rng.uniform(0.27, 0.40, 3))
        low, high = TRADES[demand.trade].power_factor
        self._tangents = np.tan(np.arccos(np.array([high, low])))
        self._own_tangent = rng.uniform(self._tangents[0], self._tangents[1], 3)
        self._own_voltage = rating.nominal_voltage_v * (1 + rng.uniform(-0.012, 0.018, 3))
        self._before: list[tuple[Floats, Floats]] = [(self._start_kwh, self._start_kwh * self._own_tangent)]
        self._kept: tuple[int, _Day] | None = None

    def true_flow(self, at_ms: int) -> Flow:
        """What the customer draws at an instant (ms since 1970 UTC)."""
        day, minute, _ = self._locate(at_ms)
        return self._flow(self._day(day), minute, metered=False)

    def reading(self, at_ms: int) -> Reading:
        """What the meter shows at an instant (ms since 1970 UTC); before its first day it stands still."""
        number, minute, hours = self._locate(at_ms)
        kwh, kvarh = self._registers_at_midnight(number)  # first: it may need the days before
        day = self._day(number)
        flow = self._flow(day, minute, metered=True)
        done = hours * 60  # share of the running minute
        return Reading(
            flow,
            _three(kwh + day.kwh[minute] + (day.kwh[minute + 1] - day.kwh[minute]) * done),
            _three(kvarh + day.kvarh[minute] + (day.kvarh[minute + 1] - day.kvarh[minute]) * done),
        )

    def metered_kw(self, first_ms: int, minutes: int) -> Floats:
        """Metered active power by phase in each minute from a whole minute on, kW, shape (minutes, 3)."""
        rows = [self._locate(first_ms + n * _MINUTE_MS) for n in range(minutes)]
        return np.array([self._flow(self._day(day), minute, metered=True).active_kw for day, minute, _ in rows])

    def _generator(self, *names: object) -> np.random.Generator:
        return generator(self.demand.seed, self.name, *names)

    def _locate(self, at_ms: int) -> tuple[int, int, float]:
        """Number of the day, minute of the day, hours since that minute began."""
        since_ms = max(0, at_ms - self._midnight_ms)
        number, rest_ms = divmod(since_ms, _DAY_MS)
        minute, rest_ms = divmod(rest_ms, _MINUTE_MS)
        return number, minute, rest_ms / 3_600_000

    def _registers_at_midnight(self, number: int) -> tuple[Floats, Floats]:
        while len(self._before) <= number:
            kwh, kvarh = self._before[-1]
            day = self._day(len(self._before) - 1)
            self._before.append((kwh + day.kwh[-1], kvarh + day.kvarh[-1]))
        return self._before[number]

    def _day(self, number: int) -> _Day:
        if self._kept is None or self._kept[0] != number:
            self._kept = (number, self._make(number))
        return self._kept[1]

    def _flow(self, day: _Day, minute: int, *, metered: bool) -> Flow:
        active = day.power_kw[minute].astype(np.float64) * day.share[minute]
        if metered:
            active = active * day.seen[minute]
        reactive = active * day.tangent[minute]
        voltage = day.voltage_v[minute].astype(np.float64)
        return Flow(
            _three(voltage),
            _three(np.hypot(active, reactive) * 1000 / voltage),
            _three(active),
            _three(reactive),
            float(day.frequency_hz[minute]),
        )

    def _make(self, number: int) -> _Day:
        today = self._first + timedelta(days=number)
        rng = self._generator("electricity", today)
        share = self._shares(rng)
        tangent = np.clip(self._own_tangent + 0.03 * _wander(rng, 3), *self._tangents)
        power, seen, counted = self._touched(number, today, share, tangent)
        loaded = power[:, None] * share * 1000 / self._own_voltage
        voltage = self._own_voltage * (1 + 0.006 * _wander(rng, 3)) - 0.04 * loaded
        frequency = 50 + 0.015 * _wander(rng, 1)[:, 0]
        # The registers count what the stored, rounded columns say, so that they agree with the power exactly.
        shown = _small(power).astype(np.float64)[:, None] * _small(share) * _small(seen)
        return _Day(
            power_kw=_small(power),
            share=_small(share),
            tangent=_small(tangent),
            voltage_v=_small(voltage),
            seen=_small(seen),
            frequency_hz=_small(frequency),
            kwh=_counted(shown, counted),
            kvarh=_counted(shown * _small(tangent), counted),
        )

    def _shares(self, rng: np.random.Generator) -> Floats:
        """Shares of the phases, shape (1440, 3): the customer's own, a slow drift, a few lopsided minutes."""
        share = self._own_share + 0.012 * _wander(rng, 3)
        for _ in range(int(rng.integers(0, 4))):
            start, lasts, phase = int(rng.integers(MINUTES)), int(rng.integers(4, 16)), int(rng.integers(3))
            share[start : start + lasts, phase] *= rng.uniform(1.4, 1.9)
        return _normalised(share)

    def _touched(self, number: int, today: date, share: Floats, tangent: Floats) -> tuple[Floats, Floats, Floats]:
        """Power, seen share by phase and counted share of the day, with the scenarios applied."""
        power = self.demand.day_kw(today)
        seen, counted = np.ones((MINUTES, 3)), np.ones(MINUTES)
        kva_per_kw = np.sqrt(1 + (share * tangent).sum(axis=1) ** 2)
        unsteady = 1 + self._generator("surge", today).normal(0, 0.008, MINUTES)
        for scenario in self.scenarios:
            minutes = self._minutes(scenario, number)
            seen[minutes, scenario.phase] *= scenario.seen
            counted[minutes] *= scenario.counted
            if (kva := scenario.load_kva(self.rating.contract_kva)) is not None:
                power[minutes] = (kva * unsteady / kva_per_kw)[minutes]
        return power, seen, counted

    def _minutes(self, scenario: Scenario, number: int) -> slice:
        midnight_ms = self._midnight_ms + number * _DAY_MS
        bounds = ((at - midnight_ms) // _MINUTE_MS for at in (scenario.starts_at_ms, scenario.ends_at_ms))
        start, stop = (min(max(minute, 0), MINUTES) for minute in bounds)
        return slice(start, stop)


def _small(values: Floats) -> npt.NDArray[np.float32]:
    """Single precision: a day of hundreds of meters has to stay in memory."""
    return values.astype(np.float32)


def _counted(power: Floats, counted: Floats) -> Floats:
    """Energy since midnight at the start of each minute, shape (1441, 3), from power by phase."""
    energy = np.zeros((MINUTES + 1, 3))
    np.cumsum(power * counted[:, None] / 60, axis=0, out=energy[1:])
    return energy


def _wander(rng: np.random.Generator, columns: int) -> Floats:
    """Slow noise of unit strength, shape (1440, columns): a new value every half hour, straight lines between."""
    knots = rng.normal(0, 1, (49, columns)).clip(-2.5, 2.5)
    at = np.linspace(0, MINUTES, 49)
    return np.stack([np.interp(np.arange(MINUTES), at, knots[:, c]) for c in range(columns)], axis=1)


def _normalised(share: Floats) -> Floats:
    return np.asarray(share / share.sum(axis=-1, keepdims=True), dtype=np.float64)


def _three(values: Floats) -> Three:
    a, b, c = values.tolist()
    return a, b, c
