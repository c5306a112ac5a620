"""Packages are priced on what was used, to the letter of their conditions."""

from __future__ import annotations

from typing import Any

import pytest

from metering.config_file import ConfigError, load_text
from simulators.consumers.packages import Packages, compare, cost

FILE = """
packages:
  - {id: flat, name_zh: 单, name_en: one, price: 0.5}
  - {id: tou, name_zh: 分时, name_en: tou, sharp: 1.0, peak: 0.8, flat: 0.5, valley: 0.25}
  - {id: night, name_zh: 夜, name_en: night, sharp: 1.0, peak: 0.8, flat: 0.5, valley: 0.25, night_valley_factor: 0.8}
"""
PACKAGES = load_text(FILE, "packages.yaml", Packages)
FLAT, TOU, NIGHT = PACKAGES.packages


def month(
    date: str = "2026-06-01", *, night: bool = False, complete: bool = True, running: bool = False, meter: str = "m-1"
) -> dict[str, Any]:
    return {
        "meter": meter,
        "month": date,
        "running": running,
        "complete": complete,
        "night_share_above_half": night,
        "total_kwh": 1000.0,
        "sharp_kwh": 100.0,
        "peak_kwh": 200.0,
        "flat_kwh": 300.0,
        "valley_kwh": 400.0,
    }


def test_each_kind_of_package_costs_what_it_says() -> None:
    assert cost(month(), FLAT) == pytest.approx(500.0)
    assert cost(month(), TOU) == pytest.approx(100 + 160 + 150 + 100)
    assert cost(month(), NIGHT) == pytest.approx(cost(month(), TOU))
    assert cost(month(night=True), NIGHT) == pytest.approx(100 + 160 + 150 + 80)
    assert cost(month(night=True), TOU) == pytest.approx(510.0)


def test_an_incomplete_month_gets_no_night_price_whatever_its_share() -> None:
    assert cost(month(night=True, complete=False), NIGHT) == pytest.approx(510.0)


def test_the_cheapest_stands_first_and_a_year_is_projected_from_complete_months_only() -> None:
    months = [month("2026-04-01", night=True), month("2026-05-01", complete=False), month("2026-06-01", running=True)]

    found = compare(months, PACKAGES)

    assert [offer.package.id for offer in found.offers] == ["flat", "night", "tou"]
    assert (found.months, found.complete, found.incomplete, found.kwh) == (2, 1, ("2026-05-01",), 2000.0)
    night = found.offers[1]
    assert night.night_months == 1
    assert night.cost_yuan == pytest.approx(490.0 + 510.0)
    assert found.yearly_difference(night, "flat") == pytest.approx((490.0 - 500.0) * 12)
    assert found.yearly_difference(night, "night") == 0.0


def test_a_month_is_complete_if_all_meters_of_the_account_are() -> None:
    found = compare([month(meter="m-1"), month(meter="m-2", complete=False)], PACKAGES)

    assert (found.months, found.complete, found.kwh) == (1, 0, 2000.0)
    assert found.yearly_difference(found.offers[0], "flat") is None


@pytest.mark.parametrize(
    "wrong",
    [
        "{id: x, name_zh: x, name_en: x}",
        "{id: x, name_zh: x, name_en: x, price: 1, peak: 1}",
        "{id: x, name_zh: x, name_en: x, sharp: 1, peak: 1, flat: 1}",
    ],
)
def test_a_package_is_one_kind_or_the_other(wrong: str) -> None:
    with pytest.raises(ConfigError, match="either price, or all of"):
        load_text(f"packages:\n  - {wrong}\n", "packages.yaml", Packages)
