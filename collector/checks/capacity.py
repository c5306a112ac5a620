"""Capacity: what an account draws against what it contracted, or against what was approved for a while.

Judged is the mean apparent power of 15-minute blocks, max(|P|, S). Three conditions:

    over_capacity       above the contract in two consecutive blocks, outside every approved window   (超容)
    temporary_capacity  above the contract inside an approved window: the approval is being used      (临时增容)
    over_approved       above the approved kVA inside the window in two consecutive blocks

An approved window lifts the limit for exactly the blocks it touches. A block of which less than 80 % was observed
is not judged. Exceeding a contract is a fact about a contract, not a suspicion. [OURS; states after the source
paper on tailored tariffs]
"""

from __future__ import annotations

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
from collector.tariff.calendar import BLOCK_MS, block_of
from metering.settings import Settings

_CONDITIONS: Final = ("over_capacity", "temporary_capacity", "over_approved")
_TALLY: Final = ("peak_kva", "blocks")  # of the condition while it is open or pending
_BASE: Final = ("block", "kva_ms", "covered_ms", "last_at", "last_kva")
_PER_CONDITION: Final = len(LATCH) + len(_TALLY)
_SEVERITY: Final[dict[str, Severity]] = {
    "over_capacity": "look",
    "temporary_capacity": "info",
    "over_approved": "look",
}


class CapacitySettings(Settings):
    """Limits of the capacity checks."""

    blocks: int = Field(2, ge=1, description="Consecutive 15-minute blocks above the limit. [OURS]")
    clear_ratio: float = Field(0.95, gt=0, le=1, description="Share of the limit below which a finding ends. [OURS]")
    observed: float = Field(0.8, gt=0, le=1, description="Share of a block that must have been observed. [OURS]")


class Capacity:
    """Contract and approved capacity."""

    name = "capacity"
    fields = _BASE + tuple(f"{name}_{field}" for name in _CONDITIONS for field in (*LATCH, *_TALLY))

    def __init__(self, settings: CapacitySettings) -> None:
        """Judge by these limits."""
        self._limits = settings

    def concerns(self, frame: Frame) -> bool:
        """Frames that carry active power."""
        return "active_power" in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Integrate apparent power; judge a block when it ends."""
        kva = _apparent(frame)
        last_at, last_kva = state[3], state[4]
        usable = ~np.isnan(kva) & ~(frame.at <= last_at)
        block = block_of(frame.at)
        elapsed = frame.at - last_at
        joined = usable & (elapsed <= max(3.0 * frame.period_ms, 60_000.0))
        mean = (last_kva + kva) / 2
        ended = usable & (block > state[0])
        # The interval that crosses the edge belongs to both blocks, each its part.
        edge = (state[0] + 1) * BLOCK_MS
        before = np.where(ended, np.clip(edge - last_at, 0, None), elapsed)
        _add(state, mean, np.where(joined, before, 0.0))
        findings: tuple[Finding, ...] = ()
        if ended.any():
            findings = self._judge(frame, fleet, state, np.flatnonzero(ended))
            state[1, ended] = 0.0
            state[2, ended] = 0.0
            after = np.where(joined & (block == state[0] + 1), frame.at - edge, 0.0)
            _add(state, mean, np.where(ended, after, 0.0))
        state[0] = np.where(usable, block, state[0])
        state[3] = np.where(usable, frame.at, last_at)
        state[4] = np.where(usable, kva, last_kva)
        return Step(state, findings)

    def _judge(self, frame: Frame, fleet: Fleet, state: Floats, rows: Rows) -> tuple[Finding, ...]:
        slots = frame.slots[rows]
        start = state[0, rows] * BLOCK_MS
        covered = state[2, rows]
        value = state[1, rows] / np.maximum(covered, 1.0)
        contract = fleet.limits("contract_kva", slots)
        approved = _approved(fleet, slots, start)
        inside = ~np.isnan(approved)
        known = (covered >= self._limits.observed * BLOCK_MS) & ~np.isnan(contract)
        clear = self._limits.clear_ratio
        judged = {
            "over_capacity": (
                ~inside & (value > contract),
                inside | (value <= clear * contract),
                contract,
                self._limits.blocks,
            ),
            "temporary_capacity": (inside & (value > contract), ~inside, approved, 1),
            "over_approved": (
                inside & (value > approved),
                ~inside | (value <= clear * approved),
                approved,
                self._limits.blocks,
            ),
        }
        findings: list[Finding] = []
        for i, (kind, (trigger, over, limit, readings)) in enumerate(judged.items()):
            at = len(_BASE) + i * _PER_CONDITION
            own = state[at : at + _PER_CONDITION, rows]
            was_open = ~np.isnan(own[2])
            latched = latch(own[:3], start, trigger, over, known, delay_ms=0, readings=readings)
            own[3:] = _tally(own, was_open | ~np.isnan(latched.started_at), trigger & known, value)
            for n in np.flatnonzero(latched.opened | latched.closed):
                findings.append(
                    self._finding(
                        kind,
                        int(rows[n]),
                        opened=bool(latched.opened[n]),
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
            state[at : at + _PER_CONDITION, rows] = own
        return tuple(findings)

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
        limits = {"contract_kva": contract, "blocks": float(self._limits.blocks)}
        if kind != "over_capacity" and not np.isnan(limit):
            limits["approved_kva"] = limit
        over = peak / contract
        if kind == "over_approved" and not np.isnan(limit):
            over = peak / limit
        ruled_out = ("approved_window",) if kind == "over_capacity" else ()
        return Finding(
            row=row,
            kind=kind,
            lifecycle="opened" if opened else "closed",
            part="",
            started_at=started_at,
            at=block_start + BLOCK_MS,
            severity=_SEVERITY[kind],
            score=float(np.clip(0.5 + (over - 1.0), 0.0, 1.0)),
            readings={"apparent_power": value},
            limits=limits,
            facts={"peak_kva": peak, "hours": blocks * BLOCK_MS / 3_600_000},
            ruled_out=(*ruled_out, "short_peaks"),
            ended_at=None if opened else ended_at,
        )


def _apparent(frame: Frame) -> Floats:
    """max(|P|, S), with S from Q where the meter has no register for it; kVA."""
    active = np.abs(frame.columns["active_power"])
    apparent, reactive = frame.values("apparent_power"), frame.values("reactive_power")
    if apparent is not None:
        found: Floats = np.fmax(active, np.abs(apparent))
    elif reactive is not None:
        found = np.sqrt(active * active + np.where(np.isnan(reactive), 0.0, reactive * reactive))
    else:
        found = active
    return np.where(np.isnan(active), np.nan, found)


def _add(state: Floats, mean: Floats, span_ms: Floats) -> None:
    covers = span_ms > 0
    zero_where_unknown(state[1:3])
    state[1] += np.where(covers, mean * span_ms, 0.0)
    state[2] += np.where(covers, span_ms, 0.0)


def _approved(fleet: Fleet, slots: Rows, start: Floats) -> Floats:
    """The approved kVA of a block that an approved window touches, NaN elsewhere."""
    found = np.full(len(slots), np.nan)
    for n in np.flatnonzero(fleet.has_approval(slots)):
        kva = [
            window.kva
            for window in fleet.approvals[int(slots[n])]
            if window.starts_at < start[n] + BLOCK_MS and start[n] < window.ends_at
        ]
        if kva:
            found[n] = max(kva)
    return found


def _tally(own: Floats, holding: Mask, above: Mask, value: Floats) -> Floats:
    """Peak and blocks above the limit since the condition started; empty where it does not hold."""
    peak, blocks = own[3], own[4]
    running = holding & ~np.isnan(peak)
    peak = np.where(above, np.fmax(np.where(running, peak, 0.0), value), peak)
    blocks = np.where(above, np.where(running, blocks, 0.0) + 1, blocks)
    kept = above | holding
    return np.stack([np.where(kept, peak, np.nan), np.where(kept, blocks, np.nan)])
