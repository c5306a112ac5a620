"""CPU time of one core, peers side by side: A B A B …, the first turn thrown away, the median quoted.

CPU time, because other programs on the machine must not make a figure; taking turns, because a machine that gets
warm must not make a ratio.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Timed = Callable[[], int]
"""What is timed; it returns how many units it has done."""

Work = Callable[[], Timed]
"""Prepares one turn, outside the clock."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    key: str
    value: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    ratio_key: str = ""
    smaller_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer."""
        if self.peer is None:
            return None
        return self.peer / self.value if self.smaller_is_better else self.value / self.peer


def seconds_a_unit(turns: int, *works: Work) -> list[float]:
    """Median CPU seconds a unit of each work."""
    measured: list[list[float]] = [[] for _ in works]
    for turn in range(turns + 1):
        for work, found in zip(works, measured, strict=True):
            run = work()
            gc.collect()
            started = time.process_time()
            units = run()
            spent = time.process_time() - started
            if turn:
                found.append(spent / units)
    return [statistics.median(found) for found in measured]
