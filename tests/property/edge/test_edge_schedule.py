"""Ticks: aligned, staggered, never twice, never queued, whatever the clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.polling.schedule import Schedule, Tick

NOON = 1_772_400_000_000
periods = st.sampled_from([1_000, 10_000, 60_000, 900_000])
schedules = st.builds(Schedule.of, st.text("abc", min_size=1), st.just("main"), periods)


@given(schedules, st.integers(0, 10**7))
def test_the_next_tick_is_aligned_and_ahead(schedule: Schedule, later: int):
    tick = schedule.next(NOON + later)

    assert tick.scheduled_at % schedule.period_ms == 0
    assert NOON + later <= tick.starts_at < NOON + later + schedule.period_ms
    assert tick.scheduled_at <= tick.starts_at < tick.closes_at < tick.ends_at == tick.starts_at + schedule.period_ms


@given(schedules, st.lists(st.integers(0, 200_000), max_size=30))
def test_while_the_clock_runs_forward_ticks_are_met_or_counted(schedule: Schedule, naps: list[int]):
    now = NOON
    first = tick = schedule.next(now)
    met, skipped = 1, 0
    for nap in naps:
        now = max(now, tick.starts_at) + nap
        if nap > 90 * schedule.period_ms:
            continue
        following = schedule.next(now, tick)
        assert following.scheduled_at > tick.scheduled_at
        skipped += following.skipped
        met += 1
        tick = following

    if all(nap <= 90 * schedule.period_ms for nap in naps):
        assert (tick.scheduled_at - first.scheduled_at) // schedule.period_ms == met - 1 + skipped


@given(schedules, st.integers(1, 10**9))
def test_set_back_it_neither_repeats_the_tick_nor_waits_for_the_old_time(schedule: Schedule, back: int):
    tick = schedule.next(NOON)

    following = schedule.next(tick.starts_at - back, tick)

    assert following.scheduled_at != tick.scheduled_at
    assert following.starts_at <= tick.starts_at - back + 2 * schedule.period_ms + back % schedule.period_ms
    assert following.skipped == 0


def test_a_leap_forward_is_no_overrun():
    schedule = Schedule(60_000)
    tick = schedule.next(NOON)

    assert schedule.next(NOON + 10 * 60_000 + 1, tick).skipped == 10
    assert schedule.next(NOON + 10**9, tick).skipped == 0


def test_the_stagger_follows_from_the_names():
    starts = {Schedule.of(f"park-{i}", "main", 60_000).stagger_ms for i in range(100)}

    assert Schedule.of("park-1", "main", 60_000) == Schedule.of("park-1", "main", 60_000)
    assert len(starts) > 90
    assert max(starts) < 6_000


def test_an_exact_start_is_met():
    assert Schedule(60_000, 100).next(NOON // 60_000 * 60_000 + 100) == Tick(
        NOON // 60_000 * 60_000,
        NOON // 60_000 * 60_000 + 100,
        NOON // 60_000 * 60_000 + 42_100,
        NOON // 60_000 * 60_000 + 60_100,
    )
