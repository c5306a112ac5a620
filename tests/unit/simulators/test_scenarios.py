"""Honest meters stay clear of every limit of the checks; each scenario crosses its own and no other.

The limits stand here a second time, in the words of the checks, over five-minute readings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from simulators.park import ParkMeter, expand
from simulators.park_settings import ParkSettings, ScenarioSettings
from simulators.scenarios import EXPECTED, ScenarioName

TODAY = datetime(2026, 6, 18, 3, tzinfo=UTC)
STEP_MS = 300_000
READINGS = 2 * 288
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What a collector sees of one meter, one row a reading."""

    at_ms: Floats
    voltage: Floats
    current: Floats
    kw: Floats
    kva: Floats
    kwh: Floats


def read(one: ParkMeter, start_ms: int) -> Seen:
    at = [start_ms + n * STEP_MS for n in range(READINGS + 1)]
    readings = [one.meter.reading(ms) for ms in at]
    return Seen(
        np.array(at, dtype=float),
        np.array([r.flow.voltage_v for r in readings]),
        np.array([r.flow.current_a for r in readings]),
        np.array([r.flow.total_kw for r in readings]),
        np.array([r.flow.total_kva for r in readings]),
        np.array([sum(r.import_kwh) for r in readings]),
    )


def longest(condition: npt.NDArray[np.bool_]) -> int:
    """Length of the longest run of true."""
    best = run = 0
    for value in condition:
        run = run + 1 if value else 0
        best = max(best, run)
    return best


def current_loss(one: ParkMeter, seen: Seen) -> bool:
    base = one.meter.rating.base_current_a
    lost = (seen.voltage > 0.7 * one.meter.rating.nominal_voltage_v) & (seen.current < 0.005 * base)
    return longest(lost.any(axis=1) & (seen.current.max(axis=1) >= 0.05 * base)) >= 3


def current_shunt(one: ParkMeter, seen: Seen, share: float = 0.3) -> bool:
    median = np.median(seen.current, axis=1)
    suspicious = (seen.current.min(axis=1) < share * median) & (median >= 0.05 * one.meter.rating.base_current_a)
    return longest(suspicious) >= 16


def mismatch(seen: Seen) -> float:
    """Largest |Δregister - ∫P dt| over 24 h, as a part of its limit."""
    integral = np.concatenate([[0], np.cumsum((seen.kw[1:] + seen.kw[:-1]) / 2 / 12)])
    day = 288
    counted, drawn = seen.kwh[day:] - seen.kwh[:-day], integral[day:] - integral[:-day]
    return float((np.abs(counted - drawn) / (0.15 * drawn + 0.1)).max())


def quarters(seen: Seen) -> Floats:
    return np.asarray(np.maximum(seen.kw, seen.kva)[:READINGS].reshape(-1, 3).mean(axis=1))


def over(one: ParkMeter, seen: Seen, kva: float) -> bool:
    del one
    return longest(quarters(seen) > kva) >= 2


@lru_cache
def honest(seed: int) -> list[tuple[ParkMeter, Seen]]:
    settings = ParkSettings(seed=seed, start=datetime.fromisoformat("2026-06-18T00:00:00+08:00"))
    park = expand(settings, TODAY)
    return [(one, read(one, park.start_ms)) for one in park.meters]


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_honest_meters_stay_clear_of_every_limit(seed: int) -> None:
    for one, seen in honest(seed):
        base, nominal = one.meter.rating.base_current_a, one.meter.rating.nominal_voltage_v
        median = np.median(seen.current, axis=1)
        assert seen.current.min() > 0.02 * base
        assert (seen.current.min(axis=1) > 0.4 * median).all()
        assert longest(seen.current.min(axis=1) < 0.5 * median) <= 4
        assert seen.current.max() < one.meter.rating.maximum_current_a
        assert (abs(seen.voltage / nominal - 1) < 0.06).all()
        assert quarters(seen).max() < 0.85 * one.meter.rating.contract_kva
        assert mismatch(seen) < 0.35
        assert 1000 <= one.meter.demand.monthly_kwh <= 5000


def touched(scenario: ScenarioName, seed: int, meter: str) -> tuple[ParkMeter, Seen, float]:
    settings = ParkSettings(
        seed=seed,
        start=datetime.fromisoformat("2026-06-18T00:00:00+08:00"),
        scenarios=(ScenarioSettings(meter=meter, scenario=scenario, after="10h", lasts="30h"),),
    )
    park = expand(settings, TODAY)
    one = next(m for m in park.meters if m.meter.name == meter)
    approved = park.approvals[0].kva if park.approvals else 0.0
    return one, read(one, park.start_ms), approved


@pytest.mark.parametrize("seed", [1, 7])
@pytest.mark.parametrize("meter", ["shop-101", "works-201", "kitchen-302", "depot-401", "online-502"])
@pytest.mark.parametrize("scenario", [name for name in EXPECTED if name != "honest"])
def test_a_scenario_crosses_its_limit_and_no_other(scenario: ScenarioName, seed: int, meter: str) -> None:
    one, seen, approved_kva = touched(scenario, seed, meter)
    contract_kva = one.meter.rating.contract_kva

    expected = EXPECTED[scenario]
    assert current_loss(one, seen) == ("current_loss" in expected)
    assert current_shunt(one, seen) == (scenario in ("current_loss", "bypass"))  # an open circuit looks like both
    assert (mismatch(seen) > 1.5) if scenario == "slow_register" else (mismatch(seen) < 0.5)
    assert over(one, seen, contract_kva) == (scenario in ("overload", "approved_surge", "over_approved"))
    if approved_kva:
        assert over(one, seen, approved_kva) == (scenario == "over_approved")
        assert approved_kva > contract_kva
    assert seen.current.max() < 1.2 * one.meter.rating.maximum_current_a
