"""Energy between two readings of a register, or nothing if the register cannot be believed.

A register counts up. A fall, and a rise beyond what the meter's rating can carry, are not believed until a
second reading confirms the new level; then counting goes on from there, and the energy in between is unknown.
A transient zero or garbage is thus skipped without a spike and without a lost kWh.

Later checks of the frame find the difference as the columns ``import_kwh`` and ``import_since`` (ms): NaN where
there is none.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.checks.check import Step
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.store.table import Mask

REGISTER: Final = "active_energy_import"

_MARGIN: Final = 1.2  # of the rating: meters carry short overloads  [OURS]
_RESOLUTION_KWH: Final = 0.02  # two steps of a register with 0.01 kWh  [OURS]
_MS_PER_HOUR: Final = 3_600_000.0


class RegisterDifference:
    """Differences of the import register."""

    name = "register_difference"
    fields = ("last_at", "last_kwh", "suspect_at", "suspect_kwh")

    def concerns(self, frame: Frame) -> bool:
        """Frames that carry the import register."""
        return REGISTER in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Derive ``import_kwh`` and ``import_since``."""
        last_at, last_kwh, suspect_at, suspect_kwh = state
        at, register = frame.at, frame.columns[REGISTER]
        carries_kw = _carries_kw(fleet, frame)
        first = np.isnan(last_at)
        usable = ~np.isnan(register) & (first | (at > last_at))
        difference = register - last_kwh
        bad = ~first & _unbelievable(difference, at - last_at, carries_kw)
        confirmed = bad & ~np.isnan(suspect_at)
        confirmed &= ~_unbelievable(register - suspect_kwh, at - suspect_at, carries_kw)
        good = usable & ~first & ~bad
        taken = usable & (~bad | confirmed)
        doubted = usable & bad & ~confirmed
        new = np.stack(
            [
                np.where(taken, at, last_at),
                np.where(taken, register, last_kwh),
                np.where(taken, np.nan, np.where(doubted, at, suspect_at)),
                np.where(taken, np.nan, np.where(doubted, register, suspect_kwh)),
            ]
        )
        derived = {
            "import_kwh": np.where(good, difference, np.nan),
            "import_since": np.where(good, last_at, np.nan),
        }
        return Step(new, derived=derived)


def _carries_kw(fleet: Fleet, frame: Frame) -> Floats:
    """The highest power a meter can carry, NaN if its rating is unknown."""
    slots = frame.chosen
    amperes = fleet.limits("maximum_current_a", slots) * fleet.limits("phases", slots)
    kilowatts: Floats = amperes * fleet.limits("nominal_voltage_v", slots) * (_MARGIN / 1000)
    return kilowatts


def _unbelievable(difference: Floats, elapsed_ms: Floats, carries_kw: Floats) -> Mask:
    bound = carries_kw * elapsed_ms / _MS_PER_HOUR + _RESOLUTION_KWH
    return (difference < 0) | (difference > bound)
