"""What is missing of a meter: every instant is seen, missing or asked for, nothing twice; a restart changes nothing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_agent.polling.missing import MOST_STRETCHES, Missing, Stretch

T0 = 1_772_400_000_000
MINUTE = 60_000
TOLERANCE = 3 * MINUTE
MARGIN = MINUTE


class MeterAndModel(RuleBasedStateMachine):
    """Minutes of a meter's life, and what has become of each."""

    def __init__(self) -> None:
        super().__init__()
        self.missing = Missing()
        self.now = T0
        self.seen: list[int] = []
        self.asked: list[tuple[int, int]] = []

    @rule(minutes=st.sampled_from([1, 1, 1, 3, 4, 40, 2000]))
    def a_good_row_after(self, minutes: int) -> None:
        self.now += minutes * MINUTE
        self.missing = self.missing.seen(self.now, None, TOLERANCE)
        self.seen.append(self.now)

    @rule(times=st.integers(30, 40))
    def the_line_flickers(self, times: int) -> None:
        for _ in range(times):
            self.a_good_row_after(1)
            self.a_good_row_after(7)

    @precondition(lambda self: self.missing.stretches)
    @rule(pieces=st.integers(1, 5), minutes=st.integers(1, 30))
    def pieces_are_read(self, pieces: int, minutes: int) -> None:
        for _ in range(pieces):
            if not self.missing.stretches:
                return
            wanted = self.missing.stretches[0].wanted(MARGIN)
            if wanted is None:
                self.missing = self.missing.read_back(self.missing.stretches[0].last)
                continue
            first, last = wanted[0], min(wanted[1], wanted[0] + minutes * MINUTE - 1)
            self.asked.append((first, last))
            self.missing = self.missing.read_back(last)

    @precondition(lambda self: len(self.seen) > 1)
    @rule(data=st.data())
    def good_rows_are_lost(self, data: st.DataObject) -> None:
        """The spool was full; the newest row is still there, and what was read back is as old as the time it is of."""
        first = data.draw(st.integers(0, len(self.seen) - 2))
        last = data.draw(st.integers(first, len(self.seen) - 2))
        since, until = self.seen[first] - TOLERANCE, self.seen[last] + TOLERANCE
        self.missing = self.missing.lost(since, until)
        self.seen = self.seen[:first] + self.seen[last + 1 :]
        anew = [(one.first, one.last) for one in self.missing.stretches if one.first < until and one.last > since]
        for begin, end in anew:
            first, last = begin + MARGIN, end - MARGIN
            parts = [part for a, b in self.asked for part in ((a, min(b, first - 1)), (max(a, last + 1), b))]
            self.asked = [(a, b) for a, b in parts if a <= b]

    @rule()
    def restart(self) -> None:
        again = Missing.of(str(self.missing))
        assert again == self.missing
        self.missing = again

    @invariant()
    def every_instant_is_seen_missing_or_asked_for(self) -> None:
        """A hole needs no question where a good row stands near, on either side."""
        for before, after in pairwise(self.seen):
            if after - before <= TOLERANCE:
                continue
            for at in (before + MARGIN, (before + after) // 2, after - MARGIN):
                waiting = any(one.first <= at <= one.last and at > one.read_to for one in self.missing.stretches)
                assert waiting or any(first <= at <= last for first, last in self.asked)

    @invariant()
    def nothing_is_asked_twice(self) -> None:
        assert all(before[1] < after[0] for before, after in pairwise(sorted(self.asked)))

    @invariant()
    def it_stays_small_and_in_order(self) -> None:
        stretches = self.missing.stretches
        assert len(stretches) <= MOST_STRETCHES
        assert all(before.last <= after.first for before, after in pairwise(stretches))
        assert all(one.first < one.last for one in stretches)


MeterAndModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMissing = MeterAndModel.TestCase


def test_a_meter_never_seen_misses_nothing():
    missing = Missing().seen(T0, 5.0, TOLERANCE)

    assert (missing.stretches, missing.seen_at, missing.import_kwh) == ((), T0, 5.0)


def test_rows_that_are_lost_join_the_holes_beside_them_and_keep_the_registers_at_the_ends():
    missing = Missing(T0 + 90 * MINUTE, 9.0, (Stretch(T0, T0 + 40 * MINUTE, T0 + 20 * MINUTE, 1.0, 2.0),))

    joined = missing.lost(T0 + 30 * MINUTE, T0 + 60 * MINUTE)
    apart = missing.lost(T0 + 50 * MINUTE, T0 + 400 * MINUTE)

    assert joined.stretches == (Stretch(T0, T0 + 60 * MINUTE, 0, 1.0, None),)
    assert apart.stretches == (*missing.stretches, Stretch(T0 + 50 * MINUTE, T0 + 90 * MINUTE))
    assert Missing().lost(T0, T0 + MINUTE) == Missing()


def test_a_clock_that_is_set_back_takes_what_never_was_along():
    ahead = T0 + 400 * 86_400_000
    missing = Missing().seen(T0, 1.0, TOLERANCE).seen(T0 + 40 * MINUTE, 2.0, TOLERANCE).seen(ahead, 2.0, TOLERANCE)

    back = missing.seen(T0 + 50 * MINUTE, 2.1, TOLERANCE)

    assert [(one.first, one.last) for one in back.stretches] == [
        (T0, T0 + 40 * MINUTE),
        (T0 + 40 * MINUTE, T0 + 50 * MINUTE),
    ]
    assert back.seen_at == T0 + 50 * MINUTE


def test_what_is_too_old_is_given_up():
    missing = Missing().seen(T0, None, TOLERANCE).seen(T0 + 60 * MINUTE, None, TOLERANCE)

    shorter = missing.since(T0 + 30 * MINUTE)

    assert shorter.stretches[0].wanted(MARGIN) == (T0 + 30 * MINUTE, T0 + 59 * MINUTE)
    assert missing.since(T0 + 61 * MINUTE).stretches == ()


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_only_registers_between_those_beside_the_hole_fit(low: float, high: float, value: float):
    stretch = Stretch(T0, T0 + 1, low=low, high=high)

    fits = stretch.fits(value)

    assert fits == (low <= value <= high if low <= high else value <= high)


def test_without_a_register_nothing_is_said_against_a_row():
    assert Stretch(T0, T0 + 1, low=5.0, high=9.0).fits(None)
    assert Stretch(T0, T0 + 1).fits(3.0)


@given(st.text(max_size=40))
def test_a_mark_that_says_nothing_is_a_meter_never_seen(text: str):
    missing = Missing.of(text)

    assert Missing.of(str(missing)) == missing
    assert missing == Missing() or text.strip().startswith("[")
