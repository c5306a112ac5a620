"""current_shunt: a phase carries far less than the others, though it used to keep up with them.

    I < 0.3 × median phase current  and  I ≥ 0.5 % Ib  and  median ≥ 5 % Ib,  for 16 readings            [OURS]

A jumper across the current terminals leaves a remainder, unlike an open transformer (``current_loss``). A phase
that never kept up with the others is a matter of wiring: its usual share of the median must be above one half.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from collector.checks.phase_currents import NO_CURRENT, Judged, PhaseCurrentCheck, Phases
from collector.engine.fleet import Floats
from metering.settings import Settings


class CurrentShuntSettings(Settings):
    """Limits of ``current_shunt``."""

    share: float = Field(0.3, gt=0, lt=1, description="Share of the median phase current it must fall below. [OURS]")
    clear_share: float = Field(0.5, gt=0, lt=1, description="Share above which the finding ends. [OURS]")
    usual_share: float = Field(0.5, gt=0, description="Share the phase must usually have had. [OURS]")
    load: float = Field(0.05, gt=0, description="Share of the base current the median must reach. [OURS]")
    readings: int = Field(16, ge=1, description="Consecutive readings that must agree. [OURS]")
    loaded_readings: int = Field(12, ge=1, description="Readings under load before anything is judged. [OURS]")


class CurrentShunt(PhaseCurrentCheck):
    """A partial shunt of any of three phases."""

    name = "current_shunt"
    ruled_out = ("outage", "phase_never_kept_up", "low_load")

    def __init__(self, settings: CurrentShuntSettings) -> None:
        """Judge by these limits."""
        super().__init__(0.0, settings.readings)
        self._limits = settings

    def judge(self, phases: Phases) -> Judged:
        """Far below the median, where it usually is not."""
        limits, currents, usual = self._limits, phases.currents, phases.usual
        median = _median(currents)
        loaded = (median >= limits.load * phases.base_a) & (phases.voltages > 0).all(axis=0)
        share = currents / np.where(median > 0, median, np.nan)
        return Judged(
            known=loaded & (currents >= NO_CURRENT * phases.base_a),  # below that it is current_loss
            trigger=(share < limits.share) & (usual > limits.usual_share) & (phases.loaded >= limits.loaded_readings),
            clear=share > limits.clear_share,
            learns=share >= limits.share,
            sample=share,
            expected_a=np.nan_to_num(usual) * median,
            strength=np.clip(0.6 + 0.4 * (1 - share / limits.share), 0.0, 1.0),
        )

    def limits_of(self, base_a: float) -> Mapping[str, float]:
        """The limits in force, currents in A."""
        limits = self._limits
        return {
            "share": limits.share,
            "clear_share": limits.clear_share,
            "usual_share": limits.usual_share,
            "load_a": limits.load * base_a,
            "readings": float(limits.readings),
        }

    def facts_of(self, phases: Phases, phase: int, row: int) -> Mapping[str, float | str]:
        """The phase's share of the median, what is usual for it, and the currents."""
        median = float(_median(phases.currents)[row])
        return {
            "share_percent": 100 * float(phases.currents[phase, row]) / median,
            "usual_percent": 100 * float(phases.usual[phase, row]),
            "others_a": float(phases.others[phase, row]),
            "current_a": float(phases.currents[phase, row]),
        }


def _median(currents: Floats) -> Floats:
    """The middle one of three."""
    middle: Floats = currents.sum(axis=0) - currents.max(axis=0) - currents.min(axis=0)
    return middle
