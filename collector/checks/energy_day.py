"""Energy of a local day by tariff period, and its highest 15-minute demand.

Energy is the difference of two register readings, never an integral of power. A difference that spans several
15-minute blocks is spread over them in proportion to time; since a block lies in exactly one period, so is every
part. Within the polling rhythm that is exact to one interval at a period's edge, and the sum is always exact to
the register. A difference over a gap that spans more than one period or day is counted as *estimated*.

A demand block counts only if measured intervals cover all of it. One row a meter and day goes to ``energy_day``
whenever a block ends, so that the running day can be queried; the last row of a day is final.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.checks.check import Measured, Step
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame, failed
from collector.store.table import ENERGY_DAY, Mask, Rows
from collector.tariff.calendar import BLOCK_MS, LocalDay, block_of

_FIELDS: Final = (
    "block",  # the block under way, counted from 1970 UTC
    "block_kwh",
    "block_covered_ms",
    "day_first",  # first block of the local day under way
    "day_end",  # first block of the next
    "sharp",
    "peak",
    "flat",
    "valley",
    "estimated",
    "maximum_demand",
    "maximum_demand_at",
    "covered_ms",
    "readings",
    "failures",
)
_I: Final = {name: i for i, name in enumerate(_FIELDS)}
_PERIODS: Final = slice(_I["sharp"], _I["valley"] + 1)
_DAY_SUMS: Final = ("sharp", "peak", "flat", "valley", "estimated", "covered_ms", "readings", "failures")

_GAP_PERIODS: Final = 2.5  # an interval longer than this many polling periods is a gap  [OURS]
_FULLY_COVERED: Final = 0.999 * BLOCK_MS
_BLOCKS_PER_HOUR: Final = 3_600_000 / BLOCK_MS
_LONGEST_SPREAD: Final = 62 * 96  # blocks: a register silent for longer cannot be spread over days


class EnergyDay:
    """kWh by period and maximum demand, day by day."""

    name = "energy_day"
    fields = _FIELDS

    def concerns(self, frame: Frame) -> bool:
        """Frames in which register differences were derived."""
        return "import_kwh" in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Add every difference to its blocks, periods and days."""
        kwh, since = frame.columns["import_kwh"], frame.columns["import_since"]
        rows = np.flatnonzero(~np.isnan(kwh))
        blocks = block_of(frame.at) - block_of(since)
        rows = rows[blocks[rows] <= _LONGEST_SPREAD]
        measured: list[Measured] = []
        if len(rows):
            spread = _Spread(frame, fleet, state, rows)
            measured = list(spread.run())
        self._count(frame, state)
        return Step(state, measured=tuple(measured))

    @staticmethod
    def _count(frame: Frame, state: Floats) -> None:
        """Count readings and failures of the day under way."""
        today = frame.at < state[_I["day_end"]] * BLOCK_MS
        lost = failed(frame.quality)
        state[_I["failures"]] += today & lost
        state[_I["readings"]] += today & ~lost


class _Spread:
    """Spreads the differences of some rows over their blocks, all rows at once, one block a turn."""

    def __init__(self, frame: Frame, fleet: Fleet, state: Floats, rows: Rows) -> None:
        self.fleet = fleet
        self.whole = state
        every = len(rows) == len(frame)  # as nearly always: then nothing is copied
        self.rows: Rows | slice = slice(None) if every else rows
        self.slots = frame.slots[self.rows]
        self.state = state[:, self.rows]
        self.since = frame.columns["import_since"][self.rows]
        self.until = frame.at[self.rows]
        self.kwh = frame.columns["import_kwh"][self.rows]
        self.rate = self.kwh / (self.until - self.since)
        self.gap = self.until - self.since > max(_GAP_PERIODS * frame.period_ms, BLOCK_MS)
        self._start_days()
        self.estimated = self._spans_periods()

    def run(self) -> Iterator[Measured]:
        """Yield the days that ended and the running days of rows in which a block ended."""
        state = self.state
        at = self.since
        rolled = np.zeros(len(self.slots), np.bool_)
        left = np.ones(len(self.slots), np.bool_)
        while left.any():
            edge = (state[_I["block"]] + 1) * BLOCK_MS
            stop = np.minimum(self.until, edge)
            self._add(np.where(left, self.rate * (stop - at), 0.0), np.where(left & ~self.gap, stop - at, 0.0))
            ended = left & (stop == edge)
            if ended.any():
                rolled |= ended
                self._end_block(ended)
                day_over = ended & (state[_I["block"]] == state[_I["day_end"]])
                if day_over.any():
                    yield self._day_rows(day_over)
                    self._next_day(day_over)
            at = np.where(left, stop, at)
            left = at < self.until
        if rolled.any():
            yield self._day_rows(rolled)
        self.whole[:, self.rows] = state

    def _add(self, kwh: Floats, covered_ms: Floats) -> None:
        state = self.state
        state[_I["block_kwh"]] += kwh
        state[_I["block_covered_ms"]] += covered_ms
        state[_I["covered_ms"]] += covered_ms
        period = self._period(state[_I["block"]])
        if (period == period[0]).all():
            state[_I["sharp"] + int(period[0])] += kwh
        else:
            state[_PERIODS][period, np.arange(len(self.slots))] += kwh
        if self.estimated.any():
            state[_I["estimated"]] += np.where(self.estimated, kwh, 0.0)

    def _end_block(self, ended: Mask) -> None:
        state = self.state
        demand = state[_I["block_kwh"]] * _BLOCKS_PER_HOUR
        counts = ended & (state[_I["block_covered_ms"]] >= _FULLY_COVERED)
        higher = counts & ~(demand <= state[_I["maximum_demand"]])
        state[_I["maximum_demand"], higher] = demand[higher]
        state[_I["maximum_demand_at"], higher] = state[_I["block"], higher] * BLOCK_MS
        state[_I["block"], ended] += 1
        state[_I["block_kwh"], ended] = 0.0
        state[_I["block_covered_ms"], ended] = 0.0

    def _start_days(self) -> None:
        state = self.state
        new = np.isnan(state[_I["block"]])
        if new.any():
            state[_I["block"], new] = block_of(self.since[new])
            state[_I["block_kwh"], new] = 0.0
            state[_I["block_covered_ms"], new] = 0.0
            self._next_day(new)
        # Energy that could not be believed is skipped: the block under way may lie behind the interval.
        behind = block_of(self.since) > state[_I["block"]]
        if behind.any():
            block = block_of(self.since)
            state[_I["block"], behind] = block[behind]
            state[_I["block_kwh"], behind] = 0.0
            state[_I["block_covered_ms"], behind] = 0.0
            self._next_day(behind & (block >= state[_I["day_end"]]))

    def _next_day(self, rows: Mask) -> None:
        """Start the local day in which the block under way lies, with empty sums."""
        state = self.state
        for i in np.flatnonzero(rows).tolist():
            day = self._day(i, int(state[_I["block"], i]))
            state[_I["day_first"], i] = day.first
            state[_I["day_end"], i] = day.end
            for name in _DAY_SUMS:
                state[_I[name], i] = 0.0
            state[_I["maximum_demand"], i] = np.nan
            state[_I["maximum_demand_at"], i] = np.nan

    def _day(self, i: int, block: int) -> LocalDay:
        calendar = self.fleet.calendars[int(self.fleet.calendar_index(self.slots[i : i + 1])[0])]
        return calendar.day_of(block)

    def _period(self, block: Floats) -> npt.NDArray[np.intp]:
        """The tariff period of each row's block."""
        calendars = self.fleet.calendar_index(self.slots)
        firsts = self.state[_I["day_first"]]
        if (calendars == calendars[0]).all() and (firsts == firsts[0]).all():
            day = self.fleet.calendars[int(calendars[0])].day_of(int(firsts[0]))
            return day.periods[(block - day.first).astype(np.intp)].astype(np.intp)
        found = np.empty(len(block), np.intp)
        for calendar, first in {(int(c), int(f)) for c, f in zip(calendars, firsts, strict=True)}:
            chosen = (calendars == calendar) & (firsts == first)
            day = self.fleet.calendars[calendar].day_of(first)
            found[chosen] = day.periods[(block[chosen] - day.first).astype(np.intp)]
        return found

    def _spans_periods(self) -> Mask:
        """Which gaps lie in more than one period or day, so that their split is a guess."""
        spans = np.zeros(len(self.slots), np.bool_)
        for i in np.flatnonzero(self.gap).tolist():
            first, last = int(self.since[i] // BLOCK_MS), int((self.until[i] - 1) // BLOCK_MS)
            day = self._day(i, first)
            spans[i] = last >= day.end or len(set(day.periods[first - day.first : last - day.first + 1])) > 1
        return spans

    def _day_rows(self, rows: Mask) -> Measured:
        state = self.state[:, rows]
        day_ms = (state[_I["day_end"]] - state[_I["day_first"]]) * BLOCK_MS
        columns = {name: state[_I[name]] for name in ("sharp", "peak", "flat", "valley")}
        columns["total"] = state[_PERIODS].sum(axis=0)
        columns["estimated"] = state[_I["estimated"]]
        columns["maximum_demand"] = state[_I["maximum_demand"]]
        columns["maximum_demand_at"] = state[_I["maximum_demand_at"]]
        columns["coverage"] = state[_I["covered_ms"]] / day_ms
        columns["readings"] = state[_I["readings"]]
        columns["failures"] = state[_I["failures"]]
        return Measured(ENERGY_DAY, self.slots[rows], state[_I["day_first"]] * BLOCK_MS, columns)
