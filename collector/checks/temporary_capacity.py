"""Temporary capacity 临时增容: whether an approved window was used, how much, and when it ended.

    temporary_capacity          opened at the first block above the contract inside a window; closed when the window is
                                over, with the peak kVA, the hours and the kWh above the contract
    temporary_capacity_unused   a window is over and no block in it was above the contract: the approval was not needed

A window is over at its own end, or when the approval is withdrawn. A block that a window touches belongs to the window
under way until that has ended. Windows of which no block was read are not spoken of. The kWh above the contract are
the energy of a block times the share of its kVA that lies above. [SRC 000 for the case, states OURS]
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from collector.checks.check import Finding, Step
from collector.engine.fleet import Approved, Fleet, Floats
from collector.engine.frame import Frame
from collector.tariff.calendar import BLOCK_MS

_FIELDS: Final = (
    "window_from",  # of the approval under way, ms; NaN = there is none
    "window_to",
    "window_kva",
    "opened_at",  # NaN: not used yet
    "peak_kva",
    "blocks",  # above the contract
    "kwh_above",
    "seen",  # blocks that were known
    "used_at",  # the last block above the contract in any window
)
_HOURS: Final = BLOCK_MS / 3_600_000


class TemporaryCapacity:
    """The use of approved windows."""

    name = "temporary_capacity"
    fields = _FIELDS

    def concerns(self, frame: Frame) -> bool:
        """Frames in which a block of apparent power ended."""
        return "kva_end" in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Follow the windows of the few meters that have any."""
        ends = frame.columns["kva_end"]
        concerned = ~np.isnan(ends) & (fleet.has_approval(frame.slots) | ~np.isnan(state[0]))
        findings: list[Finding] = []
        for row in np.flatnonzero(concerned).tolist():
            use = _Use(frame, fleet, row, dict(zip(_FIELDS, state[:, row].tolist(), strict=True)))
            use.follow()
            findings += use.findings
            state[:, row] = [use.state[name] for name in _FIELDS]
        return Step(state, tuple(findings))


class _Use:
    """One meter and one block."""

    def __init__(self, frame: Frame, fleet: Fleet, row: int, state: dict[str, float]) -> None:
        slot = int(frame.slots[row])
        self.row = row
        self.state = state
        self.findings: list[Finding] = []
        self.windows: list[Approved] = fleet.approvals.get(slot, [])
        self.contract = float(fleet.limits("contract_kva", frame.slots[row : row + 1])[0])
        self.end = float(frame.columns["kva_end"][row])
        self.start = self.end - BLOCK_MS
        self.kva = float(frame.columns["kva"][row])
        self.kwh = float(frame.columns["kva_kwh"][row])

    def follow(self) -> None:
        """End the window under way if it is over, begin the one that this block touches, and count the block."""
        state = self.state
        if not np.isnan(state["window_from"]):
            approved = any(
                (one.starts_at, one.ends_at, one.kva) == (state["window_from"], state["window_to"], state["window_kva"])
                for one in self.windows
            )
            if not approved or state["window_to"] <= self.start:
                self._finish(approved)
        if np.isnan(state["window_from"]):
            touched = [one for one in self.windows if one.starts_at < self.end and self.start < one.ends_at]
            if not touched:
                return
            window = max(touched, key=lambda one: (one.kva, -one.starts_at))
            state |= dict.fromkeys(("peak_kva", "blocks", "kwh_above", "seen"), 0.0)
            state["window_from"], state["window_to"] = float(window.starts_at), float(window.ends_at)
            state["window_kva"], state["opened_at"] = window.kva, np.nan
        if not np.isnan(self.kva):
            self._count()

    def _count(self) -> None:
        state = self.state
        state["seen"] += 1
        if not self.kva > self.contract:
            return
        state["used_at"] = self.start
        state["peak_kva"] = max(state["peak_kva"], self.kva)
        state["blocks"] += 1
        state["kwh_above"] += self.kwh * (1 - self.contract / self.kva)
        if np.isnan(state["opened_at"]):
            state["opened_at"] = max(self.start, state["window_from"])
            self._find("temporary_capacity", "opened", state["opened_at"], None)

    def _finish(self, approved: bool) -> None:
        state = self.state
        ended_at = min(state["window_to"], self.start)
        if not np.isnan(state["opened_at"]):
            self._find("temporary_capacity", "closed", state["opened_at"], ended_at)
        elif approved and state["seen"] > 0 and not state["used_at"] >= state["window_from"] - BLOCK_MS:
            self._find("temporary_capacity_unused", "closed", state["window_from"], ended_at)
        state["window_from"] = state["opened_at"] = np.nan

    def _find(
        self, kind: str, lifecycle: Literal["opened", "closed"], started_at: float, ended_at: float | None
    ) -> None:
        state = self.state
        self.findings.append(
            Finding(
                row=self.row,
                kind=kind,
                lifecycle=lifecycle,
                part="",
                started_at=started_at,
                at=self.end,
                severity="info",
                score=0.5,
                readings={} if np.isnan(self.kva) else {"apparent_power": self.kva},
                limits={"contract_kva": self.contract, "approved_kva": state["window_kva"]},
                facts={
                    "peak_kva": state["peak_kva"],
                    "hours": state["blocks"] * _HOURS,
                    "kwh_above": state["kwh_above"],
                    "observed_hours": state["seen"] * _HOURS,
                },
                ended_at=ended_at,
            )
        )
