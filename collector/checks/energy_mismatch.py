"""energy_mismatch: the register and the integral of power disagree.

    | Δregister − ∫ max(P, 0) dt |  >  15 % of ∫P + 0.1 kWh  over 24 h                     [OURS]

Our form of 超差 and 飞走 (310C, 310D), whose firmware limits have no clear unit. The window is four buckets of six
hours and moves by one bucket. As the firmware does where reading intervals are uneven, an interval longer than a
few periods counts in neither sum, and a window with less than 90 % coverage is not judged.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from collector.checks.check import Energy, Finding, Step
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.latch import FIELDS as LATCH
from collector.engine.latch import latch
from collector.engine.state import zero_where_unknown
from collector.store.table import Mask
from metering.settings import Settings

_BUCKET_MS: Final = 6 * 3_600_000.0
_BUCKETS: Final = 4
_SUMS: Final = ("power_kwh", "power_ms", "register_kwh", "register_ms")
_WINDOW: Final = tuple(f"{name}_{i}" for i in range(_BUCKETS) for name in _SUMS)  # bucket 0 is under way
_LONGEST_MS: Final = 15 * 60_000.0
_MS_PER_HOUR: Final = 3_600_000.0


class EnergyMismatchSettings(Settings):
    """Limits of ``energy_mismatch``."""

    relative: float = Field(0.15, gt=0, description="Share of the integrated energy that may differ. [OURS]")
    clear_relative: float = Field(0.10, gt=0, description="Share below which the finding ends. [OURS]")
    absolute_kwh: float = Field(0.1, ge=0, description="kWh that may differ besides. [OURS]")
    coverage: float = Field(0.9, gt=0, le=1, description="Share of the window that both sums must cover. [OURS]")


class EnergyMismatch:
    """Register against integrated power."""

    name = "energy_mismatch"
    fields = ("bucket", "power_at", "power_kw", *_WINDOW, "score", *LATCH)

    def __init__(self, settings: EnergyMismatchSettings) -> None:
        """Judge by these limits."""
        self._limits = settings

    def concerns(self, frame: Frame) -> bool:
        """Frames with power, with register differences, or with both."""
        return "active_power" in frame.columns or "import_kwh" in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:  # noqa: ARG002 - no rating is needed
        """Integrate; judge a row's window when its bucket ends."""
        sums = state[3 : 3 + len(_WINDOW)].reshape(_BUCKETS, len(_SUMS), -1)
        zero_where_unknown(sums)
        findings: tuple[Finding, ...] = ()
        bucket = np.floor(frame.at / _BUCKET_MS)
        over = bucket > state[0]
        if over.any():
            findings = self._judge(state, sums, over)
            ended = np.where(over, bucket - state[0], 0)
            self._shift(sums, ended)
        state[0] = np.where(np.isnan(state[0]) | over, bucket, state[0])
        self._integrate(frame, state, sums)
        return Step(state, findings)

    @staticmethod
    def _shift(sums: Floats, ended: Floats) -> None:
        for turn in range(1, _BUCKETS + 1):
            moving = ended >= turn
            if not moving.any():
                return
            sums[1:, :, moving] = sums[:-1, :, moving]
            sums[0][:, moving] = 0.0

    @staticmethod
    def _integrate(frame: Frame, state: Floats, sums: Floats) -> None:
        longest = min(3.0 * frame.period_ms, _LONGEST_MS)
        power, kwh = frame.values("active_power"), frame.values("import_kwh")
        added = np.zeros(len(frame))
        power_ms = np.zeros(len(frame))
        if power is not None:
            elapsed = frame.at - state[1]
            even = (elapsed > 0) & (elapsed <= longest) & ~np.isnan(power)
            imported = np.maximum(power, 0.0)
            mean = (state[2] + imported) / 2
            added = np.where(even, mean * elapsed / _MS_PER_HOUR, 0.0)
            power_ms = np.where(even, elapsed, 0.0)
            newer = ~np.isnan(power) & ~(elapsed <= 0)
            state[1] = np.where(newer, frame.at, state[1])
            state[2] = np.where(newer, imported, state[2])
        if kwh is not None:
            elapsed = frame.at - frame.columns["import_since"]
            even = elapsed <= longest
            if power is not None:  # one round carries both: what one sum leaves out, the other does too
                even &= power_ms > 0
                added, power_ms = np.where(even, added, 0.0), np.where(even, power_ms, 0.0)
            sums[0, 2] += np.where(even, kwh, 0.0)
            sums[0, 3] += np.where(even, elapsed, 0.0)
        sums[0, 0] += added
        sums[0, 1] += power_ms

    def _judge(self, state: Floats, sums: Floats, over: Mask) -> tuple[Finding, ...]:
        limits = self._limits
        window_ms = _BUCKETS * _BUCKET_MS
        power_kwh, power_ms, register_kwh, register_ms = sums.sum(axis=0)
        known = np.minimum(power_ms, register_ms) >= limits.coverage * window_ms
        difference = np.abs(register_kwh - power_kwh)
        window_end = (state[0] + 1) * _BUCKET_MS
        own = state[-3:, over]
        latched = latch(
            own,
            window_end[over],
            (difference > limits.relative * power_kwh + limits.absolute_kwh)[over],
            (difference <= limits.clear_relative * power_kwh + limits.absolute_kwh)[over],
            known[over],
            delay_ms=0,
            readings=1,
        )
        state[-3:, over] = own
        rows = np.flatnonzero(over)
        strength = np.minimum(1.0, 0.5 + difference / np.maximum(np.maximum(power_kwh, register_kwh), 0.1))
        state[-4, rows[latched.opened]] = strength[rows[latched.opened]]
        findings = []
        for i in np.flatnonzero(latched.opened | latched.closed).tolist():
            row = int(rows[i])
            findings.append(
                self._finding(
                    row,
                    bool(latched.opened[i]),
                    float(latched.started_at[i]),
                    float(window_end[row]),
                    float(power_kwh[row]),
                    float(register_kwh[row]),
                    float(state[-4, row]),
                )
            )
        return tuple(findings)

    def _finding(
        self, row: int, opened: bool, started_at: float, at: float, power_kwh: float, register_kwh: float, score: float
    ) -> Finding:
        missing = power_kwh - register_kwh
        spread = 0.05 * power_kwh  # what sampling the power may leave out, seen in simulation
        return Finding(
            row=row,
            kind=self.name,
            lifecycle="opened" if opened else "closed",
            part="",
            started_at=started_at,
            at=at,
            severity="inspect",
            score=score,
            readings={"integrated_kwh": power_kwh, "register_kwh": register_kwh},
            limits={"relative": self._limits.relative, "absolute_kwh": self._limits.absolute_kwh, "window_h": 24.0},
            facts={"difference_percent": 100 * -missing / max(power_kwh, 0.001)},
            ruled_out=("communication_gap", "uneven_intervals"),
            energy=Energy(max(0.0, missing - spread), max(0.0, missing), max(0.0, missing + spread)),
            ended_at=None if opened else at,
        )
