"""How speed is measured: CPU time of this process, taken in turns, the median of several turns.

Wall time would measure whoever else uses the machine. The turns of the compared alternate (A B A B), so that a slow
moment hits both. The first turn of each warms caches up and is not counted, nor is what a turn needs prepared.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from statistics import median

Turn = Callable[[], int]
"""Does some work, gives how many units it was."""


def rates(*compared: Iterator[Turn], repeats: int) -> list[float]:
    """Units per second of one core, for each of the compared; its next turn is prepared by the iterator."""
    found: list[list[float]] = [[] for _ in compared]
    for repeat in range(repeats + 1):
        for i, turns in enumerate(compared):
            turn = next(turns)
            gc.collect()
            started_s = time.process_time()
            units = turn()
            taken_s = time.process_time() - started_s
            if repeat:
                found[i].append(units / taken_s)
    return [median(one) for one in found]


def nanoseconds(rate: float) -> float:
    """What one unit costs."""
    return 1e9 / rate
