"""What a meter is expected to count is learnt from its clean days of the same class, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from collector.days.day import QUARTERS, ClosedDay, DayClass, decode_day, encode_day
from collector.days.expected import History

START = date(2026, 3, 2)


def closed(number: int, kwh: float, kind: DayClass = "workday", learns: bool = True, meter: str = "m-1") -> ClosedDay:
    none = np.full(1, np.nan, np.float32)
    return ClosedDay(
        START + timedelta(days=number), kind, (meter,), np.full((1, QUARTERS), kwh, np.float32),
        np.array([learns]), none, none, none, none, none,
    )  # fmt: skip


def expected(days: Sequence[ClosedDay], kind: DayClass = "workday", since: date | None = None) -> float:
    """The same for every quarter here; NaN = unknown."""
    found = History.of(days, ("m-1",), [since]).expected(kind)
    assert found.shape == (1, QUARTERS)
    assert len(np.unique(found)) == 1
    return float(found[0, 0])


def test_it_is_the_median_of_days_of_the_class_only() -> None:
    days = [closed(n, 1.0 + n) for n in range(5)] + [closed(5 + n, 50.0, "saturday") for n in range(3)]

    assert expected(days) == 3.0
    assert expected(days, "saturday") == 50.0
    assert np.isnan(expected(days, "sunday"))


def test_two_days_of_a_class_are_too_few() -> None:
    assert np.isnan(expected([closed(0, 1.0), closed(1, 1.0)]))


def test_only_the_last_ten_count() -> None:
    assert expected([closed(n, 1.0 if n < 20 else 2.0) for n in range(30)]) == 2.0


def test_suspected_days_teach_nothing() -> None:
    days = [closed(n, 4.0) for n in range(4)] + [closed(4 + n, 1.0, learns=False) for n in range(20)]

    assert expected(days) == 4.0


def test_a_change_of_tenant_forgets_what_was_before() -> None:
    days = [closed(n, 4.0) for n in range(10)]

    assert np.isnan(expected(days, since=START + timedelta(days=8)))
    assert expected([*days, *(closed(10 + n, 1.0) for n in range(3))], since=START + timedelta(days=10)) == 1.0


def test_what_the_balance_said_of_a_former_tenant_is_forgotten() -> None:
    days = [replace(closed(n, 4.0), balance=np.array([0.9], np.float32)) for n in range(4)]

    assert not np.isnan(History.of(days, ("m-1",), [None]).balance).any()
    assert np.isnan(History.of(days, ("m-1",), [START + timedelta(days=3)]).balance[:3]).all()


def test_a_holiday_that_was_never_seen_is_expected_to_be_a_sunday() -> None:
    days = [closed(n, 4.0) for n in range(6)] + [closed(6 + n, 1.0, "sunday") for n in range(3)]

    assert expected(days, "holiday") == 1.0
    assert expected([*days, *(closed(10 + n, 2.0, "holiday") for n in range(3))], "holiday") == 2.0


def test_nothing_is_expected_of_a_festival_that_was_never_seen() -> None:
    days = [closed(n, 4.0) for n in range(6)] + [closed(6 + n, 1.0, "sunday") for n in range(3)]

    assert np.isnan(expected(days, "festival"))


def test_a_quarter_that_was_not_read_on_three_days_is_unknown_alone() -> None:
    days = [closed(n, 4.0) for n in range(4)]
    for one in days[:2]:
        one.net[0, 7] = np.nan
    found = History.of(days, ("m-1",), [None]).expected("workday")[0]

    assert np.flatnonzero(np.isnan(found)).tolist() == [7]


def test_a_meter_that_is_new_has_no_past() -> None:
    found = History.of([closed(n, 4.0, meter="m-0") for n in range(5)], ("m-0", "m-1"), [None, None])

    assert np.isnan(found.expected("workday")[1]).all()
    assert (found.expected("workday")[0] == 4.0).all()


def test_it_is_the_same_after_days_were_kept_and_read_again() -> None:
    rng = np.random.default_rng(3)
    days = [replace(closed(n, 0.0), net=rng.random((1, QUARTERS)).astype(np.float32)) for n in range(12)]
    again = [decode_day(encode_day(one)) for one in days]

    one, other = (History.of(those, ("m-1",), [None]).expected("workday") for those in (days, again))
    assert one.tobytes() == other.tobytes()
