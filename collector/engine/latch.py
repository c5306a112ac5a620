"""The one latch all checks share: when a condition becomes a finding, and when the finding ends.

    closed ── trigger holds for ``readings`` readings and ``delay_ms`` ──▶ open
    open   ── clear holds for ``readings`` readings and ``delay_ms`` ──▶ closed

Between trigger and clear lies the band in which nothing changes (hysteresis). Time is the readings' own, so a
replay ends in the same state. A finding starts when its condition started to hold, which is also what its id is
made of; it ends when clear started to hold. A row whose inputs are unknown leaves its latch alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from collector.engine.fleet import Floats
from collector.engine.state import zero_where_unknown
from collector.store.table import Mask

FIELDS: Final = ("since", "count", "opened_at")
"""State rows of a latch: since when the pending condition holds (NaN = it does not), for how many readings,
and since when the finding is open (NaN = closed)."""


class Latched(NamedTuple):
    """What changed at this reading."""

    quiet: bool  # nothing is open, nothing is pending
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
    is_open = ~np.isnan(opened_at)
    triggered = trigger & known
    if not (triggered.any() or is_open.any() or count.any()):  # as nearly always
        never = np.broadcast_to(np.nan, count.shape)
        return Latched(True, triggered, triggered, never, never)
    pending = np.where(is_open, clear, trigger)
    since_now = np.where(pending, np.where(count > 0, since, at), np.nan)
    count_now = np.where(pending, count + 1, 0.0)
    due = known & pending & (count_now >= readings) & (at - since_now >= delay_ms)
    opened, closed = due & ~is_open, due & is_open
    changed = opened | closed
    started_at = np.where(closed, opened_at, since_now)
    opened_at[:] = np.where(opened, since_now, np.where(closed, np.nan, opened_at))
    since[:] = np.where(changed, np.nan, np.where(known, since_now, since))
    count[:] = np.where(changed, 0.0, np.where(known, count_now, count))
    return Latched(False, opened, closed, started_at, np.where(closed, since_now, np.nan))
