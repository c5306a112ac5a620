"""Readings that come as rows, from a store or from a file → frames in the order of time.

A frame holds no meter twice. Where one is cut from the next changes nothing: what is found depends on each meter's
own sequence of rows only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from collector.engine.fleet import Floats
from collector.engine.frame import Bits, Frame
from collector.store.table import Rows
from metering.meter_event import MeterEvent


@dataclass(frozen=True, slots=True)
class ReadingRows:
    """Readings in any order, at most one a slot and instant."""

    slots: Rows
    at: Floats  # ms
    quality: Bits
    columns: Mapping[str, Floats]  # quantity → value, NaN = no value
    meter_events: Mapping[int, tuple[MeterEvent, ...]] = field(default_factory=dict)  # row → events

    def frames(self) -> Iterator[Frame]:
        """The rows as frames, each as large as it can be."""
        order = np.lexsort((self.slots, self.at))
        slots = self.slots[order]
        for start, stop in _cuts(slots):
            rows = order[start:stop]
            rows = rows[np.argsort(self.slots[rows])]
            place = {int(row): n for n, row in enumerate(rows)} if self.meter_events else {}
            yield Frame(
                self.slots[rows],
                self.at[rows],
                self.quality[rows],
                0,
                {name: np.ascontiguousarray(values[rows]) for name, values in self.columns.items()},
                meter_events={place[row]: said for row, said in self.meter_events.items() if row in place},
            )


def _cuts(slots: Rows) -> Iterator[tuple[int, int]]:
    """Runs of rows in which no slot occurs twice, as long as they can be."""
    previous = np.full(len(slots), -1, np.intp)
    order = np.lexsort((np.arange(len(slots)), slots))
    same = np.flatnonzero(np.diff(slots[order]) == 0)
    previous[order[same + 1]] = order[same]
    nearest = np.maximum.accumulate(previous)  # a run from ``start`` ends where this reaches ``start``
    start = 0
    while start < len(slots):
        stop = max(int(np.searchsorted(nearest, start, side="left")), start + 1)
        yield start, stop
        start = stop
