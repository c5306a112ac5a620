from datetime import date, timedelta

import numpy as np
import pytest

from simulators.load_curves import MINUTES, TRADES, Demand, Trade, standard_profile

MONDAY = date(2026, 6, 1)


def month_kwh(demand: Demand) -> float:
    return sum(float(demand.day_kw(MONDAY + timedelta(days=d)).sum()) / 60 for d in range(28)) / 28 * 30


def mean_kw(demand: Demand, day: date, first_hour: float, last_hour: float) -> float:
    return float(demand.day_kw(day)[int(first_hour * 60) : int(last_hour * 60)].mean())


@pytest.mark.parametrize("trade", TRADES)
@pytest.mark.parametrize("monthly_kwh", [1000.0, 5000.0])
def test_a_month_carries_the_energy_of_the_customer(trade: Trade, monthly_kwh: float) -> None:
    demand = Demand(7, "m-1", trade, monthly_kwh, festivals=())

    assert month_kwh(demand) == pytest.approx(monthly_kwh, rel=0.15)


def test_a_day_depends_on_seed_meter_and_day_only() -> None:
    again = Demand(7, "m-1", "retail", 2000.0).day_kw(MONDAY)
    fresh = Demand(7, "m-1", "retail", 2000.0)
    fresh.day_kw(MONDAY + timedelta(days=3))

    assert np.array_equal(again, fresh.day_kw(MONDAY))
    assert not np.array_equal(again, Demand(7, "m-2", "retail", 2000.0).day_kw(MONDAY))
    assert not np.array_equal(again, Demand(8, "m-1", "retail", 2000.0).day_kw(MONDAY))
    assert not np.array_equal(again, fresh.day_kw(MONDAY + timedelta(days=7)))


@pytest.mark.parametrize(
    ("trade", "busy", "quiet"),
    [
        ("retail", (10, 20), (1, 7)),
        ("manufacturing", (9, 11.5), (20, 24)),
        ("catering", (11, 13), (14.7, 15.8)),
        ("catering", (17.5, 20.5), (1, 7)),
        ("logistics", (21, 24), (8, 18)),
        ("logistics", (0, 3), (8, 18)),
        ("ecommerce", (10, 22), (1, 7)),
    ],
)
def test_every_trade_works_in_its_hours(trade: Trade, busy: tuple[float, float], quiet: tuple[float, float]) -> None:
    demand = Demand(7, "m-1", trade, 3000.0)

    assert mean_kw(demand, MONDAY, *busy) > 2.5 * mean_kw(demand, MONDAY, *quiet)


def test_a_festival_is_a_surge_for_online_shops_only() -> None:
    day = date(2026, 6, 18)
    online, shop = (
        [Demand(7, "m-1", trade, 3000.0, festivals=dates).day_kw(day).mean() for dates in (((6, 18),), ())]
        for trade in ("ecommerce", "retail")
    )

    assert online[0] > 1.2 * online[1]
    assert shop[0] == shop[1]


def test_factories_rest_on_sunday() -> None:
    demand = Demand(7, "m-1", "manufacturing", 3000.0)

    assert mean_kw(demand, MONDAY + timedelta(days=6), 9, 11) < 0.5 * mean_kw(demand, MONDAY, 9, 11)


def test_nothing_exceeds_the_installed_machines() -> None:
    demand = Demand(7, "m-1", "retail", 3000.0, ceiling_kw=5.0)

    assert demand.day_kw(MONDAY).max() == 5.0
    assert demand.day_kw(MONDAY).shape == (MINUTES,)


def test_the_standard_profiles_follow_season_and_weekday() -> None:
    winter, summer = standard_profile("g1", date(2026, 1, 5)), standard_profile("g1", date(2026, 7, 6))

    assert winter.shape == summer.shape == (96,)
    assert not np.array_equal(winter, summer)
    assert not np.array_equal(summer, standard_profile("g1", date(2026, 7, 5)))
