"""Readings of any order and any number, sorted by day on disk, so that memory holds one day of them.

One file a UTC day; a reading is one row of float64: instant, meter, events, then its quantities. Within a day
readings are put in order; of two for one meter and instant the later in the file fills in or corrects the earlier, as
it would in the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from collector.backtest.readings import Batch
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.rows import ReadingRows
from metering.meter_event import MeterEvent

_DAY_MS: Final = 86_400_000
_AT, _METER, _EVENTS, _FIRST = 0, 1, 2, 3


class Spill:
    """The readings of one back-test."""

    def __init__(self, folder: Path, quantities: Sequence[str]) -> None:
        """Write into an empty folder."""
        self._folder = folder
        self._quantities = tuple(quantities)
        self._columns = _FIRST + len(self._quantities)
        self._days: set[int] = set()
        self._said: list[str] = [""]  # distinct texts of ``meter_events``
        self._number_of: dict[str, int] = {"": 0}
        self.meters: list[str] = []
        self._meter_number: dict[str, int] = {}
        self.rows = 0

    @property
    def days(self) -> list[int]:
        """The days that have readings, counted from 1970 UTC."""
        return sorted(self._days)

    def add(self, batch: Batch) -> None:
        """Sort the rows of a batch into their days."""
        numbers = np.array([self._number(name) for name in batch.meters], np.float64)
        rows = np.empty((len(batch.at), self._columns))
        rows[:, _AT] = batch.at
        rows[:, _METER] = numbers[batch.meter]
        rows[:, _EVENTS] = 0.0
        for row, said in batch.events.items():
            rows[row, _EVENTS] = self._event_number(said)
        rows[:, _FIRST:] = batch.values.T
        day = batch.at // _DAY_MS
        for one in np.unique(day).tolist():
            with self._file(one).open("ab") as file:
                file.write(rows[day == one].tobytes())
            self._days.add(one)
        self.rows += len(rows)

    def frames(self, day: int, fleet: Fleet, gateways: Sequence[str]) -> Iterator[Frame]:
        """The readings of a day as frames in the order of time; the day's file is used up.

        Args:
            day: one of ``days``.
            fleet: gives the slots.
            gateways: the gateway of each of ``meters``.
        """
        path = self._file(day)
        rows = _merged(np.fromfile(path).reshape(-1, self._columns))
        path.unlink()
        slot_of = np.array(
            [fleet.slots(gateway, (meter,))[0] for gateway, meter in zip(gateways, self.meters, strict=True)], np.intp
        )
        slots = slot_of[rows[:, _METER].astype(np.intp)]
        columns = {name: rows[:, _FIRST + n] for n, name in enumerate(self._quantities)}
        quality = np.zeros(len(rows), np.uint32)
        yield from ReadingRows(slots, rows[:, _AT], quality, columns, self._events(rows[:, _EVENTS])).frames()

    def _events(self, numbers: Floats) -> dict[int, tuple[MeterEvent, ...]]:
        known = {event.value: event for event in MeterEvent}
        return {
            int(row): tuple(known[name] for name in self._said[int(numbers[row])].split() if name in known)
            for row in np.flatnonzero(numbers)
        }

    def unknown_events(self) -> list[str]:
        """Names in ``meter_events`` that are none."""
        known = {event.value for event in MeterEvent}
        return sorted({name for said in self._said for name in said.split()} - known)

    def _file(self, day: int) -> Path:
        return self._folder / f"{day}.f8"

    def _number(self, meter: str) -> int:
        if meter not in self._meter_number:
            self._meter_number[meter] = len(self.meters)
            self.meters.append(meter)
        return self._meter_number[meter]

    def _event_number(self, said: str) -> int:
        if said not in self._number_of:
            self._number_of[said] = len(self._said)
            self._said.append(said)
        return self._number_of[said]


def _merged(rows: Floats) -> Floats:
    """One row a meter and instant: what a later row gives takes the place of what an earlier one gave."""
    order = np.lexsort((np.arange(len(rows)), rows[:, _AT], rows[:, _METER]))
    rows = rows[order]
    again = (np.diff(rows[:, _AT]) == 0) & (np.diff(rows[:, _METER]) == 0)
    for i in np.flatnonzero(again).tolist():
        later, earlier = rows[i + 1], rows[i]
        later[_FIRST:] = np.where(np.isnan(later[_FIRST:]), earlier[_FIRST:], later[_FIRST:])
        later[_EVENTS] = later[_EVENTS] or earlier[_EVENTS]
    keep = np.ones(len(rows), np.bool_)
    keep[:-1] = ~again
    return rows[keep]
