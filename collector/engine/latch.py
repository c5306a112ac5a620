"""The latches all checks share: when a condition becomes a finding, and when the finding ends.

    closed ── trigger holds for ``readings`` readings and ``delay_ms`` ──▶ open
    open   ── clear holds for ``readings`` readings and ``delay_ms`` ──▶ closed

Between trigger and clear lies the band in which nothing changes (hysteresis). Time is the readings' own, so a
replay ends in the same state. A finding starts when its condition started to hold, which is also what its id is
made of; it ends when clear started to hold. A row whose inputs are unknown leaves its latch alone.

``latch`` goes over every row of a frame; ``advance`` over the lanes of the few rows at which something is at work.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from collector.engine.fleet import Floats
from collector.engine.state import zero_where_unknown
from collector.store.table import Mask, Rows

FIELDS: Final = ("since", "count", "opened_at")
"""State rows of a latch: since when the pending condition holds (NaN = it does not), for how many readings,
and since when the finding is open (NaN = closed)."""


class Latched(NamedTuple):
    """What changed at this reading."""

    at_work: tuple[Rows, ...]  # indices of the latches that are open, pending or about to be; all others rest
    opened: Mask
    closed: Mask
    started_at: Floats  # of the finding that opened or closed
    ended_at: Floats  # of the finding that closed, NaN elsewhere


def latch(
    state: Floats, at: Floats, trigger: Mask, clear: Mask, known: Mask, *, delay_ms: float, readings: int
) -> Latched:
    """Advance one latch a row, in place.

    Args:
        state: three rows as in ``FIELDS``, each with the shape of ``trigger``; changed.
        at: time of each reading, ms.
        trigger: where the condition holds.
        clear: where its opposite holds, with its own, wider limit.
        known: where both could be judged.
        delay_ms: how long a condition has to hold.
        readings: for how many consecutive readings it has to hold.
    """
    since, count, opened_at = state
    zero_where_unknown(count)
    at_work = np.nonzero((trigger & known) | ~np.isnan(opened_at) | (count > 0))
    opened, closed = np.zeros(count.shape, np.bool_), np.zeros(count.shape, np.bool_)
    if not len(at_work[0]):  # as nearly always
        never = np.broadcast_to(np.nan, count.shape)
        return Latched(at_work, opened, closed, never, never)
    now, old_since, old_count = np.broadcast_to(at, count.shape)[at_work], since[at_work], count[at_work]
    was_opened_at, judged = opened_at[at_work], known[at_work]
    is_open = ~np.isnan(was_opened_at)
    pending = np.where(is_open, clear[at_work], trigger[at_work])
    new_since = np.where(pending, np.where(old_count > 0, old_since, now), np.nan)
    new_count = np.where(pending, old_count + 1, 0.0)
    due = judged & pending & (new_count >= readings) & (now - new_since >= delay_ms)
    opens, closes = due & ~is_open, due & is_open
    opened[at_work], closed[at_work] = opens, closes
    started_at, ended_at = np.full(count.shape, np.nan), np.full(count.shape, np.nan)
    started_at[at_work] = np.where(closes, was_opened_at, new_since)
    ended_at[at_work] = np.where(closes, new_since, np.nan)
    opened_at[at_work] = np.where(opens, new_since, np.where(closes, np.nan, was_opened_at))
    since[at_work] = np.where(due, np.nan, np.where(judged, new_since, old_since))
    count[at_work] = np.where(due, 0.0, np.where(judged, new_count, old_count))
    return Latched(at_work, opened, closed, started_at, ended_at)


LANE_FIELDS: Final = ("since", "count", "held_ms", "opened_at", "kwh", "score", "told_at")
"""State of a lane: since when the pending condition holds (NaN = it does not), for how many readings and how long
without what lay unknown in between, since when the finding is open (NaN = closed), the kWh it may hide, its score,
and when people were last told."""

_RESTS: Final = np.array([[np.nan], [0.0], [np.nan]])  # since, count, held_ms
_LONGEST_MS: Final = 3_600_000.0  # a longer silence between two readings says nothing about the time in between


class Advanced(NamedTuple):
    """What changed at these readings; matrices of lane × row."""

    opened: Mask
    closed: Mask
    relapsed: Mask  # what was pending is over without having opened, because clear holds
    at_work: Mask  # pending or open from here on
    started_at: Floats
    ended_at: Floats  # where closed
    held_ms: Floats  # for how long the pending condition had held before this reading


def advance(
    lanes: Floats,
    at: Floats,
    elapsed_ms: Floats,
    holds: tuple[Mask, Mask, Mask],
    delay_ms: Floats,
    readings: tuple[Floats, Floats],
) -> Advanced:
    """Advance lanes by one reading each, in place.

    Args:
        lanes: fields as in ``LANE_FIELDS`` × lane × row; changed.
        at: since when a condition holds if it holds at this reading for the first time, ms; lane × row.
        elapsed_ms: since the row before, as much as counts; lane × row.
        holds: trigger, clear, and where both could be judged; lane × row.
        delay_ms: how long a trigger has to hold; lane × row or lane × 1.
        readings: for how many readings a trigger, a clear has to hold; lane × 1.
    """
    trigger, clear, known = holds
    since, count, held, opened_at = lanes[:4]
    np.copyto(count, 0.0, where=count != count)  # noqa: PLR0124 - NaN: at rest
    was_open = opened_at == opened_at  # noqa: PLR0124
    wanted = np.where(was_open, clear, trigger)
    pending = known & wanted
    against = known & ~wanted
    was_pending = count > 0
    before_ms = held.copy()
    np.copyto(held, np.where(was_pending, held + np.minimum(elapsed_ms, _LONGEST_MS), 0.0), where=pending)
    np.copyto(since, at, where=pending & ~was_pending)
    count += pending
    due = pending & (count >= np.where(was_open, readings[1], readings[0])) & (was_open | (held >= delay_ms))
    opened, closed = due & ~was_open, due & was_open
    started_at = np.where(closed, opened_at, since)
    ended_at = np.where(closed, since, np.nan)
    np.copyto(opened_at, np.where(opened, since, np.nan), where=due)
    rests = against | due
    lanes[:3, rests] = _RESTS
    at_work = (count > 0) | (opened_at == opened_at)  # noqa: PLR0124
    relapsed = against & was_pending & ~was_open & clear
    return Advanced(opened, closed, relapsed, at_work, started_at, ended_at, before_ms)
