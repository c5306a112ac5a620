"""Readings that come as rows, from a store or from a file → frames in the order of time.

A frame holds no meter twice, and either live readings or such of load profiles. Where one is cut from the next changes
nothing: what is found depends on each meter's own sequence of rows only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Bits, Frame
from collector.store.table import Mask, Rows
from metering.meter_event import MeterEvent, MeterEvents
from metering.round import Origin, unpack

Entry = tuple[str, str, int, MeterEvent, int]
"""Gateway, meter, instant (ms), what happened, quality bits."""


@dataclass(frozen=True, slots=True)
class ReadingRows:
    """Readings in any order, at most one a slot and instant."""

    slots: Rows
    at: Floats  # ms
    quality: Bits
    columns: Mapping[str, Floats]  # quantity → value, NaN = no value
    meter_events: Mapping[int, tuple[MeterEvent, ...]] = field(default_factory=dict)  # row → events
    profiled: Mask | None = None  # rows that a load profile gave; None: no row is

    def frames(self) -> Iterator[Frame]:
        """The rows as frames, each as large as it can be."""
        order = np.lexsort((self.slots, self.at))
        for start, stop in self._spans(order):
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
                origin=Origin.LIVE if self.profiled is None or not self.profiled[rows[0]] else Origin.BACKFILL,
            )

    def _spans(self, order: Rows) -> Iterator[tuple[int, int]]:
        """Runs of rows of one origin in which no slot occurs twice."""
        turns = [] if self.profiled is None else (np.flatnonzero(np.diff(self.profiled[order])) + 1).tolist()
        for first, last in pairwise([0, *turns, len(order)]):
            for start, stop in _cuts(self.slots[order[first:last]]):
                yield first + start, first + stop


def entries_of(logs: Iterable[MeterEvents]) -> Iterator[Entry]:
    """Entries as gateways send them."""
    for one in logs:
        columns = one.meters, unpack(one.at, "q"), one.events, unpack(one.quality, "I")
        for meter, at, event, bits in zip(*columns, strict=True):
            yield one.gateway, meter, at, event, bits


def entry_rows(fleet: Fleet, entries: Iterable[Entry]) -> ReadingRows:
    """Entries of meters' logs as rows of their own, those of one meter and instant together."""
    said: dict[tuple[int, int], set[MeterEvent]] = {}
    quality: dict[tuple[int, int], int] = {}
    for gateway, meter, at, event, bits in entries:
        key = int(fleet.slots(gateway, (meter,))[0]), at
        said.setdefault(key, set()).add(event)
        quality[key] = quality.get(key, 0) | bits
    return ReadingRows(
        np.array([slot for slot, _ in said], np.intp),
        np.array([at for _, at in said], np.float64),
        np.array([quality[key] for key in said], np.uint32),
        {},
        {row: tuple(sorted(events)) for row, events in enumerate(said.values())},
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
