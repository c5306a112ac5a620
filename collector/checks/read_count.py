"""How many rows of a meter came, and how many of them failed, up to just before the present one.

Later checks of the frame find both as columns that only ever grow, ``rows_before`` and ``failures_before``. A row that
is not newer than the last one of its meter is not counted.
"""

from __future__ import annotations

import numpy as np

from collector.checks.check import Step
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame, failed
from collector.engine.state import zero_where_unknown


class ReadCount:
    """Rows and failures of every meter."""

    name = "read_count"
    fields = ("last_at", "rows", "failures")

    def concerns(self, frame: Frame) -> bool:
        """Every frame of readings."""
        return frame.reads

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:  # noqa: ARG002 - no rating is needed
        """Count the newer rows."""
        newer = ~(frame.at <= state[0])
        zero_where_unknown(state[1:])
        derived = {"rows_before": state[1].copy(), "failures_before": state[2].copy()}
        state[0] = np.where(newer, frame.at, state[0])
        state[1] += newer
        if frame.quality.any():
            state[2] += newer & failed(frame.quality)
        return Step(state, derived=derived)
