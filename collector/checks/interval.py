"""The usual interval between the readings of one meter, learnt from the readings themselves.

A check needs it to tell a gap from the meter's own rhythm. It is never taken from a polling period: a replay of stored
readings knows none and has to find the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.engine.fleet import Floats
from collector.store.table import Mask
from collector.tariff.calendar import BLOCK_MS

_GAP_INTERVALS: Final = 2.5  # usual intervals: one reading that was missed is not yet a gap  [OURS]
_SHORTEST_GAP_MS: Final = 60_000.0  # nothing shorter moves energy between periods that anybody could measure  [OURS]
_LONGEST_MS: Final = 1.5 * BLOCK_MS  # a longer interval says nothing about the blocks inside it, usual or not
_FIRST_USUAL_MS: Final = float(BLOCK_MS)  # until something is learnt: the coarsest interval in common use
_GROWTH: Final = 1.5  # of the usual interval from one reading to the next  [OURS]

USUAL: Final = ("interval_ms", "usual_ms")
"""State rows: the last interval, and what is usual."""


def is_gap(elapsed: Floats, state: Floats) -> Mask:
    """Which intervals are gaps; ``state`` holds the rows of ``USUAL``."""
    usual = np.where(np.isnan(state[1]), _FIRST_USUAL_MS, state[1])
    found: Mask = elapsed > np.clip(_GAP_INTERVALS * usual, _SHORTEST_GAP_MS, _LONGEST_MS)
    return found


def learn(elapsed: Floats, state: Floats, taken: Mask) -> Floats:
    """The rows of ``USUAL`` after these intervals.

    The longer of two counts: one reading that came late makes the next interval short, and teaches nothing.
    """
    usual = np.where(np.isnan(state[1]), _FIRST_USUAL_MS, state[1])
    learnt = np.stack([elapsed, np.fmin(np.fmax(elapsed, state[0]), _GROWTH * usual)])
    return learnt if taken.all() else np.where(taken, learnt, state)
