"""current_loss 失流 (3004): a phase has its voltage but no current, while the others carry their usual load.

    U > 70 % Un  and  I < 0.5 % Ib  and  another phase ≥ 5 % Ib,  for 60 s          recover: I > 5 % Ib      [FW]

An open current transformer and a removed link look like that; so does a shop at night whose only load hangs on
one phase. Three gates keep the shop out [OURS]: the phase has carried load before; the other phases carry at least
half of what they usually do when this one carries load too; and three consecutive readings agree.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from collector.checks.check import Finding, Step
from collector.checks.phase_currents import energy_range, hidden_so_far, other_phases, phase_readings
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.latch import FIELDS as LATCH
from collector.engine.latch import latch
from metering.settings import Duration, Settings

_PER_PHASE: Final = (*LATCH, "usual_others_a", "loaded_readings", "hidden_kwh", "score")
_LEARN: Final = 0.02  # weight of one reading in the usual load


class CurrentLossSettings(Settings):
    """Limits of ``current_loss``."""

    voltage: float = Field(0.70, gt=0, description="Share of the nominal voltage that must be present. [FW]")
    current: float = Field(0.005, gt=0, description="Share of the base current below which there is none. [FW]")
    load: float = Field(0.05, gt=0, description="Share of the base current that counts as load. [FW]")
    usual: float = Field(0.5, gt=0, description="Share of their usual current the other phases must carry. [OURS]")
    delay: Duration = Field(60.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Consecutive readings that must agree. [OURS]")
    loaded_readings: int = Field(6, ge=1, description="Readings with load a phase must have had before. [OURS]")


class CurrentLoss:
    """Current loss on any of three phases."""

    name = "current_loss"
    fields = ("last_at", *(f"{field}_l{phase}" for field in _PER_PHASE for phase in (1, 2, 3)))

    def __init__(self, settings: CurrentLossSettings) -> None:
        """Judge by these limits."""
        self._limits = settings

    def concerns(self, frame: Frame) -> bool:
        """Frames with voltage and current of all phases."""
        return all(f"{name}_l{phase}" in frame.columns for name in ("voltage", "current") for phase in (1, 2, 3))

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Judge the three phases of every row at once."""
        limits = self._limits
        voltages, currents = frame.phases("voltage"), frame.phases("current")
        if voltages is None or currents is None:
            return Step(state)
        currents = np.abs(currents)
        base = fleet.limits("base_current_a", frame.slots)
        last_at = state[0]
        since_count_open = state[1:10].reshape(3, 3, -1)
        usual, loaded, hidden, score = state[10:].reshape(4, 3, -1)
        np.nan_to_num(loaded, copy=False)
        known = ~np.isnan(currents).any(axis=0) & ~np.isnan(voltages).any(axis=0) & ~(frame.at <= last_at)
        known &= fleet.limits("phases", frame.slots) == len(currents)

        others = other_phases(currents)
        carries = currents >= limits.load * base
        energised = voltages > limits.voltage * fleet.limits("nominal_voltage_v", frame.slots)
        lost = energised & (currents < limits.current * base) & (others >= limits.load * base)
        trigger = lost & (loaded >= limits.loaded_readings) & (others >= limits.usual * usual)
        latched = latch(
            since_count_open, frame.at, trigger, carries, known, delay_ms=limits.delay * 1000, readings=limits.readings
        )

        learns = known & carries
        new = learns & np.isnan(usual)
        if new.any():
            usual[new] = others[new]
        usual += np.where(learns, _LEARN * (others - usual), 0.0)
        loaded += learns
        hidden[:] = hidden_so_far(
            hidden, latched, since_count_open, known & ~carries, frame, voltages, currents, others, last_at
        )
        if latched.opened.any():
            strength = 0.7 + 0.3 * np.minimum(1.0, others / np.maximum(usual, 0.001))
            score[latched.opened] = np.clip(strength, 0.0, 1.0)[latched.opened]
        state[0] = np.where(known, frame.at, last_at)
        findings = tuple(
            self._finding(
                frame,
                int(row),
                int(phase),
                opened=bool(latched.opened[phase, row]),
                started_at=float(latched.started_at[phase, row]),
                ended_at=float(latched.ended_at[phase, row]),
                base_a=float(base[row]),
                usual_a=float(usual[phase, row]),
                hidden=float(hidden[phase, row]),
                score=float(score[phase, row]),
                currents=currents[:, row],
            )
            for phase, row in np.argwhere(latched.opened | latched.closed)
        )
        return Step(state, findings)

    def _finding(
        self,
        frame: Frame,
        row: int,
        phase: int,
        *,
        opened: bool,
        started_at: float,
        ended_at: float,
        base_a: float,
        usual_a: float,
        hidden: float,
        score: float,
        currents: Floats,
    ) -> Finding:
        limits = self._limits
        others_a = float(np.delete(currents, phase).mean())
        return Finding(
            row=row,
            kind=self.name,
            lifecycle="opened" if opened else "closed",
            part=f"L{phase + 1}",
            started_at=started_at,
            at=float(frame.at[row]),
            severity="inspect",
            score=score,
            readings=phase_readings(frame, row),
            limits={
                "voltage_share": limits.voltage,
                "current_a": limits.current * base_a,
                "recover_a": limits.load * base_a,
                "delay_s": limits.delay,
                "readings": float(limits.readings),
            },
            facts={"others_a": others_a, "usual_others_a": usual_a, "current_a": float(currents[phase])},
            ruled_out=("outage", "phase_never_loaded", "low_load"),
            energy=energy_range(hidden, currents, phase),
            ended_at=None if opened else ended_at,
        )
