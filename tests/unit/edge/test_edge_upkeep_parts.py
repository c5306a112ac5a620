"""The pure parts of upkeep: whose clock is off, how long a piece may be, which rows fit, what is due."""

from __future__ import annotations

import pytest

from edge_agent.drivers.driver import GOOD
from edge_agent.drivers.memory import IntervalRow
from edge_agent.polling.backfill import PieceSize, fitting, round_of
from edge_agent.polling.care import Care, Chores, Due
from edge_agent.polling.clock_watch import Change, ClockWatch
from edge_agent.polling.missing import Missing, Stretch
from metering.round import Origin, Quality, unpack

T0 = 1_772_400_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE


def test_a_clock_is_off_beyond_the_limit_either_way_and_each_change_is_told_once():
    clocks = ClockWatch(60)
    said = [clocks.heard("m1", offset_s) for offset_s in (None, 60, 61, 600, None, -61, -60, 0)]

    assert said == [
        Change.NOTHING,
        Change.NOTHING,
        Change.WENT_OFF,
        Change.NOTHING,
        Change.NOTHING,
        Change.NOTHING,
        Change.CAME_RIGHT,
        Change.NOTHING,
    ]
    clocks.heard("m1", 61)
    assert (clocks.doubts("m1"), clocks.doubts("m2")) == (Quality.METER_CLOCK_OFF, Quality(0))
    assert (clocks.offset_s("m1"), clocks.offset_s("m2")) == (61, None)


def test_pieces_grow_while_they_are_quick_and_shrink_when_they_are_slow_or_fail():
    piece = PieceSize(15 * MINUTE)
    sizes = [piece.intervals]
    for took_s in (0.1, 0.1, 0.4, 0.6, 0.1, *[0.1] * 6):
        piece.took(took_s, 4)
        sizes.append(piece.intervals)
    piece.took(0.6, 0)
    piece.took(0.01, 0)
    sizes.append(piece.intervals)
    for _ in range(9):
        piece.failed()

    assert sizes == [4, 8, 16, 16, 8, 16, 32, 64, 96, 96, 96, 96, 48]
    assert piece.intervals == 1
    assert PieceSize(24 * HOUR).intervals == 1


def interval(at: int, kwh: float | None, quality: Quality = GOOD) -> IntervalRow:
    return IntervalRow(at, {"active_energy_import": kwh}, quality)


def test_rows_outside_the_hole_or_with_a_register_that_cannot_stand_there_are_left_out():
    stretch = Stretch(T0, T0 + HOUR, low=10.0, high=20.0)
    rows = [interval(T0 + n * MINUTE, kwh) for n, kwh in ((1, 11), (2, 9.9), (3, 20), (4, 20.1), (5, None), (50, 12))]

    kept = fitting([*rows, IntervalRow(T0 + 6 * MINUTE, {})], T0 + MINUTE, T0 + 40 * MINUTE, stretch)

    assert kept == [rows[0], rows[2], rows[4]]


@pytest.mark.parametrize("kwh", [1234.56 * 40, 0.07 * 40, 4711.8 * 60, 12.34 * 1.5, 100.00049, 100.0005, 99.9996])
def test_a_row_of_a_register_that_stood_still_fits_whatever_a_round_rounds_away(kwh: float):
    carried = round_of("g1", "m1", MINUTE, [interval(T0, kwh)], GOOD).columns[0].values(1)[0]
    rows = [interval(T0 + MINUTE, kwh)]

    assert fitting(rows, T0, T0 + HOUR, Stretch(T0, T0 + HOUR, low=carried, high=carried)) == rows


def test_rows_of_a_history_become_a_round_of_one_meter():
    rows = [interval(T0 + 15 * MINUTE, 1.5), interval(T0 + 30 * MINUTE, None, Quality.PARTIAL)]

    made = round_of("g1", "m1", 15 * MINUTE, rows, Quality.METER_CLOCK_OFF)

    assert (made.origin, made.group, made.meters, made.period_ms) == (
        Origin.BACKFILL,
        "load_profile",
        ("m1", "m1"),
        900_000,
    )
    assert list(unpack(made.measured_at, "q")) == [row.measured_at for row in rows]
    assert list(unpack(made.quality, "I")) == [
        Quality.METER_CLOCK_OFF,
        Quality.METER_CLOCK_OFF | Quality.PARTIAL,
    ]
    assert [(one.quantity, one.values(2)) for one in made.columns] == [("active_energy_import", [1.5, None])]


def care(interval_ms: int | None = 15 * MINUTE, period_ms: int = MINUTE) -> Care:
    return Care("m1", period_ms, counts=True, interval_ms=interval_ms, clock=Due(24 * HOUR), log=Due(15 * MINUTE))


def test_nothing_is_asked_of_a_meter_that_has_not_answered_yet():
    one = care()
    assert one.next_chore(T0) is None

    one.answers = True

    assert one.next_chore(T0) is Chores.CLOCK


def test_the_clock_comes_before_the_log_and_the_log_before_the_history():
    one = care()
    one.answers = True
    one.missing = Missing(T0, None, (Stretch(T0 - HOUR, T0),))
    assert one.clock is not None
    assert one.log is not None
    found = [one.next_chore(T0)]
    one.clock.done(T0)
    found.append(one.next_chore(T0))
    one.log.done(T0)
    found.append(one.next_chore(T0))
    one.pauses[Chores.HISTORY].failed(T0)
    found.append(one.next_chore(T0))
    found.append(one.next_chore(T0 + 15 * MINUTE))

    assert found == [Chores.CLOCK, Chores.LOG, Chores.HISTORY, None, Chores.LOG]


def test_a_clock_that_is_set_back_makes_a_chore_due():
    due = Due(HOUR)
    due.done(T0)

    assert not due.now(T0 + HOUR - 1)
    assert due.now(T0 + HOUR)
    assert due.now(T0 - 48 * HOUR)


@pytest.mark.parametrize(
    ("interval_ms", "period_ms", "tolerance_ms"),
    [(15 * MINUTE, MINUTE, 15 * MINUTE), (15 * MINUTE, 10 * MINUTE, 30 * MINUTE), (24 * HOUR, MINUTE, HOUR)],
)
def test_a_hole_is_worth_a_question_after_three_periods_and_an_interval(
    interval_ms: int, period_ms: int, tolerance_ms: int
):
    assert care(interval_ms, period_ms).tolerance_ms == tolerance_ms
