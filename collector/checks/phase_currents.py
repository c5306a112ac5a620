"""What the two checks on phase currents share: one latch a phase, what is usual for it, and the kWh it may hide.

A subclass says for each phase of each meter what it takes for abnormal; everything else is here. What is usual is
learnt only while a phase carries load and nothing is suspected, so that the abnormal is not learnt as normal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.checks.check import Energy, Finding, Step
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.latch import FIELDS as LATCH
from collector.engine.latch import latch
from collector.engine.state import zero_where_unknown
from collector.store.table import Mask, Rows

NO_CURRENT: Final = 0.005
"""Share of the base current below which a phase carries nothing. [FW]"""

_PER_PHASE: Final = (*LATCH, "usual", "loaded_readings", "hidden_kwh", "score")
_LEARN: Final = 0.02  # weight of one reading in what is usual  [OURS]
_MS_PER_HOUR: Final = 3_600_000.0
_LONGEST_MS: Final = 3_600_000.0  # a longer silence says nothing about the load in between


@dataclass(frozen=True, slots=True)
class Phases:
    """The phases of a frame: matrices of three rows, one column a meter."""

    voltages: Floats
    currents: Floats  # magnitude
    others: Floats  # mean current of the other two phases
    base_a: Floats
    nominal_v: Floats
    usual: Floats  # what ``Judged.sample`` usually is
    loaded: Floats  # from how many readings that was learnt


@dataclass(frozen=True, slots=True)
class Judged:
    """What a check makes of them; matrices of three rows."""

    known: Mask  # where it can be judged at all
    trigger: Mask
    clear: Mask
    learns: Mask  # where ``sample`` is typical of the phase
    sample: Floats
    expected_a: Floats  # what the phase should carry
    strength: Floats  # score of a finding that opens here


class PhaseCurrentCheck(ABC):
    """A condition of single phases of three-phase meters."""

    name: str
    fields = ("last_at", *(f"{field}_l{phase}" for field in _PER_PHASE for phase in (1, 2, 3)))

    def __init__(self, delay_ms: float, readings: int) -> None:
        """A condition has to hold so long, for so many readings."""
        self._delay_ms = delay_ms
        self._readings = readings

    def concerns(self, frame: Frame) -> bool:
        """Frames with voltage and current of all phases."""
        return all(f"{name}_l{phase}" in frame.columns for name in ("voltage", "current") for phase in (1, 2, 3))

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Judge the three phases of every row at once."""
        voltages, currents = frame.phases("voltage"), frame.phases("current")
        if voltages is None or currents is None:
            return Step(state)
        currents = np.abs(currents)
        last_at = state[0].copy()
        latches = state[1:10].reshape(3, 3, -1)
        usual, loaded, hidden, score = state[10:].reshape(4, 3, -1)
        zero_where_unknown(loaded)
        phases = Phases(
            voltages,
            currents,
            (currents.sum(axis=0) - currents) / 2,
            fleet.limits("base_current_a", frame.chosen),
            fleet.limits("nominal_voltage_v", frame.chosen),
            usual,
            loaded,
        )
        fresh = ~np.isnan(currents).any(axis=0) & ~np.isnan(voltages).any(axis=0) & ~(frame.at <= last_at)
        fresh &= fleet.limits("phases", frame.chosen) == len(currents)
        judged = self.judge(phases)
        known = judged.known & fresh
        latched = latch(
            latches, frame.at, judged.trigger, judged.clear, known, delay_ms=self._delay_ms, readings=self._readings
        )
        self._learn(phases, judged, known & judged.learns & np.isnan(latches[2]))
        at_work = latched.at_work
        so_far = np.nan_to_num(hidden[at_work])
        hidden[:] = 0.0
        if len(at_work[0]):
            pending = ~np.isnan(latches[0][at_work]) | ~np.isnan(latches[2][at_work]) | latched.closed[at_work]
            counts = (known & ~judged.clear)[at_work]
            added = np.where(counts, _hidden_kwh(frame, phases, judged.expected_a, last_at, at_work), 0.0)
            hidden[at_work] = np.where(pending, so_far + added, 0.0)
            score[latched.opened] = judged.strength[latched.opened]
        state[0] = np.where(fresh, frame.at, last_at)
        findings = tuple(
            Finding(
                row=int(row),
                kind=self.name,
                lifecycle="opened" if latched.opened[phase, row] else "closed",
                part=f"L{phase + 1}",
                started_at=float(latched.started_at[phase, row]),
                at=float(frame.at[row]),
                severity="inspect",
                score=float(score[phase, row]),
                readings=_readings(frame, int(row)),
                limits=self.limits_of(float(phases.base_a[row])),
                facts=self.facts_of(phases, int(phase), int(row)),
                ruled_out=self.ruled_out,
                energy=_energy_range(float(hidden[phase, row]), currents[:, row], int(phase)),
                ended_at=None if latched.opened[phase, row] else float(latched.ended_at[phase, row]),
            )
            for phase, row in np.argwhere(latched.opened | latched.closed)
        )
        return Step(state, findings)

    @property
    @abstractmethod
    def ruled_out(self) -> tuple[str, ...]:
        """What else it could have been and is not, as the gates make sure."""

    @abstractmethod
    def judge(self, phases: Phases) -> Judged:
        """The condition itself."""

    @abstractmethod
    def limits_of(self, base_a: float) -> Mapping[str, float]:
        """The limits in force for a meter."""

    @abstractmethod
    def facts_of(self, phases: Phases, phase: int, row: int) -> Mapping[str, float | str]:
        """The figures the sentence needs."""

    @staticmethod
    def _learn(phases: Phases, judged: Judged, learns: Mask) -> None:
        usual = phases.usual
        new = learns & np.isnan(usual)
        if new.any():
            usual[new] = judged.sample[new]
        usual += np.where(learns, _LEARN * (judged.sample - usual), 0.0)
        phases.loaded[:] += learns


def _hidden_kwh(frame: Frame, phases: Phases, expected_a: Floats, last_at: Floats, which: tuple[Rows, ...]) -> Floats:
    """kWh that these phases would have counted since the last reading, had they carried what is expected."""
    rows = which[1]
    factor = frame.values("power_factor")
    cosine = np.abs(np.nan_to_num(factor[rows], nan=1.0)) if factor is not None else 1.0
    missing_a = np.maximum(expected_a[which] - phases.currents[which], 0.0)
    elapsed = frame.at[rows] - last_at[rows]
    hours = np.where((elapsed > 0) & (elapsed <= _LONGEST_MS), elapsed, 0.0) / _MS_PER_HOUR
    hidden: Floats = np.nan_to_num(phases.voltages[which] * missing_a * cosine / 1000 * hours)
    return hidden


def _energy_range(best: float, currents: Floats, phase: int) -> Energy:
    """An estimate took the mean of the other phases; its range goes from their lower to their higher current."""
    others = np.delete(currents, phase)
    mean = float(others.mean())
    if not mean > 0:
        return Energy(best, best, best)
    return Energy(best * float(others.min()) / mean, best, best * float(others.max()) / mean)


def _readings(frame: Frame, row: int) -> dict[str, float]:
    """Voltages, currents and powers of one row, as evidence."""
    wanted = [f"{quantity}_l{phase}" for quantity in ("voltage", "current", "active_power") for phase in (1, 2, 3)]
    wanted += ["active_power", "power_factor", "active_energy_import"]
    found = {name: float(frame.columns[name][row]) for name in wanted if name in frame.columns}
    return {name: value for name, value in found.items() if not np.isnan(value)}
