"""Capacity: what an account draws against what it contracted, or against what was approved for a while.

Judged is the mean apparent power of 15-minute blocks (``apparent_power``) against the limit in force:

    over_capacity       above the contract in two consecutive blocks, outside every approved window   (超容)
    over_approved       above the limit in force in two consecutive blocks that an approved window touches
    capacity_warning    at 90 % of the limit in force; once a local day at most

Approvals are exact to their instants. A block that lies partly in a window is judged against the mean of the limits of
its instants: who keeps to each limit at every instant keeps to their mean, and cannot be above it. An approval lifts a
limit and never lowers it. Two blocks are consecutive if they follow each other: an unknown block between them breaks
the row, an edge of a window does not. Exceeding a contract is a fact about a contract, not a suspicion. [OURS; states
after the source paper on tailored tariffs]
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from pydantic import Field

from collector.checks.check import Finding, Severity, Step
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.latch import FIELDS as LATCH
from collector.engine.latch import latch
from collector.engine.state import zero_where_unknown
from collector.store.table import Mask, Rows
from collector.tariff.calendar import BLOCK_MS
from metering.settings import Settings

_CONDITIONS: Final = ("over_capacity", "over_approved", "capacity_warning")
_TALLY: Final = ("peak_kva", "blocks")  # of the condition while it is open or pending
_BASE: Final = ("block", "above", "warned_until")
_PER_CONDITION: Final = len(LATCH) + len(_TALLY)
_SEVERITY: Final[dict[str, Severity]] = {
    "over_capacity": "look",
    "over_approved": "look",
    "capacity_warning": "info",
}


class CapacitySettings(Settings):
    """Limits of the capacity checks."""

    blocks: int = Field(2, ge=1, description="Consecutive 15-minute blocks above the limit. [OURS]")
    observed: float = Field(0.8, gt=0, le=1, description="Share of a block that must have been observed. [OURS]")
    clear_ratio: float = Field(0.95, gt=0, le=1, description="Share of the limit below which a finding ends. [OURS]")
    warning_ratio: float = Field(0.9, gt=0, le=1, description="Share of the limit from which to warn. [OURS]")


class Capacity:
    """Contract and approved capacity."""

    name = "capacity"
    fields = _BASE + tuple(f"{name}_{field}" for name in _CONDITIONS for field in (*LATCH, *_TALLY))

    def __init__(self, settings: CapacitySettings) -> None:
        """Judge by these limits."""
        self._limits = settings

    def concerns(self, frame: Frame) -> bool:
        """Frames in which a block of apparent power ended."""
        return "kva_end" in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Judge the blocks that ended."""
        rows = np.flatnonzero(~np.isnan(frame.columns["kva_end"]))
        own = state[:, rows]
        findings = self._judge(frame, fleet, own, rows)
        state[:, rows] = own
        return Step(state, tuple(findings))

    def _judge(self, frame: Frame, fleet: Fleet, state: Floats, rows: Rows) -> list[Finding]:
        slots, limits = frame.slots[rows], self._limits
        start, value = frame.columns["kva_end"][rows] - BLOCK_MS, frame.columns["kva"][rows]
        contract = fleet.limits("contract_kva", slots)
        limit, inside = limit_in_force(fleet, slots, start, contract)
        known = ~np.isnan(value) & ~np.isnan(contract)
        above = known & (value > limit)
        follows = start / BLOCK_MS == state[0] + 1
        run = np.where(follows, np.nan_to_num(state[1]), 0.0)  # blocks above their limits just before this one
        warns = limits.warning_ratio * limit
        judged = {
            "over_capacity": (above & ~inside, inside | (value <= limits.clear_ratio * limit), limits.blocks),
            "over_approved": (above & inside, ~inside | (value <= limits.clear_ratio * limit), limits.blocks),
            "capacity_warning": (known & (value >= warns), value < limits.clear_ratio * warns, 1),
        }
        findings: list[Finding] = []
        for i, (kind, (holds, over, readings)) in enumerate(judged.items()):
            at = len(_BASE) + i * _PER_CONDITION
            own = state[at : at + _PER_CONDITION]
            trigger = holds & ~(start < state[2]) if kind == "capacity_warning" else holds
            _count_run(own, start, trigger, ~follows, run, readings)
            was_open = ~np.isnan(own[2])
            latched = latch(own[:3], start, trigger, over, known, delay_ms=0, readings=readings)
            own[3:] = _tally(own, was_open | ~np.isnan(latched.started_at), holds, value)
            for n in np.flatnonzero(latched.opened | latched.closed).tolist():
                opened = bool(latched.opened[n])
                if kind == "capacity_warning" and opened:
                    state[2, n] = _day_end(fleet, int(slots[n]), start[n])
                findings.append(
                    self._finding(
                        kind,
                        int(rows[n]),
                        opened=opened,
                        started_at=float(latched.started_at[n]),
                        ended_at=float(latched.ended_at[n]),
                        block_start=float(start[n]),
                        value=float(value[n]),
                        limit=float(limit[n]),
                        contract=float(contract[n]),
                        peak=float(own[3, n]),
                        blocks=float(own[4, n]),
                    )
                )
        state[0] = start / BLOCK_MS
        state[1] = np.where(above, run + 1, 0.0)
        return findings

    def _finding(
        self,
        kind: str,
        row: int,
        *,
        opened: bool,
        started_at: float,
        ended_at: float,
        block_start: float,
        value: float,
        limit: float,
        contract: float,
        peak: float,
        blocks: float,
    ) -> Finding:
        warning = kind == "capacity_warning"
        ruled_out = {"over_capacity": ("approved_window", "short_peaks"), "over_approved": ("short_peaks",)}
        reached = value / limit if warning else peak / limit
        return Finding(
            row=row,
            kind=kind,
            lifecycle="opened" if opened else "closed",
            part="",
            started_at=started_at,
            at=block_start + BLOCK_MS,
            severity=_SEVERITY[kind],
            score=float(np.clip(0.5 + (reached - 1.0), 0.01, 1.0)),
            readings={"apparent_power": value},
            limits={
                "contract_kva": contract,
                "limit_kva": limit,
                **(
                    {"warning_ratio": self._limits.warning_ratio} if warning else {"blocks": float(self._limits.blocks)}
                ),
            },
            facts={"peak_kva": peak, "hours": blocks * BLOCK_MS / 3_600_000, "share_percent": 100 * value / limit},
            ruled_out=ruled_out.get(kind, ()),
            ended_at=None if opened else ended_at,
        )


def limit_in_force(fleet: Fleet, slots: Rows, start: Floats, contract: Floats) -> tuple[Floats, Mask]:
    """The mean limit of blocks that start at ``start``, kVA, and which blocks an approved window touches."""
    limit, inside = contract.copy(), np.zeros(len(slots), np.bool_)
    for n in np.flatnonzero(fleet.has_approval(slots)).tolist():
        begins, ends = float(start[n]), float(start[n]) + BLOCK_MS
        windows = [one for one in fleet.approvals[int(slots[n])] if one.starts_at < ends and begins < one.ends_at]
        if not windows:
            continue
        inside[n] = True
        edges = sorted(
            {begins, ends, *(min(max(at, begins), ends) for w in windows for at in (w.starts_at, w.ends_at))}
        )
        mean = 0.0
        for one, other in pairwise(edges):
            in_force = [window.kva for window in windows if window.starts_at <= one and other <= window.ends_at]
            mean += max([float(contract[n]), *in_force]) * (other - one) / BLOCK_MS
        limit[n] = mean
    return limit, inside


def _count_run(own: Floats, start: Floats, triggers: Mask, broken: Mask, run: Floats, readings: int) -> None:
    """Blocks above their limits just before this one count, whichever limit it was; others before a hole do not."""
    since, count, opened_at = own[:3]
    zero_where_unknown(count)
    closed = np.isnan(opened_at)
    anew = closed & broken & (count > 0)
    count[anew], since[anew] = 0.0, np.nan
    seeded = closed & triggers & (count == 0) & (run > 0) & (readings > 1)
    count[seeded] = np.minimum(run[seeded], readings - 1)
    since[seeded] = start[seeded]


def _tally(own: Floats, open_or_pending: Mask, holds: Mask, value: Floats) -> Floats:
    """Peak and blocks of the condition since it started; empty where it does not hold."""
    peak, blocks = own[3], own[4]
    running = open_or_pending & ~np.isnan(peak)
    peak = np.where(holds, np.fmax(np.where(running, peak, 0.0), value), peak)
    blocks = np.where(holds, np.where(running, blocks, 0.0) + 1, blocks)
    kept = holds | open_or_pending
    return np.stack([np.where(kept, peak, np.nan), np.where(kept, blocks, np.nan)])


def _day_end(fleet: Fleet, slot: int, at: float) -> float:
    """The end of the local day of an instant, ms."""
    calendar = fleet.calendars[int(fleet.calendar_index(np.array([slot]))[0])]
    return float(calendar.day_of(int(at // BLOCK_MS)).end * BLOCK_MS)
