"""What is usual for the phases of a three-phase meter, learnt once a quarter of an hour.

The first row of a meter in each quarter (UTC) teaches, if the phase carries load, the others do, all voltages are
there, and nothing is suspected of the meter: the abnormal is not learnt as normal. Until a phase has taught 64 times
every quarter weighs the same, from then on 1/64: about two days of business.  [OURS]

Some phases carry one large device, and some nothing at night: what would be a sign on a steady phase is nothing on
those. So it is learnt, too, how often a phase *keeps up*, that is carries at least half of its usual share while the
others are busy: over all, and for each eighth of the day (UTC). Time in which a condition holds counts as much as the
phase usually keeps up at that time of day. A meter is *known* after 96 quarters under load, some days. From then on a
condition has to hold for eight such hours, for twelve on a phase that fails to keep up in five of a hundred quarters,
and for a multiple of the longest time that was seen and ended by itself. Before that there is little to hold it
against: what is found then, by the shorter delay of the rule, is only to be looked at. [OURS]
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from collector.checks.sight import Sight
from collector.engine.book import Change, Pages
from collector.engine.fleet import Floats
from collector.store.table import Mask, Rows
from collector.tariff.calendar import BLOCK_MS

KNOWN_QUARTERS: Final = 96
"""Quarters of an hour under load after which a phase has a past. [OURS]"""

NO_CURRENT: Final = 0.005
"""Share of the base current below which a phase carries nothing. [FW]"""

FIELDS: Final = tuple(
    f"{name}_l{phase}"
    for name in ("others", "share", "own", "quarters", "dips", "idle_ms", "low_ms")
    for phase in (1, 2, 3)
)
"""Usual mean current of the other two while this phase carries load (A), its usual share of the median and its usual
current (A), from how many quarters that was learnt, the part of busy ones in which it did not keep up, and the longest
time it was idle, and low, and came back."""
KEPT: Final = tuple(f"kept_{eighth}_l{phase}" for eighth in range(8) for phase in (1, 2, 3))
"""How often a phase keeps up in each eighth of the day, 0…1."""

_LOAD: Final = 0.05  # share of the base current that counts as load  [FW]
_VOLTAGE: Final = 0.7  # share of the nominal voltage that every phase must have  [FW]
_MEMORY: Final = 64.0  # quarters
_KEPT_MEMORY: Final = 16.0
_KEEPS_UP: Final = 0.5  # part of the usual share
_SELDOM: Final = 0.3  # a time of day at which a phase keeps up less often counts nothing
_DIPS: Final = 0.05
_STEADY_MS: Final = 8 * 3_600_000.0
_UNSTEADY_MS: Final = 12 * 3_600_000.0
_LONGEST_IDLE_MS: Final = 24 * 3_600_000.0  # idle for longer, a phase says nothing about what is usual
_EIGHTH_MS: Final = 3 * 3_600_000.0


class PhaseUsual(NamedTuple):
    """Matrices of phase × row, as in ``FIELDS``."""

    others: Floats
    share: Floats
    own: Floats
    quarters: Floats
    dips: Floats
    idle_ms: Floats
    low_ms: Floats

    @property
    def unsteady(self) -> Mask:
        """Phases that fail to keep up too often."""
        found: Mask = self.dips > _DIPS
        return found

    def delay_ms(self, delay_ms: Floats, longest_ms: Floats) -> Floats:
        """How long a condition has to hold."""
        steady = np.where(self.known, np.maximum(delay_ms, _STEADY_MS), delay_ms)
        found: Floats = np.fmax(np.where(self.unsteady, np.maximum(delay_ms, _UNSTEADY_MS), steady), longest_ms)
        return found

    @property
    def known(self) -> Mask:
        """Phases that have a past to be held against."""
        found: Mask = self.quarters >= KNOWN_QUARTERS
        return found

    def judged(self, quarters: int) -> Mask:
        """Phases of which enough is known."""
        found: Mask = self.quarters >= np.where(self.unsteady, max(quarters, KNOWN_QUARTERS), quarters)
        return found


def eighth_of(at: Floats) -> Rows:
    """Which eighth of the day (UTC) an instant lies in."""
    return (at / _EIGHTH_MS).astype(np.intp) % 8


def counts(pages: Pages, rows: Rows, at: Floats) -> Floats:
    """How much time counts for each phase, by the time of day; phase × row."""
    kept = pages.learnt_of(KEPT[0], len(KEPT))[:, rows].reshape(8, 3, -1)
    now: Floats = kept[eighth_of(at), :, np.arange(len(rows))].T.astype(np.float64)
    return np.where(np.isnan(now), 1.0, np.where(now < _SELDOM, 0.0, now))


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


def learn_steadiness(near: Sight, share: Floats, dips: Floats, kept: Floats, teaches: Mask) -> tuple[Floats, Floats]:
    """``dips`` and this eighth's ``kept`` after one more quarter in which the others were busy; phase × row."""
    others_a = (near.total_a - near.current) / 2
    healthy = (near.lowest_v > _VOLTAGE * near.nominal_v) & ~np.isnan(near.voltage).any(axis=0)
    busy = teaches & healthy & (others_a >= _LOAD * near.base_a) & ~np.isnan(share)
    keeps_up = (near.current >= _KEEPS_UP * share * near.median_a) & (near.current > 2 * NO_CURRENT * near.base_a)
    first = np.isnan(kept)
    kept = np.where(busy, np.where(first, keeps_up, kept + (keeps_up - kept) / _KEPT_MEMORY), kept)
    # A time of day at which the phase never keeps up says nothing about the others: it does not count by itself.
    usually = busy & (kept >= _SELDOM)
    old = np.nan_to_num(dips)
    return np.where(usually, old + (~keeps_up - old) / _MEMORY, old), kept


def note_relapse(
    change: Change, name: str, rows: Rows, usual: PhaseUsual, longest_ms: Floats, relapsed: Mask, held_ms: Floats
) -> None:
    """Remember for how long a phase was idle (or low) before it came back by itself; ``name`` as in ``FIELDS``."""
    for phase in np.flatnonzero(relapsed.any(axis=1)).tolist():
        back = relapsed[phase]
        held = held_ms[phase, back]
        longest = np.fmin(np.fmax(longest_ms[phase, back], held), _LONGEST_IDLE_MS)
        left = (1 - 1 / _MEMORY) ** (1 + held / BLOCK_MS)
        dips = 1 - (1 - np.nan_to_num(usual.dips[phase, back])) * left
        change.learnt.append((f"{name}_l{phase + 1}", rows[back], longest))
        change.learnt.append((f"dips_l{phase + 1}", rows[back], dips))
