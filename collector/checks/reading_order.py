"""Which rows are new: the order of a meter's readings, for the checks that come after.

A row whose time is not after that of its meter's last one is a duplicate or came late: it changes nothing. Power
groups and register groups may be read at the same instant, so a row counts as *electrical* only if it carries a
voltage, a current, a power or a power factor. Later checks find

    elapsed_ms      since the last electrical reading of the meter, 0 at its first, NaN if the row is none or not new
    row_elapsed_ms  the same for rows of any kind, failed reads included
"""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.checks.check import Step
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.store.table import Mask

_PHASED: Final = ("voltage", "current", "active_power", "reactive_power", "apparent_power", "power_factor")
_ELECTRICAL: Final = (
    "active_power",
    *(f"{name}_l{phase}" for name in _PHASED for phase in (1, 2, 3)),
    *("current_n", "reactive_power", "apparent_power", "power_factor"),
)


class ReadingOrder:
    """Time since the last reading of each meter."""

    name = "reading_order"
    fields = ("electrical_at", "row_at")

    def concerns(self, frame: Frame) -> bool:
        """Every frame of readings."""
        return len(frame) > 0 and frame.reads

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:  # noqa: ARG002 - no rating is needed
        """Derive both times."""
        electrical = _electrical(frame)
        derived = {}
        for i, (name, carried) in enumerate((("elapsed_ms", electrical), ("row_elapsed_ms", None))):
            elapsed = frame.at - state[i]
            stale = elapsed <= 0
            if carried is not None:
                stale |= ~carried
            np.copyto(elapsed, 0.0, where=np.isnan(elapsed))
            if stale.any():
                elapsed[stale] = np.nan
                np.copyto(state[i], frame.at, where=~stale)
            else:
                state[i] = frame.at
            derived[name] = elapsed
        return Step(state, derived=derived)


def _electrical(frame: Frame) -> Mask | None:
    """Which rows carry an electrical value; None if all do."""
    unknown: Mask | None = None
    for name in _ELECTRICAL:
        if name in frame.columns:
            missing = np.isnan(frame.columns[name])
            unknown = missing if unknown is None else unknown & missing
            if not unknown.any():
                return None
    return np.zeros(len(frame), np.bool_) if unknown is None else ~unknown
