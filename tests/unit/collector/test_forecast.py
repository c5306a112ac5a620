"""What is expected of the next day and of the month: when, how much, and what teaches nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from collector.days.day import decode_day, encode_day
from tests.support.closed_days import MONDAY, Site, rows, shop


def test_nothing_is_expected_before_seven_clean_days_and_three_of_the_class() -> None:
    site = Site()

    known = {}
    for n in range(30):
        told = site.live(1, start=MONDAY + timedelta(days=n))
        (row,) = rows(told, "forecast_day")
        known[MONDAY + timedelta(days=n + 1)] = row["known"]
        assert ("kwh" in row) == (row["known"] == 1.0)
        assert len(rows(told, "forecast_block")) == (96 if row["known"] else 0)

    mondays_to_fridays = [day for day in known if day.weekday() < 5]
    saturdays = [day for day in known if day.weekday() == 5]
    assert [known[day] for day in mondays_to_fridays if day < MONDAY + timedelta(days=7)] == [0.0] * 4
    assert all(known[day] for day in mondays_to_fridays if day >= MONDAY + timedelta(days=7))
    assert [known[day] for day in saturdays] == [0.0, 0.0, 0.0, 1.0]


def test_an_ordinary_day_is_forecast_closely_and_a_weekend_as_a_weekend() -> None:
    site = Site()
    friday, saturday = (
        rows(site.live(32), "forecast_day"),
        rows(site.live(1, start=MONDAY + timedelta(32)), "forecast_day"),
    )

    assert friday[0]["kwh"] == pytest.approx(shop(MONDAY + timedelta(32)).sum(), rel=0.1)
    assert saturday[0]["kwh"] == pytest.approx(shop(MONDAY + timedelta(33)).sum(), rel=0.1)
    assert saturday[0]["kwh"] < 0.75 * friday[0]["kwh"]
    assert friday[0]["kwh_low_95"] < friday[0]["kwh_low_80"] < friday[0]["kwh"] < friday[0]["kwh_high_80"]


def test_a_day_of_rest_of_its_own_is_learnt() -> None:
    site = Site()

    told = site.live(36, lambda day: site.usual(day) * (0.1 if day.weekday() == 1 else 1.0))  # the last is a Monday

    assert rows(told, "forecast_day")[0]["kwh"] < 0.3 * shop(MONDAY + timedelta(35)).sum()


@pytest.mark.parametrize("factor", [0.0, 0.2, 5.0])
def test_a_day_that_does_not_learn_teaches_nothing(factor: float) -> None:
    one, other = Site(), Site()
    one.live(30)
    other.live(30)
    day = MONDAY + timedelta(days=30)

    quiet = rows(one.close(day, one.usual(day), learns=False), "forecast_day")
    odd = rows(other.close(day, factor * other.usual(day), learns=False), "forecast_day")

    assert quiet == odd


def test_an_announced_closure_is_not_forecast() -> None:
    closed = MONDAY + timedelta(days=30)
    site = Site(closures=[{"meter": "m-1", "from": closed, "to": closed}])

    assert rows(site.live(30), "forecast_day")[0]["known"] == 0.0
    assert rows(site.live(1, start=closed), "forecast_day")[0]["known"] == 1.0


def test_a_holiday_is_a_sunday_until_holidays_are_known_and_a_festival_is_not_forecast() -> None:
    holiday, festival = MONDAY + timedelta(days=30), MONDAY + timedelta(days=31)
    site = Site(site={"holidays": [holiday], "festivals": [festival]})
    plain = Site()

    of_holiday = rows(site.live(30), "forecast_day")[0]
    of_festival = rows(site.live(1, start=holiday), "forecast_day")[0]

    assert of_holiday["kwh"] < 0.75 * rows(plain.live(30), "forecast_day")[0]["kwh"]
    assert of_festival["known"] == 0.0


def test_what_was_before_a_new_tenant_is_forgotten() -> None:
    moved = MONDAY + timedelta(days=28)
    site = Site(changes=[{"meter": "m-1", "on": moved, "kind": "tenant"}])

    told = site.live(31)
    assert rows(told, "forecast_day")[0]["known"] == 0.0
    assert rows(told, "forecast_day")[0]["clean_days"] == 3.0


@pytest.mark.parametrize(("start", "blocks"), [(date(2026, 2, 27), 92), (date(2026, 9, 23), 100)])
def test_days_on_which_clocks_are_changed_have_their_own_number_of_blocks(start: date, blocks: int) -> None:
    site = Site(timezone="Europe/Berlin")  # clocks change on 29 March and on 25 October

    told = site.live(
        (date(2026, 3, 29) - start).days if blocks == 92 else (date(2026, 10, 25) - start).days, start=start
    )

    curve, day = rows(told, "forecast_block"), rows(told, "forecast_day")[0]
    assert len(curve) == blocks
    assert np.diff([row["at"] for row in curve]).tolist() == [900_000.0] * (blocks - 1)
    assert sum(row["kwh"] for row in curve) == pytest.approx(day["kwh"], abs=0.01)


def test_a_meter_with_generation_may_send_back() -> None:
    sun = np.where((np.arange(96) > 40) & (np.arange(96) < 60), 3.0, 0.0)
    site = Site()

    told = site.live(30, lambda day: site.usual(day) - sun)

    curve = [row["kwh"] for row in rows(told, "forecast_block")]
    assert curve[50] == pytest.approx(-2.0, abs=0.2)
    assert min(row["kwh_low_95"] for row in rows(told, "forecast_block")) < -2.0


def test_a_month_is_what_was_counted_and_what_is_expected_of_its_days() -> None:
    site = Site()
    told = site.live(41)  # up to 11 April, a Saturday

    (month,) = rows(told, "forecast_month")
    april = [date(2026, 4, n) for n in range(1, 31)]
    assert month["days_left"] == 19.0
    assert month["so_far_kwh"] == pytest.approx(sum(shop(day).sum() for day in april[:11]), rel=1e-4)
    assert month["kwh"] == pytest.approx(sum(shop(day).sum() for day in april), rel=0.05)
    assert month["so_far_kwh"] <= month["kwh_low_95"] <= month["kwh_low_80"] < month["kwh"] < month["kwh_high_80"]
    assert month["so_far_peak_kw"] <= month["peak_kw"] <= month["peak_kw_high_80"] <= month["peak_kw_high_95"]


def test_the_last_day_of_a_month_looks_at_the_next_one() -> None:
    (month,) = rows(Site().live(30), "forecast_month")  # 31 March

    assert month["days_left"] == 30.0
    assert month["so_far_kwh"] == 0.0


def test_a_closed_day_is_kept_with_what_was_expected_and_an_older_one_is_still_read() -> None:
    site = Site()
    closed = site.live(30).closed

    again = decode_day(encode_day(closed))
    assert again.ahead is not None
    assert closed.ahead is not None
    np.testing.assert_array_equal(again.ahead.curve, closed.ahead.curve)
    np.testing.assert_array_equal(again.power_factor, closed.power_factor)
    without = decode_day(encode_day(replace(closed, ahead=None, power_factor=None)))
    assert without.ahead is None


def test_a_site_restored_from_bytes_forecasts_the_same() -> None:
    one, other = Site(["m-1", "m-2"]), Site(["m-1", "m-2"])
    one.live(33)
    other.past = [decode_day(encode_day(closed)) for closed in one.past]
    day = MONDAY + timedelta(days=33)

    first, second = one.close(day, one.usual(day)), other.close(day, other.usual(day))

    for measurement in ("forecast_block", "forecast_day", "forecast_month"):
        assert rows(first, measurement) == rows(second, measurement)


def test_a_day_judged_again_gives_the_forecast_it_would_have_had() -> None:
    site = Site()
    site.live(30)
    day = MONDAY + timedelta(days=30)
    gap = site.usual(day)
    gap[:, 20:70] = np.nan
    site.close(day, gap, learns=False, keep=False)

    again = site.close(day, site.usual(day))

    straight = Site().live(31)
    for measurement in ("forecast_block", "forecast_day", "forecast_month"):
        assert rows(again, measurement) == rows(straight, measurement)
