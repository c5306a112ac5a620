"""current_imbalance and severe_current_imbalance (301E, 302D): load has moved between the phases.

    (max - min) / max of the phase currents > 30 %, > 90 %                                                   [FW]

A small shop with single-phase devices is above 30 % for most of the day, and often above 90 %: judged reading by
reading, honest customers would fill the list. So the rules state a *change* [OURS]. They hold the mean of the last
two days of load (96 quarters of an hour) against what the meter has usually shown (2048 quarters, at least 192), and
ask for 0.3 more than usual, or three times its usual scatter; the severe one for 90 % and 0.2 more than usual.
It has to hold for six hours of load. The severe one is a matter for an electrician ("look": the neutral carries what
the phases do not share), the other one is for information.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from collector.checks.rules import RuleSettings, Verdicts
from collector.checks.sight import Sight
from collector.engine.fleet import Floats
from collector.store.table import Mask
from metering.settings import Duration

FIELDS: Final = ("imbalance", "usual_imbalance", "imbalance_scatter", "imbalance_quarters")
KIND: Final = "current_imbalance"
SEVERE: Final = "severe_current_imbalance"

_LOAD: Final = 0.2  # share of the base current that the highest phase must carry: below it ratios are noise
_SHORT: Final = 96.0  # quarters of an hour with load
_LONG: Final = 2048.0
_SCATTERS: Final = 3.0


class CurrentImbalanceSettings(RuleSettings):
    """Limits of ``current_imbalance``."""

    share: float = Field(0.30, gt=0, lt=1, description="Imbalance of late that it must exceed. [FW]")
    more: float = Field(0.30, gt=0, lt=1, description="How much more than usual it must be. [OURS]")
    clear_more: float = Field(0.15, gt=0, lt=1, description="How much more than usual ends the finding. [OURS]")
    quarters: int = Field(192, ge=24, description="Quarters of an hour under load before anything is judged. [OURS]")
    delay: Duration = Field(6 * 3600.0, ge=0, description="How long it must hold. [OURS]")
    readings: int = Field(16, ge=1, description="Quarters of an hour that must agree. [OURS]")


class SevereCurrentImbalanceSettings(RuleSettings):
    """Limits of ``severe_current_imbalance``."""

    share: float = Field(0.90, gt=0, lt=1, description="Imbalance of late that it must exceed. [FW]")
    clear_share: float = Field(0.75, gt=0, lt=1, description="Imbalance below which the finding ends. [OURS]")
    more: float = Field(0.20, gt=0, lt=1, description="How much more than usual it must be. [OURS]")
    quarters: int = Field(192, ge=24, description="Quarters of an hour under load before anything is judged. [OURS]")
    delay: Duration = Field(6 * 3600.0, ge=0, description="How long it must hold. [OURS]")
    readings: int = Field(16, ge=1, description="Quarters of an hour that must agree. [OURS]")


def could_be(limits: CurrentImbalanceSettings, severe: SevereCurrentImbalanceSettings, learnt: Floats) -> Mask:
    """Rows of meters whose last two days were far from what is usual."""
    short, long, _, quarters = learnt
    more = (short > limits.share) & (short - long > limits.more)
    found: Mask = (more | (short > severe.share)) & (quarters >= min(limits.quarters, severe.quarters))
    return found


def judge(
    limits: CurrentImbalanceSettings,
    severe: SevereCurrentImbalanceSettings,
    learnt: Floats,
    known: Mask,
    verdicts: Verdicts,
) -> None:
    """Judged once a quarter of an hour, at the rows that teach."""
    short, long, scatter, quarters = learnt
    more = short - long
    trigger = (short > limits.share) & (more > np.fmax(limits.more, _SCATTERS * scatter))
    lane = verdicts.put(
        KIND, (trigger & (quarters >= limits.quarters))[None], (more < limits.clear_more)[None], known[None]
    )
    verdicts.score[lane] = 0.3
    trigger = (
        (short > severe.share) & (more > np.fmax(severe.more, _SCATTERS * scatter)) & (quarters >= severe.quarters)
    )
    lane = verdicts.put(SEVERE, trigger[None], (short < severe.clear_share)[None], known[None])
    verdicts.score[lane] = 0.5


def learn(near: Sight, learnt: Floats, teaches: Mask) -> Floats:
    """The four figures after one more quarter, in the order of ``FIELDS``."""
    short, long, scatter, quarters = np.nan_to_num(learnt)
    learns = teaches & (near.highest_a >= _LOAD * near.base_a) & ~np.isnan(near.total_a)
    sample = np.where(learns, 1 - near.lowest_a / near.highest_a, 0.0)
    quarters = quarters + learns
    count = np.maximum(quarters, 1.0)
    short = np.where(learns, short + (sample - short) / np.minimum(count, _SHORT), short)
    away = np.abs(short - long)
    long = np.where(learns, long + (sample - long) / np.minimum(count, _LONG), long)
    scatter = np.where(learns, scatter + (away - scatter) / np.minimum(count, _LONG), scatter)
    return np.stack([short, long, scatter, quarters])
