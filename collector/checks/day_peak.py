"""The highest sliding demand (kW), and the highest mean apparent power of a block (kVA), by day and month.

A window belongs to the day in which it ends, and is named by its start, as a block is. The running day is told at the
end of a block in which the peak rose.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from collector.checks.check import Step
from collector.checks.day_book import DayBook, Layout
from collector.checks.sliding_demand import STEP_MS, WINDOW_MS
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.tariff.calendar import BLOCK_MS, block_of

Peaks = Iterator[tuple[Floats, Floats]]
"""Ends of windows (ms) and their values, one a row of the frame, NaN where there is none; in their order."""


class DayPeak:
    """The peak of a derived column."""

    def __init__(self, column: str, ends: str, value: str) -> None:
        """Keep ``value`` of windows of a quarter of an hour that end at ``ends`` as the ``column`` of a day."""
        self._column, self._ends, self._value = column, ends, value
        self._layout = Layout(peaks=(column,))
        self.name = f"{column}_day"
        self.fields = self._layout.fields

    def concerns(self, frame: Frame) -> bool:
        """Frames in which a window ended."""
        return self._ends in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Raise the peaks."""
        book = DayBook(frame, fleet, state, self._layout)
        for ends, values in self._windows(frame):
            rows = np.flatnonzero(~np.isnan(values))
            block = block_of(ends[rows] - 1)
            book.turn_to(rows, block)
            book.reach(self._column, rows, values[rows], ends[rows] - WINDOW_MS)
            last = ends[rows] == (block + 1) * BLOCK_MS
            risen = last & (book.of(f"{self._column}_at", rows) > (block - 1) * BLOCK_MS)
            book.emit(rows[risen])
            book.end(rows[last], block[last] + 1)
        return Step(state, measured=tuple(book.measured))

    def _windows(self, frame: Frame) -> Peaks:
        earlier = frame.columns.get(f"{self._value}_before")
        if earlier is not None:
            yield frame.columns[self._ends] - STEP_MS, earlier
        yield frame.columns[self._ends], frame.columns[self._value]
