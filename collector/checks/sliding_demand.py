"""Sliding 15-minute demand: the highest mean power of three successive steps of five minutes.

The register at the edge of a step is interpolated between the readings around it; a window counts if no interval in
it is longer than a step and a half. Meters that are read less often have the demand of blocks alone. Five minutes are
one of the two steps in use; one minute would keep fifteen numbers a meter for a peak that differs by little. [OURS]

Later checks of the frame find, where a window ended, its mean power ``sliding_kw`` and its end ``sliding_end`` (ms);
an interval of more than five minutes may end two, the earlier one stands in ``sliding_kw_before``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.checks.check import Step
from collector.checks.register_difference import IMPORT
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.state import zero_where_unknown
from collector.store.table import Mask

STEP_MS: Final = 300_000.0
WINDOW_MS: Final = 3 * STEP_MS
_LONGEST_MS: Final = 1.5 * STEP_MS  # so that an interval ends two steps at most
_FULLY_COVERED: Final = STEP_MS  # instants are whole milliseconds: sums of them are exact
_WINDOWS_PER_HOUR: Final = 3_600_000 / WINDOW_MS


class SlidingDemand:
    """Mean power of windows that end every five minutes."""

    name = "sliding_demand"
    fields = ("step", "kwh", "covered_ms", "kwh_before", "kwh_before_that")

    def concerns(self, frame: Frame) -> bool:
        """Frames in which differences of the import register were derived."""
        return IMPORT.energy in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:  # noqa: ARG002 - no rating is needed
        """Add every difference to its steps."""
        kwh, since, until = frame.columns[IMPORT.energy], frame.columns[IMPORT.since], frame.at
        elapsed = until - since
        taken = elapsed <= _LONGEST_MS
        zero_where_unknown(state[1:3])
        starts = np.floor(since / STEP_MS)
        new = taken & (starts != state[0])
        if new.any():
            state[0, new] = starts[new]
            state[1:3, new] = 0.0
            state[3:, new] = np.nan
        edge = (state[0] + 1) * STEP_MS
        ended = taken & (until >= edge)
        if not ended.any():
            state[1] += np.where(taken, kwh, 0.0)
            state[2] += np.where(taken, elapsed, 0.0)
            return Step(state)
        before = np.where(ended, edge - since, elapsed)
        state[1] += np.where(taken, kwh * (before / elapsed), 0.0)
        state[2] += np.where(taken, before, 0.0)
        window = _end_step(state, ended)
        derived = {"sliding_end": np.where(ended, edge, np.nan), "sliding_kw": window}
        twice = ended & (until >= edge + STEP_MS)
        if twice.any():
            state[1] = np.where(twice, kwh * (STEP_MS / elapsed), state[1])
            state[2] = np.where(twice, STEP_MS, state[2])
            derived["sliding_kw_before"] = np.where(twice, window, np.nan)
            derived["sliding_kw"] = np.where(twice, _end_step(state, twice), window)
            derived["sliding_end"] = np.where(twice, edge + STEP_MS, derived["sliding_end"])
        rest = until - state[0] * STEP_MS
        state[1] = np.where(ended, kwh * (rest / elapsed), state[1])
        state[2] = np.where(ended, rest, state[2])
        return Step(state, derived=derived)


def _end_step(state: Floats, ended: Mask) -> Floats:
    """The step under way has ended: the mean power of the three up to it, NaN if they are not all known; kW."""
    step_kwh = np.where(state[2] >= _FULLY_COVERED, state[1], np.nan)
    window: Floats = np.where(ended, (step_kwh + state[3] + state[4]) * _WINDOWS_PER_HOUR, np.nan)
    state[4] = np.where(ended, state[3], state[4])
    state[3] = np.where(ended, step_kwh, state[3])
    state[0] = np.where(ended, state[0] + 1, state[0])
    return window
