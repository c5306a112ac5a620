"""The hours in which a trade usually works: what is used inside them is its peak-window consumption.

Source of the hours: the source paper on tailored tariffs. Where it says "noon and evening" or "night", the hours are
our reading of it [OURS]. A window may pass midnight: it then lies in two local days.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from collector.registry.records import Trade
from collector.tariff.periods import BLOCKS_PER_DAY, inside

TRADE_HOURS: Final[dict[Trade, tuple[tuple[int, int], ...]]] = {
    "retail": ((9, 21),),
    "manufacturing": ((8, 18),),
    "catering": ((10, 14), (17, 21)),
    "logistics": ((0, 4), (20, 24)),
    "ecommerce": ((9, 23),),
    "other": (),
}
"""Local hours, from and to, by trade; ``other`` has no window of its own."""

TRADES: Final[tuple[Trade, ...]] = tuple(TRADE_HOURS)
NO_WINDOW: Final = TRADES.index("other")

_BLOCKS_PER_HOUR: Final = BLOCKS_PER_DAY // 24

TRADE_QUARTERS: Final[npt.NDArray[np.bool_]] = np.array(
    [
        inside((start * _BLOCKS_PER_HOUR, end * _BLOCKS_PER_HOUR) for start, end in hours)
        for hours in TRADE_HOURS.values()
    ]
)
"""One row a trade of ``TRADES``, one column a quarter of a local day: whether it lies in the trade's window."""
