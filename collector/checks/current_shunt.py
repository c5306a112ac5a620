"""current_shunt: a phase carries far less than the others, though it used to keep up with them.

    I < 0.3 × median phase current  and  I ≥ 0.5 % Ib  and  median ≥ 5 % Ib,  for 16 readings            [OURS]

A jumper across the current terminals leaves a remainder, unlike an open transformer (``current_loss``). A phase that
never kept up with the others is a matter of wiring: the phase's usual share of the median must be above one half, and
it is learnt only while nothing is suspected, so that the abnormal is not learnt as normal.
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
from metering.settings import Settings

_PER_PHASE: Final = (*LATCH, "usual_share", "loaded_readings", "hidden_kwh", "score")
_LEARN: Final = 0.02  # weight of one reading in the usual share


class CurrentShuntSettings(Settings):
    """Limits of ``current_shunt``."""

    share: float = Field(0.3, gt=0, lt=1, description="Share of the median phase current it must fall below. [OURS]")
    clear_share: float = Field(0.5, gt=0, lt=1, description="Share above which the finding ends. [OURS]")
    usual_share: float = Field(0.5, gt=0, description="Share the phase must usually have had. [OURS]")
    load: float = Field(0.05, gt=0, description="Share of the base current the median must reach. [OURS]")
    readings: int = Field(16, ge=1, description="Consecutive readings that must agree. [OURS]")
    loaded_readings: int = Field(12, ge=1, description="Readings under load before anything is judged. [OURS]")


class CurrentShunt:
    """A partial shunt of any of three phases."""

    name = "current_shunt"
    fields = ("last_at", *(f"{field}_l{phase}" for field in _PER_PHASE for phase in (1, 2, 3)))

    def __init__(self, settings: CurrentShuntSettings) -> None:
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
        median = currents.sum(axis=0) - currents.max(axis=0) - currents.min(axis=0)
        known = (median >= limits.load * base) & (voltages > 0).all(axis=0) & ~(frame.at <= last_at)
        known &= fleet.limits("phases", frame.slots) == len(currents)

        share = currents / np.where(median > 0, median, np.nan)
        judged = known & (currents >= 0.005 * base)  # below that it is current_loss, with its own gates
        trigger = (share < limits.share) & (usual > limits.usual_share) & (loaded >= limits.loaded_readings)
        latched = latch(
            since_count_open,
            frame.at,
            trigger,
            share > limits.clear_share,
            judged,
            delay_ms=0,
            readings=limits.readings,
        )

        learns = judged & (share >= limits.share) & np.isnan(since_count_open[2])
        new = learns & np.isnan(usual)
        if new.any():
            usual[new] = share[new]
        usual += np.where(learns, _LEARN * (share - usual), 0.0)
        loaded += learns
        others = other_phases(currents)
        low = judged & (share <= limits.clear_share)
        expected = np.nan_to_num(usual) * median
        hidden[:] = hidden_so_far(hidden, latched, since_count_open, low, frame, voltages, currents, expected, last_at)
        if latched.opened.any():
            strength = 0.6 + 0.4 * (1 - share / limits.share)
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
                share=float(share[phase, row]),
                usual=float(usual[phase, row]),
                others_a=float(others[phase, row]),
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
        share: float,
        usual: float,
        others_a: float,
        hidden: float,
        score: float,
        currents: Floats,
    ) -> Finding:
        limits = self._limits
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
                "share": limits.share,
                "clear_share": limits.clear_share,
                "usual_share": limits.usual_share,
                "readings": float(limits.readings),
            },
            facts={
                "share_percent": 100 * share,
                "usual_percent": 100 * usual,
                "others_a": others_a,
                "current_a": float(currents[phase]),
            },
            ruled_out=("outage", "phase_never_kept_up", "low_load"),
            energy=energy_range(hidden, currents, phase),
            ended_at=None if opened else ended_at,
        )
