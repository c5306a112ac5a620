"""Whatever meters count: intervals are ordered, nothing is below zero, and the same days give the same forecast."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.forecast.past import median
from tests.support.closed_days import MONDAY, Site, rows

BOUNDS = ("_low_95", "_low_80", "", "_high_80", "_high_95")


def lived(seed: int, days: int, wild: float, gaps: float) -> Site:
    site = Site(["m-1", "m-2", "m-3"])
    rng = np.random.default_rng(seed)
    for n in range(days):
        day = MONDAY + timedelta(days=n)
        net = site.usual(day) * rng.lognormal(0, wild, (3, 1)) * rng.lognormal(0, wild, (3, 96))
        net[rng.random(net.shape) < gaps] = np.nan
        site.close(day, net, learns=bool(rng.random() < 0.9))
    return site


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    days=st.integers(1, 40),
    wild=st.floats(0.0, 2.0),
    gaps=st.sampled_from([0.0, 0.05, 0.9]),
)
def test_intervals_are_ordered_and_nothing_is_below_zero(seed: int, days: int, wild: float, gaps: float) -> None:
    site = lived(seed, days, wild, gaps)
    day = MONDAY + timedelta(days=days)

    told = site.close(day, site.usual(day), keep=False)

    for measurement, names in (
        ("forecast_block", ("kwh",)),
        ("forecast_day", ("kwh", "peak_kw")),
        ("forecast_month", ("kwh", "peak_kw")),
    ):
        for row in rows(told, measurement):
            for name in names:
                values = [row[f"{name}{bound}"] for bound in BOUNDS if f"{name}{bound}" in row]
                assert len(values) in (0, len(BOUNDS))
                assert values == sorted(values)
                assert all(np.isfinite(value) and value >= 0 for value in values)
    again = site.close(day, site.usual(day), keep=False)
    assert [rows(again, name) for name in ("forecast_block", "forecast_day", "forecast_month")] == [
        rows(told, name) for name in ("forecast_block", "forecast_day", "forecast_month")
    ]


@given(st.lists(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=3, max_size=3), min_size=1, max_size=9))
def test_the_median_is_that_of_the_known_values(values: list[list[float]]) -> None:
    matrix = np.array(values)

    found = median(matrix)

    for column, value in zip(matrix.T, found, strict=True):
        known = column[~np.isnan(column)]
        assert np.isnan(value) if not len(known) else value == np.median(known)
