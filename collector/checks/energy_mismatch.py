"""energy_mismatch: the register and the integral of power disagree.

    | Δregister − ∫ max(P, 0) dt |  >  15 % of ∫P + 0.1 kWh  over 24 h                     [OURS]

Our form of 超差 and 飞走 (310C, 310D), whose firmware limits have no clear unit. The window is four buckets of six
hours and moves by one bucket. As the firmware does where reading intervals are uneven, an interval longer than a
few usual ones counts in neither sum, and a window with less than 90 % coverage is not judged. What is usual is learnt
from the rows: the shortest interval of late.

A power that is sampled says less about an hour the more it jumps between two samples. The limit is therefore at least
four standard errors of the integral, which the jumps themselves show (half the sum of their squares): a shop with a
cycling oven, read every quarter of an hour, is not accused of what sampling does.  [OURS]  And what stays below the
starting current all day (half a per cent of base power) may be shown and not counted.

A row of a load profile that has the register alone counts in neither sum: the power of that time is not known.

The register's own step, the smallest rise it was seen to make, is allowed for, too.

Later checks find what the power made at least since the row before, by the lower of both powers, as ``least_kwh``, and
the time as ``least_ms``; NaN where there is no even interval.
"""

from __future__ import annotations

import math
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
from metering.round import Origin
from metering.settings import Settings

_BUCKET_MS: Final = 6 * 3_600_000.0
_BUCKETS: Final = 4
_SUMS: Final = ("power_kwh", "power_ms", "register_kwh", "register_ms", "variance_kwh2")
_WINDOW: Final = tuple(f"{name}_{i}" for i in range(_BUCKETS) for name in _SUMS)  # bucket 0 is under way
_SHORT_MS: Final = 5 * 60_000.0  # an interval up to this is even enough for any rhythm
_FIRST: Final = 6  # field of the window
_LONGEST_MS: Final = 65 * 60_000.0
_USUALS: Final = 3.0  # more than so many usual intervals are a gap
_FORGETS: Final = 1.1  # a rhythm that became slower is learnt by so much a reading
_LEAST_STEP_KWH: Final = 0.0005
_STEPS: Final = 1.5  # of the register, that a window may be off by
_STARTING: Final = 0.005  # share of base power a meter may leave uncounted
_ERRORS: Final = 4.0  # standard errors
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
    fields = (
        "bucket",
        "power_at",
        "power_kw",
        "power_usual_ms",
        "register_usual_ms",
        "step_kwh",
        *_WINDOW,
        "score",
        *LATCH,
    )

    def __init__(self, settings: EnergyMismatchSettings) -> None:
        """Judge by these limits."""
        self._limits = settings

    def concerns(self, frame: Frame) -> bool:
        """Frames with power, with register differences, or with both."""
        return "active_power" in frame.columns or "import_kwh" in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Integrate; judge a row's window when its bucket ends."""
        sums = state[_FIRST : _FIRST + len(_WINDOW)].reshape(_BUCKETS, len(_SUMS), -1)
        zero_where_unknown(sums)
        findings: tuple[Finding, ...] = ()
        bucket = np.floor(frame.at / _BUCKET_MS)
        over = bucket > state[0]
        if over.any():
            over &= _carries(frame)
        if over.any():
            findings = self._judge(frame, fleet, state, sums, over)
            ended = np.where(over, bucket - state[0], 0)
            self._shift(sums, ended)
        np.copyto(state[0], bucket, where=np.isnan(state[0]) | over)
        return Step(state, findings, derived=self._integrate(frame, state, sums))

    @staticmethod
    def _shift(sums: Floats, ended: Floats) -> None:
        for turn in range(1, _BUCKETS + 1):
            moving = ended >= turn
            if not moving.any():
                return
            sums[1:, :, moving] = sums[:-1, :, moving]
            sums[0][:, moving] = 0.0

    @staticmethod
    def _integrate(frame: Frame, state: Floats, sums: Floats) -> dict[str, Floats]:
        power, kwh = frame.values("active_power"), frame.values("import_kwh")
        derived = {}
        both = np.zeros(len(frame), np.bool_)  # one row carries both: what one sum leaves out, the other does too
        power_even = both
        if power is not None:
            both = ~np.isnan(power)
            elapsed = frame.at - state[1]
            newer = both & ~(elapsed <= 0)
            power_even = newer & (elapsed <= _longest(state[3]))
            imported = np.maximum(power, 0.0)
            jump = (imported - state[2]) * elapsed / _MS_PER_HOUR
            added = (state[2] + imported) / 2 * elapsed / _MS_PER_HOUR
            derived = {
                "least_kwh": np.where(power_even, np.minimum(imported, state[2]) * elapsed / _MS_PER_HOUR, np.nan),
                "least_ms": np.where(power_even, elapsed, np.nan),
            }
            _learn(state[3], elapsed, newer)
            np.copyto(state[1], frame.at, where=newer)
            np.copyto(state[2], imported, where=newer)
        counted = np.zeros(len(frame), np.bool_)
        if kwh is not None:
            since = frame.at - frame.columns["import_since"]
            counted, rhythm = since <= _longest(state[4]), since > 0
            if frame.origin is Origin.BACKFILL:
                counted &= both
                rhythm &= both
            _learn(state[4], since, rhythm)
            np.copyto(state[5], np.fmin(state[5], kwh), where=kwh > _LEAST_STEP_KWH)
            counted &= ~both | power_even
            np.add(sums[0, 2], kwh, out=sums[0, 2], where=counted)
            np.add(sums[0, 3], since, out=sums[0, 3], where=counted)
        if power is not None:
            if kwh is not None:
                power_even = power_even & (counted | np.isnan(kwh))
            np.add(sums[0, 0], added, out=sums[0, 0], where=power_even)
            np.add(sums[0, 1], elapsed, out=sums[0, 1], where=power_even)
            np.add(sums[0, 4], jump * jump / 2, out=sums[0, 4], where=power_even)
        return derived

    def _judge(self, frame: Frame, fleet: Fleet, state: Floats, sums: Floats, over: Mask) -> tuple[Finding, ...]:
        limits = self._limits
        window_ms = _BUCKETS * _BUCKET_MS
        power_kwh, power_ms, register_kwh, register_ms, variance = sums.sum(axis=0)
        error_kwh = _ERRORS * np.sqrt(variance)
        rating = [fleet.limits(name, frame.chosen) for name in ("base_current_a", "nominal_voltage_v", "phases")]
        starting_kw = _STARTING * math.prod(rating) / 1000
        absolute_kwh = (
            limits.absolute_kwh
            + _STEPS * np.nan_to_num(state[5])
            + np.nan_to_num(starting_kw) * window_ms / _MS_PER_HOUR
        )
        known = np.minimum(power_ms, register_ms) >= limits.coverage * window_ms
        difference = np.abs(register_kwh - power_kwh)
        window_end = (state[0] + 1) * _BUCKET_MS
        own = state[-3:, over]
        latched = latch(
            own,
            window_end[over],
            (difference > np.maximum(limits.relative * power_kwh, error_kwh) + absolute_kwh)[over],
            (difference <= np.maximum(limits.clear_relative * power_kwh, error_kwh / 2) + absolute_kwh)[over],
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
            ruled_out=("communication_gap", "uneven_intervals", "sampling"),
            energy=Energy(max(0.0, missing - spread), max(0.0, missing), max(0.0, missing + spread)),
            ended_at=None if opened else at,
        )


def _carries(frame: Frame) -> Mask:
    """Rows with a value to add."""
    found = np.zeros(len(frame), np.bool_)
    for name in ("active_power", "import_kwh"):
        if name in frame.columns:
            found |= ~np.isnan(frame.columns[name])
    return found


def _longest(usual_ms: Floats) -> Floats:
    """The longest interval that is no gap."""
    found: Floats = np.minimum(np.fmax(_USUALS * usual_ms, _SHORT_MS), _LONGEST_MS)
    return found


def _learn(usual_ms: Floats, elapsed_ms: Floats, counts: Mask) -> None:
    """The usual interval follows at once when it gets shorter, and slowly when it gets longer; in place."""
    np.copyto(usual_ms, np.fmin(elapsed_ms, _FORGETS * usual_ms), where=counts)
