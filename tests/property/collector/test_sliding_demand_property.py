"""Sliding demand against exact fractions of every window."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.engines import engine, judge, registry
from tests.support.rounds import MINUTE, T0, make_round

Reading = tuple[int, int]  # ms, Wh


def energy_at(readings: list[Reading], at: int) -> Fraction:
    """Wh at an instant, on the straight line between the readings around it."""
    for (t0, e0), (t1, e1) in pairwise(readings):
        if t0 <= at <= t1:
            return e0 + Fraction((e1 - e0) * (at - t0), t1 - t0)
    raise AssertionError(at)


def brute_force(readings: list[Reading]) -> Fraction | None:
    """The highest mean power (kW) of 15 minutes that end on a step of five and hold no interval above 7.5 minutes."""
    long_ones = [(t0, t1) for (t0, _), (t1, _) in pairwise(readings) if t1 - t0 > 450_000]
    first = -(-readings[0][0] // (5 * MINUTE)) * 5 * MINUTE
    found = []
    for start in range(first, readings[-1][0] - 15 * MINUTE + 1, 5 * MINUTE):
        end = start + 15 * MINUTE
        if not any(t0 < end and start < t1 for t0, t1 in long_ones):
            found.append((energy_at(readings, end) - energy_at(readings, start)) * 4 / 1000)
    return max(found, default=None)


@st.composite
def series(draw: st.DrawFn) -> list[Reading]:
    at, energy = T0 + draw(st.integers(0, 3_600_000)), 10**6
    readings = [(at, energy)]
    for _ in range(draw(st.integers(10, 120))):
        elapsed = draw(
            st.sampled_from([MINUTE, MINUTE, 59_700, 60_450, 300_000, 2 * MINUTE, 420_000, 450_000, 500_000])
        )
        at += elapsed
        energy += draw(st.integers(0, 15 * elapsed // 1000))
        readings.append((at, energy))
    return readings


@settings(max_examples=80, deadline=None)
@given(series())
def test_the_highest_sliding_window_of_a_day_is_exact(readings: list[Reading]) -> None:
    # A reading on the next day closes the day, so that every window of this one is told.
    readings.append((T0 + 24 * 60 * MINUTE + 1, readings[-1][1] + 1))
    after = [(T0 + 24 * 60 * MINUTE + 1 + i * MINUTE, readings[-1][1] + i) for i in range(1, 40)]
    judging = engine(registry(["m-1"]))
    rounds = [
        make_round({"active_energy_import": [wh / 1000]}, meters=["m-1"], at=at) for at, wh in [*readings, *after]
    ]

    found = None
    for table in judge(judging, rounds).tables:
        for column in table.columns:
            if table.measurement == "energy_day" and column.name == "sliding_demand" and table.at[0] == T0:
                found = int(column.integers[-1]) / 10**column.decimals

    expected = brute_force(readings)
    assert found == (None if expected is None else pytest.approx(float(expected), abs=6e-5))
