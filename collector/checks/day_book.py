"""A book of one determinant: sums and peaks of the local day and of the billing month under way.

Blocks come in their order. A block beyond the day under way closes it: the day's row is final, its figures, rounded as
they are stored, are added to the month, and the month's row says how far it has come. The last row of a day, and of a
month, is its statement; months are thus sums of exactly what the days say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.checks.check import Measured
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.store.table import DECIMALS, ENERGY_DAY, ENERGY_MONTH, Rows
from collector.tariff.calendar import BLOCK_MS, Calendar

_SPANS: Final = ("day_first", "day_end", "month_first", "month_end", "blocks", "month_blocks")
Figures = Callable[[Rows, Mapping[str, Floats], Floats], Mapping[str, Floats]]
"""Slots, sums and the number of blocks of a day or month → the columns to store."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a book keeps: names of sums, and of peaks, which have the time ``…_at`` besides."""

    sums: tuple[str, ...] = ()
    peaks: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The state of one meter."""
        own = (*self.sums, *(name for peak in self.peaks for name in (peak, f"{peak}_at")))
        return (*_SPANS, *own, *(f"month_{name}" for name in own))


def plain(slots: Rows, sums: Mapping[str, Floats], blocks: Floats) -> Mapping[str, Floats]:  # noqa: ARG001
    """The sums as they are."""
    return sums


class DayBook:
    """The book of the meters of one frame; changes their state in place."""

    def __init__(self, frame: Frame, fleet: Fleet, state: Floats, layout: Layout, figures: Figures = plain) -> None:
        """Keep the book in ``state``, whose rows are ``layout.fields``."""
        self._frame = frame
        self._fleet = fleet
        self._state = state
        self._layout = layout
        self._figures = figures
        self._at = {name: i for i, name in enumerate(layout.fields)}
        self.measured: list[Measured] = []

    def of(self, name: str, rows: Rows) -> Floats:
        """One field of some meters."""
        found: Floats = self._state[self._at[name], rows]
        return found

    def calendar(self, row: int) -> Calendar:
        """The calendar of one meter."""
        return self._fleet.calendars[int(self._fleet.calendar_index(self._frame.slots[row : row + 1])[0])]

    def turn_to(self, rows: Rows, block: Floats) -> None:
        """Turn to the days of these blocks: days that lie behind are closed."""
        ahead = ~(block < self.of("day_end", rows))
        if ahead.any():
            self._close(rows[ahead], block[ahead])
        self._state[self._at["blocks"], rows] += 1

    def add(self, name: str, rows: Rows, values: Floats) -> None:
        """Add to a sum of the day under way."""
        self._state[self._at[name], rows] += values

    def reach(self, name: str, rows: Rows, values: Floats, at: Floats) -> None:
        """Raise a peak of the day under way; NaN is no value."""
        i = self._at[name]
        higher = ~np.isnan(values) & ~(values <= self._state[i, rows])
        self._state[i, rows[higher]] = values[higher]
        self._state[i + 1, rows[higher]] = at[higher]

    def end(self, rows: Rows, following: Floats) -> None:
        """Close the days that end where the block after this one begins."""
        over = following == self.of("day_end", rows)
        if over.any():
            self._close(rows[over], following[over])

    def emit(self, rows: Rows) -> None:
        """Note the day under way, as far as it has come."""
        rows = rows[self.of("blocks", rows) > 0]
        if len(rows):
            blocks = self.of("day_end", rows) - self.of("day_first", rows)
            self._note(ENERGY_DAY, rows, self.of("day_first", rows), self._columns(rows, "", blocks))

    def _close(self, rows: Rows, block: Floats) -> None:
        """Close the days under way, and turn to the days of these blocks."""
        known = rows[self.of("blocks", rows) > 0]
        if len(known):
            self.emit(known)
            self._carry_over(known)
            blocks = self.of("month_end", known) - self.of("month_first", known)
            self._note(ENERGY_MONTH, known, self.of("month_first", known), self._columns(known, "month_", blocks))
        for row, number in zip(rows.tolist(), block.tolist(), strict=True):
            self._start(row, int(number))

    def _carry_over(self, rows: Rows) -> None:
        state, at = self._state, self._at
        for name in self._layout.sums:
            state[at[f"month_{name}"], rows] += rounded(state[at[name], rows])
        for name in self._layout.peaks:
            here, there = at[name], at[f"month_{name}"]
            values = rounded(state[here, rows])
            higher = ~np.isnan(values) & ~(values <= state[there, rows])
            state[there, rows[higher]] = values[higher]
            state[there + 1, rows[higher]] = state[here + 1, rows[higher]]
        state[at["month_blocks"], rows] += state[at["blocks"], rows]

    def _start(self, row: int, block: int) -> None:
        """Start a day with empty sums, and a month if the day is its first or the first that is seen of it."""
        state, at = self._state[:, row], self._at
        calendar = self.calendar(row)
        day = calendar.day_of(block)
        state[at["day_first"]], state[at["day_end"]] = day.first, day.end
        started = [("", "blocks")]
        if not block < state[at["month_end"]]:
            month = calendar.month_of(block)
            state[at["month_first"]], state[at["month_end"]] = month.first, month.end
            started.append(("month_", "month_blocks"))
        for prefix, count in started:
            state[at[count]] = 0.0
            for name in self._layout.sums:
                state[at[f"{prefix}{name}"]] = 0.0
            for name in self._layout.peaks:
                state[at[f"{prefix}{name}"]] = state[at[f"{prefix}{name}_at"]] = np.nan

    def _columns(self, rows: Rows, prefix: str, blocks: Floats) -> Mapping[str, Floats]:
        sums = {name: rounded(self.of(f"{prefix}{name}", rows)) for name in self._layout.sums}
        columns = dict(self._figures(self._frame.slots[rows], sums, blocks))
        for name in self._layout.peaks:
            columns[name] = self.of(f"{prefix}{name}", rows)
            columns[f"{name}_at"] = self.of(f"{prefix}{name}_at", rows)
        return columns

    def _note(self, measurement: str, rows: Rows, first: Floats, columns: Mapping[str, Floats]) -> None:
        self.measured.append(Measured(measurement, self._frame.slots[rows], first * BLOCK_MS, columns))


def rounded(values: Floats) -> Floats:
    """As it is stored: whole tenths of a watt-hour, or of a watt."""
    found: Floats = np.rint(values * 10**DECIMALS) / 10**DECIMALS
    return found
