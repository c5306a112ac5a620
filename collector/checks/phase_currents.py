"""What the two checks on phase currents share: which phase is compared with what, and the kWh it may hide."""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.checks.check import Energy
from collector.engine.fleet import Floats
from collector.engine.frame import Frame
from collector.engine.latch import Latched
from collector.store.table import Mask

PHASES: Final = (0, 1, 2)
_MS_PER_HOUR: Final = 3_600_000.0
_LONGEST_MS: Final = 3_600_000.0  # a longer silence says nothing about the load in between


def other_phases(currents: Floats) -> Floats:
    """For each phase the mean current of the other two; three rows."""
    means: Floats = (currents.sum(axis=0) - currents) / 2
    return means


def hidden_so_far(
    hidden: Floats,
    latched: Latched,
    state: Floats,
    counts: Mask,
    frame: Frame,
    voltages: Floats,
    currents: Floats,
    expected: Floats,
    last_at: Floats,
) -> Floats:
    """kWh each phase would have counted since its condition began, had it carried ``expected`` amperes; three rows.

    Zero while a phase's condition does not hold. ``state`` is that of the latch; ``counts`` says for which phases this
    reading adds something.
    """
    if latched.quiet:
        return np.zeros(hidden.shape)
    pending = ~np.isnan(state[0]) | ~np.isnan(state[2]) | latched.closed
    factor = frame.values("power_factor")
    cosine = np.where(np.isnan(factor), 1.0, np.abs(factor)) if factor is not None else 1.0
    kilowatts = voltages * np.maximum(expected - currents, 0.0) * cosine / 1000
    elapsed = frame.at - last_at
    hours = np.where((elapsed > 0) & (elapsed <= _LONGEST_MS), elapsed, 0.0) / _MS_PER_HOUR
    added = np.where(counts, np.nan_to_num(kilowatts * hours), 0.0)
    return np.where(pending, np.nan_to_num(hidden) + added, 0.0)


def energy_range(best: float, currents: Floats, phase: int) -> Energy:
    """The range of an estimate that took the mean of the other phases: from their lower to their higher current."""
    others = np.delete(currents, phase)
    mean = float(others.mean())
    if not mean > 0:
        return Energy(best, best, best)
    return Energy(best * float(others.min()) / mean, best, best * float(others.max()) / mean)


def phase_readings(frame: Frame, row: int) -> dict[str, float]:
    """Voltages, currents and powers of one row, as evidence."""
    wanted = [f"{quantity}_l{phase}" for quantity in ("voltage", "current", "active_power") for phase in (1, 2, 3)]
    wanted += ["active_power", "power_factor", "active_energy_import"]
    found = {name: float(frame.columns[name][row]) for name in wanted if name in frame.columns}
    return {name: value for name, value in found.items() if not np.isnan(value)}
