"""A reversed phase of a meter that shows no powers of its phases, by its totals.

    vector share = √(P² + Q²) / Σ U·I

is near 1 where the angles of the phases are alike, whatever the power factor. A current transformer put on backwards on
a phase that carries the part s of Σ U·I takes that phase away instead of adding it: the share becomes |1 - 2 s| of what
it was. So a phase is taken for reversed if the share has fallen by 0.2 at least, and this phase explains the fall to
0.15, better than the others. Distorted currents lower the share for good: it is held against the usual one, learnt once
a quarter of an hour while nothing is suspected. A mix of loads can imitate the figures for a while: two hours.  [OURS]
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from collector.checks.sight import Sight
from collector.engine.fleet import Floats
from collector.store.table import Mask

FIELDS: Final = ("vector_quarter", "vector_share", "vector_quarters")
DELAY_MS: Final = 2 * 3_600_000.0

FELL: Final = 0.2
"""By how much the share must have fallen."""

_LOAD: Final = 0.1  # share of base power below which angles mean nothing
_QUARTERS: Final = 5
_MEMORY: Final = 64.0
_BACK: Final = 0.1
_EXPLAINS: Final = 0.15


class Reversed(NamedTuple):
    """Verdict on three phases by row."""

    trigger: Mask
    clear: Mask
    known: Mask
    missing_kw: Floats


def share_of(near: Sight) -> tuple[Floats, Floats]:
    """The vector share, NaN at little load or where something is not read, and Σ U·I in kVA."""
    drawn = (near.voltage * near.current).sum(axis=0) / 1000
    loaded = drawn >= _LOAD * near.base_a * near.nominal_v * near.rating("phases") / 1000
    share = np.hypot(near.column("active_power"), near.column("reactive_power")) / drawn
    return np.where(loaded & near.three_phase, share, np.nan), drawn


def judge(near: Sight, usual: Floats, quarters: Floats) -> Reversed:
    """Which phase explains that the share has fallen."""
    share, drawn = share_of(near)
    parts = near.voltage * near.current / (1000 * drawn)
    away = np.abs(share - usual * np.abs(1 - 2 * parts))
    best = (away <= away.min(axis=0)) & (away < _EXPLAINS)
    known = (quarters >= _QUARTERS) & ~np.isnan(share)
    clear = share > usual - _BACK
    trigger = best & (share < usual - FELL)
    return Reversed(trigger, np.stack([clear] * 3), known & (trigger | clear), 2 * usual * parts * drawn)


def learn(near: Sight, usual: Floats, quarters: Floats, teaches: Mask) -> tuple[Floats, Floats]:
    """Usual share and quarters after one more."""
    share, _ = share_of(near)
    learns = teaches & ~np.isnan(share)
    quarters = np.nan_to_num(quarters) + learns
    old = np.nan_to_num(usual)
    weight = 1 / np.minimum(np.maximum(quarters, 1.0), _MEMORY)
    return np.where(learns, old + weight * (share - old), usual), quarters
