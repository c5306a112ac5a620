"""State of the checks: one matrix a check, one row a field, one column a slot.

A check's step is a pure function of a frame and the state of the frame's slots. The engine gathers that state
before and scatters it after, so that a step that fails has changed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from collector.engine.fleet import Floats
from collector.store.table import Rows

Chosen: TypeAlias = Rows | slice
"""Slots: a run of neighbours as a slice, which is copied ten times as fast, or any as indices."""


def chosen(slots: Rows) -> Chosen:
    """Slots as a slice if they are a run of neighbours."""
    if len(slots) == 0:
        return slots
    first, last = int(slots[0]), int(slots[-1])
    if last - first + 1 == len(slots) and bool((np.diff(slots) == 1).all()):
        return slice(first, last + 1)
    return slots


def zero_where_unknown(values: Floats) -> None:
    """NaN becomes 0, in place; a sixth of the time that ``nan_to_num`` takes."""
    np.copyto(values, 0.0, where=np.isnan(values))


class Matrix:
    """All slots' state of one check; a new slot is NaN in every field."""

    def __init__(self, fields: Sequence[str]) -> None:
        """No slot yet."""
        self.fields = tuple(fields)
        self._values: Floats = np.full((len(self.fields), 64), np.nan)

    def gather(self, slots: Chosen) -> Floats:
        """A copy of the state of some slots, one row a field."""
        self._reach(slots)
        found: Floats = self._values[:, slots].copy() if isinstance(slots, slice) else self._values[:, slots]
        return found

    def scatter(self, slots: Chosen, values: Floats) -> None:
        """Put back the state of some slots."""
        self._reach(slots)
        self._values[:, slots] = values

    @property
    def form(self) -> tuple[str, ...]:
        """Names everything in a snapshot: another form cannot be taken up."""
        return self.fields

    def dump(self, slots: Rows) -> bytes:
        """The state of some slots as little-endian float64, field by field."""
        return self.gather(slots).astype("<f8").tobytes()

    def load(self, slots: Rows, data: bytes) -> None:
        """Take up what ``dump`` gave."""
        self.scatter(slots, np.frombuffer(data, "<f8").reshape(len(self.fields), len(slots)))

    def _reach(self, slots: Chosen) -> None:
        needed = slots.stop if isinstance(slots, slice) else int(slots.max()) + 1 if len(slots) else 0
        have = self._values.shape[1]
        if needed > have:
            more = max(needed, 2 * have) - have
            self._values = np.hstack([self._values, np.full((len(self.fields), more), np.nan)])
