"""What is usual for the phases of a three-phase meter, learnt once a quarter of an hour.

The first row of a meter in each quarter (UTC) teaches, if the phase carries load, the others do, all voltages are
there, and nothing is suspected of the meter: the abnormal is not learnt as normal. Until a phase has taught 64 times
every quarter weighs the same, from then on 1/64: about two days of business.  [OURS]

How much a phase jumps is learnt with it: the mean distance of its share of the median from the usual one, in which a
time that it was idle or low, and came back by itself, counts fully. A phase on which one large device hangs jumps all
day; what would be a sign on a steady phase is nothing on that one. So a phase that jumps is judged only after 96
quarters, and by twelve hours. What few quarters show of it counts for more than it is.  [OURS]
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from collector.checks.sight import Sight
from collector.engine.book import Change, Pages
from collector.engine.fleet import Floats
from collector.store.table import Mask, Rows
from collector.tariff.calendar import BLOCK_MS

NO_CURRENT: Final = 0.005
"""Share of the base current below which a phase carries nothing. [FW]"""

FIELDS: Final = tuple(
    f"{name}_l{phase}"
    for name in ("others", "share", "own", "quarters", "scatter", "idle_ms", "low_ms")
    for phase in (1, 2, 3)
)
"""Usual mean current of the other two while this phase carries load (A), its usual share of the median and its usual
current (A), from how many quarters that was learnt, how far its share is from the usual one, and the longest time it was idle, and low, and came back."""

_LOAD: Final = 0.05  # share of the base current that counts as load  [FW]
_VOLTAGE: Final = 0.7  # share of the nominal voltage that every phase must have  [FW]
_MEMORY: Final = 64.0  # quarters
_JUMPS: Final = 0.35
_FEW: Final = 32.0  # quarters
_JUMPING_QUARTERS: Final = 96
_JUMPING_MS: Final = 12 * 3_600_000.0
_LONGEST_IDLE_MS: Final = 48 * 3_600_000.0  # idle for longer, a phase says nothing about what is usual


class PhaseUsual(NamedTuple):
    """Matrices of phase × row, as in ``FIELDS``."""

    others: Floats
    share: Floats
    own: Floats
    quarters: Floats
    scatter: Floats
    idle_ms: Floats
    low_ms: Floats

    @property
    def jumps(self) -> Mask:
        """Phases whose share is far from the usual one for much of the time."""
        found: Mask = self.scatter * (1 + _FEW / np.maximum(self.quarters, 1.0)) > _JUMPS
        return found

    def delay_ms(self, delay_ms: Floats, longest_ms: Floats) -> Floats:
        """How long a condition has to hold: longer if the phase jumps, or was seen like that for long."""
        found: Floats = np.fmax(np.where(self.jumps, np.maximum(delay_ms, _JUMPING_MS), delay_ms), longest_ms)
        return found

    def judged(self, quarters: int) -> Mask:
        """Phases of which enough is known."""
        found: Mask = self.quarters >= np.where(self.jumps, max(quarters, _JUMPING_QUARTERS), quarters)
        return found


def usual_of(pages: Pages, rows: Rows | slice) -> PhaseUsual:
    """What is known about some rows."""
    learnt = pages.learnt_of(FIELDS[0], len(FIELDS))[:, rows].astype(np.float64)
    return PhaseUsual(*learnt.reshape(len(PhaseUsual._fields), 3, -1))


def learn(near: Sight, usual: PhaseUsual, teaches: Mask) -> Floats:
    """What is usual after one more quarter, the first five of ``FIELDS``; ``teaches`` says for which rows."""
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
    away = np.minimum(np.nan_to_num(np.abs(samples[1] / usual.share - 1)), 1.0)
    scatter = np.nan_to_num(usual.scatter)
    scatter = np.where(learns, scatter + weight * (away - scatter), scatter)
    return np.stack([*learnt, quarters, scatter]).reshape(-1, quarters.shape[1])


def note_relapse(
    change: Change, name: str, rows: Rows, usual: PhaseUsual, longest_ms: Floats, relapsed: Mask, held_ms: Floats
) -> None:
    """Remember for how long a phase was idle (or low) before it came back by itself; ``name`` as in ``FIELDS``."""
    for phase in np.flatnonzero(relapsed.any(axis=1)).tolist():
        back = relapsed[phase]
        held = held_ms[phase, back]
        longest = np.fmin(np.fmax(longest_ms[phase, back], held), _LONGEST_IDLE_MS)
        kept = (1 - 1 / _MEMORY) ** (1 + held / BLOCK_MS)
        scatter = 1 - (1 - np.nan_to_num(usual.scatter[phase, back])) * kept
        change.learnt.append((f"{name}_l{phase + 1}", rows[back], longest))
        change.learnt.append((f"scatter_l{phase + 1}", rows[back], scatter))
