"""What a register counted in a local day and in a billing month: export in kWh, reactive energy in kvarh.

It stands apart from the energy by period because such a register may be read in other rounds: its day ends when its
own last block does.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.checks.check import Step
from collector.checks.day_book import DayBook, Layout
from collector.checks.load_block import ended_blocks, has_ended
from collector.checks.register_difference import EXPORT, KVARH, Register
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame

COLUMN_OF: Final = {EXPORT: "export", KVARH: "kvarh"}
"""The column of ``energy_day`` that a register fills."""


class RegisterDay:
    """Energy of one register by day and month."""

    def __init__(self, register: Register) -> None:
        """Add up this register, one of ``COLUMN_OF``."""
        self._register = register
        self._column = COLUMN_OF[register]
        self._layout = Layout(sums=(self._column,))
        self.name = f"{self._column}_day"
        self.fields = self._layout.fields

    def concerns(self, frame: Frame) -> bool:
        """Frames in which a block of the register ended."""
        return has_ended(frame, self._register)

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Add the blocks that ended."""
        ended = ended_blocks(frame, self._register)
        if ended is None:
            return Step(state)
        book = DayBook(frame, fleet, state, self._layout)
        rows, first, counts = np.unique(ended.row, return_index=True, return_counts=True)
        for turn in range(int(counts.max(initial=0))):
            now = first[counts > turn] + turn
            row, block = ended.row[now], ended.block[now]
            book.turn_to(row, block)
            book.add(self._column, row, ended.energy[now])
            book.end(row, block + 1)
        book.emit(rows)
        return Step(state, measured=tuple(book.measured))
