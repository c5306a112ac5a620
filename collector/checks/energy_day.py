"""Energy by local day and billing month: by tariff period, at night and in the trade's own window, from load blocks.

A block lies in exactly one period and one local day, so that the energy of the periods adds up to what the register
counted, however it was read. Energy that was spread over a gap of more than one period or day is counted as
*estimated* besides. A day or month is *complete* if register differences span all of it and none of its energy is
estimated: then its kWh by period are exact to one usual reading interval. A demand block counts only if measured
intervals cover all of it.

One row a meter and day goes to ``energy_day`` whenever a block ends, so that the running day can be queried; one row a
meter and month to ``energy_month`` whenever a day ends. The last row of each is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.checks.check import Step
from collector.checks.day_book import DayBook, Layout, rounded
from collector.checks.load_block import EndedBlocks, ended_blocks, has_ended
from collector.checks.register_difference import IMPORT
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.store.table import Rows
from collector.tariff.calendar import BLOCK_MS, PERIOD_NAMES, block_of
from collector.tariff.trade_window import NO_WINDOW

_COUNTED: Final = ("rows", "failures")
_SEEN: Final = tuple(f"{name}_seen" for name in _COUNTED)
_PERIODS: Final = tuple(PERIOD_NAMES.values())
_BOOK: Final = Layout(
    sums=(*_PERIODS, "estimated", "night", "own_window", "covered", "spanned", *_COUNTED),
    peaks=("maximum_demand",),
)
_FULLY_COVERED: Final = 0.999
_BLOCKS_PER_HOUR: Final = 3_600_000 / BLOCK_MS


class EnergyDay:
    """kWh by period and maximum demand, day by day and month by month."""

    name = "energy_day"
    fields = (*_SEEN, *_BOOK.fields)

    def concerns(self, frame: Frame) -> bool:
        """Frames in which a block of energy ended."""
        return has_ended(frame, IMPORT)

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Add the blocks that ended to their periods and days."""
        ended = ended_blocks(frame, IMPORT)
        if ended is None:
            return Step(state)
        book = DayBook(frame, fleet, state[len(_SEEN) :], _BOOK, partial(_figures, fleet))
        guessed_kw = _guessed(frame, book, ended)
        rows, first, counts = np.unique(ended.row, return_index=True, return_counts=True)
        for turn in range(int(counts.max(initial=0))):
            now = first[counts > turn] + turn
            row, block = ended.row[now], ended.block[now]
            book.turn_to(row, block)
            if turn == 0:
                _count(frame, book, state, row)
            _add(frame, fleet, book, row, ended, now)
            book.add("estimated", row, _guess(frame, row, block, guessed_kw))
            book.end(row, block + 1)
        under_way = block_of(frame.at[rows])
        unfinished = _guess(frame, rows, under_way, guessed_kw)
        if unfinished.any():
            book.add("estimated", rows, unfinished)
        book.emit(rows)
        return Step(state, measured=tuple(book.measured))


def _add(frame: Frame, fleet: Fleet, book: DayBook, row: Rows, ended: EndedBlocks, now: npt.NDArray[np.intp]) -> None:
    block, kwh, covered = ended.block[now], ended.energy[now], ended.covered[now]
    period, night, own_window = _place(frame, fleet, book, row, block)
    for number, name in PERIOD_NAMES.items():
        book.add(name, row, np.where(period == number, kwh, 0.0))
    book.add("night", row, np.where(night, kwh, 0.0))
    book.add("own_window", row, np.where(own_window, kwh, 0.0))
    book.add("covered", row, covered)
    book.add("spanned", row, ended.spanned[now])
    demand = np.where(covered >= _FULLY_COVERED, kwh * _BLOCKS_PER_HOUR, np.nan)
    book.reach("maximum_demand", row, demand, block * BLOCK_MS)


def _place(
    frame: Frame, fleet: Fleet, book: DayBook, rows: Rows, block: Floats
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Each row's block: its tariff period, whether it is night, whether it lies in the trade's own window."""
    slots = frame.slots[rows]
    calendars, trades = fleet.calendar_index(slots), fleet.trade_index(slots)
    firsts = book.of("day_first", rows)
    period = np.empty(len(rows), np.uint8)
    night, own_window = np.empty(len(rows), np.bool_), np.empty(len(rows), np.bool_)
    for calendar in np.unique(calendars).tolist():
        for first in np.unique(firsts[calendars == calendar]).tolist():
            chosen = (calendars == calendar) & (firsts == first)
            day = fleet.calendars[calendar].day_of(int(first))
            at = (block[chosen] - day.first).astype(np.intp)
            period[chosen], night[chosen] = day.periods[at], day.night[at]
            own_window[chosen] = day.at_work[trades[chosen], at]
    return period, night, own_window


def _count(frame: Frame, book: DayBook, state: Floats, rows: Rows) -> None:
    """Rows that came since the last time belong to the day in which they came."""
    for seen, name in enumerate(_COUNTED):
        before = frame.columns[f"{name}_before"][rows]
        book.add(name, rows, before - np.nan_to_num(state[seen, rows]))
        state[seen, rows] = before


def _guessed(frame: Frame, book: DayBook, ended: EndedBlocks) -> Floats:
    """kWh a ms of the differences over gaps that lie in more than one period or day; 0 for all others."""
    found = np.zeros(len(frame))
    since, until = frame.columns[IMPORT.since], frame.at
    for row in np.unique(ended.row[frame.columns[IMPORT.gap][ended.row] > 0]).tolist():
        first, last = int(since[row] // BLOCK_MS), int((until[row] - 1) // BLOCK_MS)
        day = book.calendar(row).day_of(first)
        if last >= day.end or len(set(day.periods[first - day.first : last - day.first + 1].tolist())) > 1:
            found[row] = frame.columns[IMPORT.energy][row] / (until[row] - since[row])
    return found


def _guess(frame: Frame, rows: Rows, block: Floats, guessed_kw: Floats) -> Floats:
    """kWh of these blocks that come from such a gap."""
    rate = guessed_kw[rows]
    if not rate.any():
        return np.zeros(len(rows))
    start = np.maximum(block * BLOCK_MS, frame.columns[IMPORT.since][rows])
    end = np.minimum((block + 1) * BLOCK_MS, frame.at[rows])
    found: Floats = np.where(rate > 0, rate * np.maximum(end - start, 0.0), 0.0)
    return found


def _figures(fleet: Fleet, slots: Rows, sums: Mapping[str, Floats], blocks: Floats) -> Mapping[str, Floats]:
    """What a day or a month of so many blocks states."""
    found = {name: sums[name] for name in (*_PERIODS, "estimated", "night")}
    found["total"] = rounded(sum((sums[name] for name in _PERIODS), np.zeros(len(slots))))
    found["own_window"] = np.where(fleet.trade_index(slots) == NO_WINDOW, np.nan, sums["own_window"])
    found["coverage"] = np.minimum(sums["covered"] / blocks, 1.0)
    found["complete"] = ((sums["spanned"] >= blocks) & (sums["estimated"] == 0)) * 1.0
    found["readings"] = sums["rows"] - sums["failures"]
    found["failures"] = sums["failures"]
    return found
