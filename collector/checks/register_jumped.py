"""register_jumped 飞走 (310D): a register rose by more than the meter can carry, and stayed there.

The firmware's limit for it has no clear unit; ours is what the rating allows, as ``register_difference`` judges it: a
rise beyond 1.2 × Imax × U × phases × time that a second reading confirms. The jump is in no bill: its energy is
unknown, not counted. One finding a jump, opened and closed with the reading that confirms it.              [OURS]
"""

from __future__ import annotations

import numpy as np

from collector.checks.check import Finding, Lifecycle, Step
from collector.checks.register_difference import IMPORT, JUMP
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame


class RegisterJumped:
    """Jumps of the import register."""

    name = "register_jumped"
    fields = ()

    def concerns(self, frame: Frame) -> bool:
        """Frames in which a jump was confirmed."""
        return JUMP in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Tell every jump."""
        jumps = frame.columns[JUMP]
        findings = tuple(
            _finding(frame, fleet, row, lifecycle)
            for row in np.flatnonzero(~np.isnan(jumps)).tolist()
            for lifecycle in ("opened", "closed")
        )
        return Step(state, findings)


def _finding(frame: Frame, fleet: Fleet, row: int, lifecycle: Lifecycle) -> Finding:
    at, register = float(frame.at[row]), float(frame.columns[IMPORT.quantity][row])
    jump = float(frame.columns[JUMP][row])
    slot = frame.slots[row : row + 1]
    rating = {"maximum_current_a": float(fleet.limits("maximum_current_a", slot)[0])}
    return Finding(
        row=row,
        kind=RegisterJumped.name,
        lifecycle=lifecycle,
        part="",
        started_at=at,
        at=at,
        severity="inspect",
        score=0.8,
        readings={IMPORT.quantity: register},
        limits=rating,
        facts={"jump_kwh": jump, "register_kwh": register},
        ruled_out=("transient_value", "registered_exchange"),
        ended_at=None if lifecycle == "opened" else at,
    )
