"""current_loss 失流 (3004): a phase has its voltage but no current, while the others carry their usual load.

    U > 70 % Un  and  I < 0.5 % Ib  and  another phase ≥ 5 % Ib,  for 60 s          recover: I > 5 % Ib      [FW]

An open current transformer and a removed link look like that; so does a shop at night whose only load hangs on
one phase. Three gates keep the shop out [OURS]: the phase has carried load before; the other phases carry at least
half of what they usually do when this one carries load too; and three consecutive readings agree.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from collector.checks.phase_currents import NO_CURRENT, Judged, PhaseCurrentCheck, Phases
from metering.settings import Duration, Settings


class CurrentLossSettings(Settings):
    """Limits of ``current_loss``."""

    voltage: float = Field(0.70, gt=0, description="Share of the nominal voltage that must be present. [FW]")
    current: float = Field(NO_CURRENT, gt=0, description="Share of the base current below which there is none. [FW]")
    load: float = Field(0.05, gt=0, description="Share of the base current that counts as load. [FW]")
    usual: float = Field(0.5, gt=0, description="Share of their usual current the other phases must carry. [OURS]")
    delay: Duration = Field(60.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Consecutive readings that must agree. [OURS]")
    loaded_readings: int = Field(6, ge=1, description="Readings with load a phase must have had before. [OURS]")


class CurrentLoss(PhaseCurrentCheck):
    """Current loss on any of three phases."""

    name = "current_loss"
    ruled_out = ("outage", "phase_never_loaded", "low_load")

    def __init__(self, settings: CurrentLossSettings) -> None:
        """Judge by these limits."""
        super().__init__(settings.delay * 1000, settings.readings)
        self._limits = settings

    def judge(self, phases: Phases) -> Judged:
        """No current where the others carry what they usually do."""
        limits, others = self._limits, phases.others
        load_a = limits.load * phases.base_a
        carries = phases.currents >= load_a
        energised = phases.voltages > limits.voltage * phases.nominal_v
        lost = energised & (phases.currents < limits.current * phases.base_a) & (others >= load_a)
        return Judged(
            known=np.ones(carries.shape, np.bool_),
            trigger=lost & (phases.loaded >= limits.loaded_readings) & (others >= limits.usual * phases.usual),
            clear=carries,
            learns=carries,
            sample=others,
            expected_a=others,
            strength=0.7 + 0.3 * np.clip(others / np.maximum(phases.usual, 0.001), 0.0, 1.0),
        )

    def limits_of(self, base_a: float) -> Mapping[str, float]:
        """The limits in force, currents in A."""
        limits = self._limits
        return {
            "voltage_share": limits.voltage,
            "current_a": limits.current * base_a,
            "recover_a": limits.load * base_a,
            "usual_share": limits.usual,
            "delay_s": limits.delay,
            "readings": float(limits.readings),
        }

    def facts_of(self, phases: Phases, phase: int, row: int) -> Mapping[str, float | str]:
        """The phase's current, that of the others, and what is usual for them."""
        return {
            "current_a": float(phases.currents[phase, row]),
            "others_a": float(phases.others[phase, row]),
            "usual_others_a": float(phases.usual[phase, row]),
        }
