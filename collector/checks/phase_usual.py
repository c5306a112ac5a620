"""What is usual for the phases of a three-phase meter, learnt once a quarter of an hour.

The first row of a meter in each quarter (UTC) teaches, if the phase carries load, the others do, all voltages are
there, and nothing is suspected of the meter: the abnormal is not learnt as normal. Until a phase has taught 64 times
every quarter weighs the same, from then on 1/64: about two days of business.  [OURS]
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from collector.checks.sight import Sight
from collector.engine.book import Change, Pages
from collector.engine.fleet import Floats
from collector.store.table import Mask, Rows

NO_CURRENT: Final = 0.005
"""Share of the base current below which a phase carries nothing. [FW]"""

FIELDS: Final = tuple(
    f"{name}_l{phase}" for name in ("others", "share", "own", "quarters", "idle_ms", "low_ms") for phase in (1, 2, 3)
)
"""Usual mean current of the other two while this phase carries load (A), its usual share of the median and its usual
current (A), from how many quarters that was learnt, and the longest time it was idle, and low, and came back."""

_LOAD: Final = 0.05  # share of the base current that counts as load  [FW]
_VOLTAGE: Final = 0.7  # share of the nominal voltage that every phase must have  [FW]
_MEMORY: Final = 64.0  # quarters
_LONGEST_IDLE_MS: Final = 48 * 3_600_000.0  # idle for longer, a phase says nothing about what is usual


class PhaseUsual(NamedTuple):
    """Matrices of phase × row, as in ``FIELDS``."""

    others: Floats
    share: Floats
    own: Floats
    quarters: Floats
    idle_ms: Floats
    low_ms: Floats


def usual_of(pages: Pages, rows: Rows | slice) -> PhaseUsual:
    """What is known about some rows."""
    learnt = pages.learnt_of(FIELDS[0], len(FIELDS))[:, rows].astype(np.float64)
    return PhaseUsual(*learnt.reshape(len(PhaseUsual._fields), 3, -1))


def learn(near: Sight, usual: PhaseUsual, teaches: Mask) -> Floats:
    """What is usual after one more quarter, the first four of ``FIELDS``; ``teaches`` says for which rows."""
    load_a = _LOAD * near.base_a
    loaded = teaches & (near.median_a >= load_a) & (near.lowest_v > _VOLTAGE * near.nominal_v)
    learns = (near.current >= load_a) & loaded & ~np.isnan(near.voltage).any(axis=0)
    quarters = np.nan_to_num(usual.quarters) + learns
    weight = np.where(learns, 1 / np.minimum(np.maximum(quarters, 1.0), _MEMORY), 0.0)
    samples = ((near.total_a - near.current) / 2, near.current / near.median_a, near.current)
    learnt = [
        np.where(learns, np.nan_to_num(old) + weight * (sample - np.nan_to_num(old)), old)
        for old, sample in zip(usual[:3], samples, strict=True)
    ]
    return np.stack([*learnt, quarters]).reshape(-1, quarters.shape[1])


def note_idle(change: Change, name: str, rows: Rows, idle_ms: Floats, relapsed: Mask, held_ms: Floats) -> None:
    """Remember how long a phase was idle (or low) before it came back by itself; ``name`` as in ``FIELDS``."""
    for phase in np.flatnonzero(relapsed.any(axis=1)).tolist():
        back = relapsed[phase]
        longest = np.fmin(np.fmax(idle_ms[phase, back], held_ms[phase, back]), _LONGEST_IDLE_MS)
        change.learnt.append((f"{name}_l{phase + 1}", rows[back], longest))
