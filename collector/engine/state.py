"""State of the checks: one matrix a check, one row a field, one column a slot.

A check's step is a pure function of a frame and the state of the frame's slots. The engine gathers that state
before and scatters it after, so that a step that fails has changed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collector.engine.fleet import Floats
from collector.store.table import Rows


class Matrix:
    """All slots' state of one check; a new slot is NaN in every field."""

    def __init__(self, fields: Sequence[str]) -> None:
        """No slot yet."""
        self.fields = tuple(fields)
        self._values: Floats = np.full((len(self.fields), 64), np.nan)

    def gather(self, slots: Rows) -> Floats:
        """A copy of the state of some slots, one row a field."""
        self._reach(slots)
        found: Floats = self._values[:, slots]
        return found

    def scatter(self, slots: Rows, values: Floats) -> None:
        """Put back the state of some slots."""
        self._reach(slots)
        self._values[:, slots] = values

    def _reach(self, slots: Rows) -> None:
        needed = int(slots.max()) + 1 if len(slots) else 0
        have = self._values.shape[1]
        if needed > have:
            more = max(needed, 2 * have) - have
            self._values = np.hstack([self._values, np.full((len(self.fields), more), np.nan)])
