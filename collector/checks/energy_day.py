"""Energy of a local day by tariff period, and its highest 15-minute demand, from load blocks.

A block lies in exactly one period and one local day, so that the energy of the periods of a day adds up to what the
register counted, however it was read. Energy that was spread over a gap of more than one period or day is counted as
*estimated* besides. A demand block counts only if measured intervals cover all of it.

One row a meter and day goes to ``energy_day`` whenever a block ends, so that the running day can be queried; the last
row of a day is final.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from collector.checks.check import Measured, Step
from collector.checks.load_block import EndedBlocks, ended_blocks
from collector.checks.register_difference import IMPORT
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame, failed
from collector.store.table import ENERGY_DAY, Rows
from collector.tariff.calendar import BLOCK_MS, LocalDay, block_of

_FIELDS: Final = (
    "last_at",
    "day_first",  # first block of the local day under way
    "day_end",  # first block of the next
    "sharp",
    "peak",
    "flat",
    "valley",
    "estimated",
    "maximum_demand",
    "maximum_demand_at",
    "covered",  # blocks, as a sum of shares
    "spanned",
    "readings",
    "failures",
)
_I: Final = {name: i for i, name in enumerate(_FIELDS)}
_PERIODS: Final = slice(_I["sharp"], _I["valley"] + 1)
_DAY_SUMS: Final = ("sharp", "peak", "flat", "valley", "estimated", "covered", "spanned", "readings", "failures")

_FULLY_COVERED: Final = 0.999
_BLOCKS_PER_HOUR: Final = 3_600_000 / BLOCK_MS


class EnergyDay:
    """kWh by period and maximum demand, day by day."""

    name = "energy_day"
    fields = _FIELDS

    def concerns(self, frame: Frame) -> bool:  # noqa: ARG002
        """Every frame: a reading that failed is counted too."""
        return True

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Add the blocks that ended to their periods and days."""
        newer = ~(frame.at <= state[_I["last_at"]])
        state[_I["last_at"]] = np.where(newer, frame.at, state[_I["last_at"]])
        days = _Days(frame, fleet, state)
        ended = ended_blocks(frame, IMPORT)
        if ended is not None:
            days.take(ended)
        day_end = state[_I["day_end"]]
        unknown = np.isnan(day_end)
        if unknown.any():
            days.start(np.flatnonzero(unknown), block_of(frame.at[unknown]))
        today = newer & (frame.at < day_end * BLOCK_MS)
        lost = failed(frame.quality)
        state[_I["failures"]] += today & lost
        state[_I["readings"]] += today & ~lost
        return Step(state, measured=tuple(days.measured))


class _Days:
    """Adds ended blocks to the days of their meters, all meters at once, one block each a turn."""

    def __init__(self, frame: Frame, fleet: Fleet, state: Floats) -> None:
        self.frame = frame
        self.fleet = fleet
        self.state = state
        self.measured: list[Measured] = []

    def take(self, ended: EndedBlocks) -> None:
        """Add the blocks; note the days that ended, and the running day of every meter."""
        rows, first, counts = np.unique(ended.row, return_index=True, return_counts=True)
        guessed_kw = self._guessed(rows)
        for turn in range(int(counts.max(initial=0))):
            now = first[counts > turn] + turn
            self._add(ended.row[now], ended.block[now], ended.energy[now], ended.covered[now], ended.spanned[now])
            if guessed_kw.any():
                self._guess(ended.row[now], ended.block[now], guessed_kw)
            self._end_days(ended.row[now], ended.block[now] + 1)
        if guessed_kw.any():
            self._guess(rows, block_of(self.frame.at[rows]), guessed_kw)
        self._emit(rows)

    def start(self, rows: Rows, block: Floats) -> None:
        """Start the local day in which a block lies, with empty sums."""
        state = self.state
        for row, number in zip(rows.tolist(), block.tolist(), strict=True):
            day = self._day(row, int(number))
            state[_I["day_first"], row] = day.first
            state[_I["day_end"], row] = day.end
        for name in _DAY_SUMS:
            state[_I[name], rows] = 0.0
        state[_I["maximum_demand"], rows] = np.nan
        state[_I["maximum_demand_at"], rows] = np.nan

    def _add(self, rows: Rows, block: Floats, kwh: Floats, covered: Floats, spanned: Floats) -> None:
        state = self.state
        elsewhere = ~(block < state[_I["day_end"], rows])  # its energy was not believed for the rest of the day
        if elsewhere.any():
            self._emit(rows[elsewhere])
            self.start(rows[elsewhere], block[elsewhere])
        state[_PERIODS][self._period(rows, block), rows] += kwh
        state[_I["covered"], rows] += covered
        state[_I["spanned"], rows] += spanned
        demand = kwh * _BLOCKS_PER_HOUR
        higher = (covered >= _FULLY_COVERED) & ~(demand <= state[_I["maximum_demand"], rows])
        state[_I["maximum_demand"], rows[higher]] = demand[higher]
        state[_I["maximum_demand_at"], rows[higher]] = block[higher] * BLOCK_MS

    def _end_days(self, rows: Rows, following: Floats) -> None:
        over = following == self.state[_I["day_end"], rows]
        if over.any():
            self._emit(rows[over])
            self.start(rows[over], following[over])

    def _guessed(self, rows: Rows) -> Floats:
        """kWh a ms of the differences over gaps that lie in more than one period or day; 0 for all others."""
        found = np.zeros(len(self.frame))
        columns = self.frame.columns
        for row in rows[columns[IMPORT.gap][rows] > 0].tolist():
            since, until = columns[IMPORT.since][row], self.frame.at[row]
            first, last = int(since // BLOCK_MS), int((until - 1) // BLOCK_MS)
            day = self._day(row, first)
            if last >= day.end or len(set(day.periods[first - day.first : last - day.first + 1].tolist())) > 1:
                found[row] = columns[IMPORT.energy][row] / (until - since)
        return found

    def _guess(self, rows: Rows, block: Floats, guessed_kw: Floats) -> None:
        start = np.maximum(block * BLOCK_MS, self.frame.columns[IMPORT.since][rows])
        end = np.minimum((block + 1) * BLOCK_MS, self.frame.at[rows])
        guessed = guessed_kw[rows] * np.maximum(end - start, 0.0)
        self.state[_I["estimated"], rows] += np.where(guessed_kw[rows] > 0, guessed, 0.0)

    def _day(self, row: int, block: int) -> LocalDay:
        slot = self.frame.slots[row : row + 1]
        return self.fleet.calendars[int(self.fleet.calendar_index(slot)[0])].day_of(block)

    def _period(self, rows: Rows, block: Floats) -> npt.NDArray[np.intp]:
        """The tariff period of each row's block."""
        calendars = self.fleet.calendar_index(self.frame.slots[rows])
        firsts = self.state[_I["day_first"], rows]
        if (calendars == calendars[0]).all() and (firsts == firsts[0]).all():  # as nearly always
            day = self.fleet.calendars[int(calendars[0])].day_of(int(firsts[0]))
            return day.periods[(block - day.first).astype(np.intp)].astype(np.intp)
        found = np.empty(len(rows), np.intp)
        for calendar, first in set(zip(calendars.tolist(), firsts.tolist(), strict=True)):
            chosen = (calendars == calendar) & (firsts == first)
            day = self.fleet.calendars[calendar].day_of(int(first))
            found[chosen] = day.periods[(block[chosen] - day.first).astype(np.intp)]
        return found

    def _emit(self, rows: Rows) -> None:
        """Note the day of these meters, as far as it has come."""
        rows = rows[self.state[_I["spanned"], rows] > 0]
        if not len(rows):
            return
        state = self.state[:, rows]
        columns = {name: state[_I[name]] for name in ("sharp", "peak", "flat", "valley")}
        columns["total"] = state[_PERIODS].sum(axis=0)
        columns["estimated"] = state[_I["estimated"]]
        columns["maximum_demand"] = state[_I["maximum_demand"]]
        columns["maximum_demand_at"] = state[_I["maximum_demand_at"]]
        columns["coverage"] = state[_I["covered"]] / (state[_I["day_end"]] - state[_I["day_first"]])
        columns["readings"] = state[_I["readings"]]
        columns["failures"] = state[_I["failures"]]
        self.measured.append(Measured(ENERGY_DAY, self.frame.slots[rows], state[_I["day_first"]] * BLOCK_MS, columns))
