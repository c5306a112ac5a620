"""A day that is judged again, from closed days that were kept and read again, ends as the same bytes."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from collector.days.closing import Closing, Verdict
from collector.days.day import (
    DAYS_REMEMBERED,
    QUARTERS,
    ClosedDay,
    FeederDay,
    SiteDay,
    Standing,
    decode_day,
    encode_day,
)
from collector.days.suspicion import SuspicionSettings
from tests.support.feeders import ATTACKS, Judge, Shops, registry_of, site_day, site_day_of

SHOPS = Shops(17, meters=5)
REGISTRY = registry_of(SHOPS.names)
KINDS = st.sampled_from([None, *sorted(ATTACKS)])


def anew(past: list[ClosedDay]) -> tuple[Closing, list[ClosedDay]]:
    """A process that was started just now, with what was kept."""
    return Closing(REGISTRY, SuspicionSettings()), [decode_day(encode_day(one)) for one in past[-DAYS_REMEMBERED:]]


def same(one: Verdict, other: Verdict) -> None:
    assert encode_day(one.closed) == encode_day(other.closed)
    assert one.findings == other.findings
    assert one.scores == other.scores


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(KINDS, st.integers(0, 4), st.integers(0, 40), st.booleans()), min_size=4, max_size=12))
def test_judging_from_kept_days_gives_the_same_bytes(days: list[tuple[str | None, int, int, bool]]) -> None:
    judge = Judge(REGISTRY)
    for number, (kind, shop, unread, touched) in enumerate(days):
        day = site_day_of(SHOPS, number, {shop: kind} if kind else {})
        day.measured[shop, :unread] = False
        touches = {day.meters[shop]: day.starts_at} if touched else {}
        closing, kept = anew(judge.past)
        again = closing.close(kept, day, touches)
        same(judge.close(day, touches), again)


def later(number: int) -> SiteDay:
    """A day of a story in which one meter is falsified for a fortnight, so that two weeks of reports matter."""
    return site_day_of(SHOPS, number, {2: "h4"} if 60 <= number < 75 else {})


def test_a_restart_after_ten_weeks_changes_nothing() -> None:
    judge = Judge(REGISTRY)
    for number in range(70):
        judge.close(later(number))
    closing, kept = anew(judge.past)
    for number in range(70, 74):
        again = closing.close(kept, later(number), {})
        same(judge.close(later(number)), again)
        kept.append(again.closed)


def test_a_day_of_six_weeks_ago_is_judged_again_as_it_was() -> None:
    judge = Judge(REGISTRY)
    for number in range(112):
        judge.close(later(number))
    closing, kept = anew(judge.past)
    again = closing.close(kept[:-42], later(70), {})

    assert encode_day(again.closed) == encode_day(judge.past[70])


SMALL = st.floats(-1e6, 1e6, width=32)
NAMES = st.text("abc-0123", min_size=1, max_size=6)
STANDINGS = st.builds(
    Standing, st.integers(0, 2**41), st.none() | st.integers(0, 2**41), st.integers(0, 2**41), st.integers(0, 9),
    SMALL, SMALL, SMALL, SMALL,
)  # fmt: skip
FEEDERS = st.builds(FeederDay, st.tuples(SMALL, SMALL, SMALL), SMALL, st.booleans(), SMALL, SMALL)


@st.composite
def closed_days(draw: st.DrawFn) -> ClosedDay:
    meters = tuple(sorted(draw(st.sets(NAMES, max_size=5))))
    floats = st.floats(width=32, allow_infinity=False)

    def row() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return draw(npst.arrays(np.float32, len(meters), elements=floats))

    return ClosedDay(
        draw(st.dates(date(2020, 1, 1), date(2040, 1, 1))),
        draw(st.sampled_from(["workday", "saturday", "sunday", "holiday", "festival"])),
        meters,
        draw(npst.arrays(np.float32, (len(meters), QUARTERS), elements=st.just(np.float32(0.5)) | floats, fill=floats)),
        draw(npst.arrays(np.bool_, len(meters))),
        row(), row(), row(), row(), row(),
        draw(st.dictionaries(NAMES, FEEDERS, max_size=3)),
        draw(st.dictionaries(NAMES, STANDINGS, max_size=3)),
        draw(st.dictionaries(NAMES, st.integers(0, 2**41), max_size=3)),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(closed_days())
def test_a_closed_day_is_kept_whole(day: ClosedDay) -> None:
    again = decode_day(encode_day(day))

    assert encode_day(again) == encode_day(day)
    assert (again.day, again.kind, again.meters) == (day.day, day.kind, day.meters)
    assert (again.feeders, again.standing, again.touched) == (day.feeders, day.standing, day.touched)
    np.testing.assert_array_equal(again.net, day.net)
    np.testing.assert_array_equal(again.learns, day.learns)


def test_the_order_of_touches_is_seen_in_nothing() -> None:
    day = site_day(0, SHOPS.names, SHOPS.load(0))
    one, other = {"m-01": day.starts_at, "m-03": day.starts_at + 1}, {"m-03": day.starts_at + 1, "m-01": day.starts_at}

    assert encode_day(Judge(REGISTRY).close(day, one).closed) == encode_day(Judge(REGISTRY).close(day, other).closed)
