"""current_shunt: a phase carries far less than the others, though it used to keep up with them.

    share of the median phase current < 0.3 × its usual share (at most 2),  I ≥ 0.5 % Ib,  median ≥ 5 % Ib  [OURS]
    for 16 readings and 90 minutes                              recover: share > 0.5 × its usual share

A jumper across the current terminals leaves a remainder, unlike an open transformer (``current_loss``). The share is
held against what is usual for the phase, so that a phase that always carries twice the median is judged as well as
one that carries half; one that never carried a fifth of it is a matter of wiring. More gates keep honest shops out:
the others carry at least half of what they usually do (on a closed day ratios are those of fridges); the phase
carries less than half of its own usual current (a big machine on the other two phases changes shares, too); what lies
between the limits counts neither way; and on a phase on which one large device hangs, or at hours at which it often
carries little, it takes longer (``phase_usual``), twice as long as it was ever seen low and came back.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from collector.checks.phase_usual import NO_CURRENT, PhaseUsual
from collector.checks.rules import RuleSettings, Verdicts
from collector.checks.sight import Sight
from collector.engine.fleet import Floats
from collector.store.table import Mask
from metering.settings import Duration

KIND = "current_shunt"

_HIGHEST = 2.0  # share of the median beyond which a phase is no phase like the others


class CurrentShuntSettings(RuleSettings):
    """Limits of ``current_shunt``."""

    share: float = Field(
        0.3, gt=0, lt=1, description="Part of its usual share of the median it must fall below. [OURS]"
    )
    clear_share: float = Field(0.5, gt=0, lt=1, description="Part of its usual share that ends the finding. [OURS]")
    usual_share: float = Field(0.2, gt=0, description="Share the phase must usually have had. [OURS]")
    usual: float = Field(0.5, gt=0, description="Share of their usual current the other phases must carry. [OURS]")
    own: float = Field(0.5, gt=0, description="Part of its own usual current it must fall below. [OURS]")
    load: float = Field(0.05, gt=0, description="Share of the base current the median must reach. [OURS]")
    idle: float = Field(2.0, ge=0, description="Multiple of the longest low time seen that it must last. [OURS]")
    delay: Duration = Field(5400.0, ge=0, description="How long it must hold at least. [OURS]")
    readings: int = Field(16, ge=1, description="Readings that must agree. [OURS]")
    loaded_quarters: int = Field(
        5, ge=1, description="Quarters of an hour under load before anything is judged. [OURS]"
    )


def could_be(limits: CurrentShuntSettings, sight: Sight, usual_share: Floats) -> Mask:
    """Rows at which a phase carries far less than its usual share."""
    low = sight.current < (limits.share * np.minimum(usual_share, _HIGHEST)) * sight.median_a
    found: Mask = (low[0] | low[1] | low[2]) & (sight.median_a >= limits.load * sight.base_a)
    return found


def judge(
    limits: CurrentShuntSettings, near: Sight, usual: PhaseUsual, complete: Mask, delay_ms: Floats, verdicts: Verdicts
) -> None:
    """Far below the median, where it usually is not."""
    median, current = near.median_a, near.current
    loaded = complete & (median >= limits.load * near.base_a) & (near.lowest_v > 0)
    expected = np.minimum(usual.share, _HIGHEST)
    share = current / np.where(median > 0, median, np.nan) / expected
    trigger = (share < limits.share) & (current < limits.own * usual.own)
    trigger &= (near.total_a - current) / 2 >= limits.usual * usual.others
    trigger &= usual.judged(limits.loaded_quarters) & (usual.share >= limits.usual_share)
    clear = (share > limits.clear_share) & (current > limits.own * usual.own)
    known = loaded & (current >= NO_CURRENT * near.base_a) & (trigger | clear)  # below that it is current_loss
    lanes = verdicts.put(KIND, trigger, clear, known)
    expected_a = expected * median
    verdicts.missing_kw[lanes] = near.voltage * np.maximum(expected_a - current, 0.0) * near.power_factor / 1000
    verdicts.score[lanes] = 0.6 + 0.4 * (1 - share / limits.share)
    verdicts.delay_ms[lanes] = usual.delay_ms(delay_ms, limits.idle * usual.low_ms)
