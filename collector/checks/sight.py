"""A frame as the rules see it: phases as matrices, ratings beside them, and what several rules compute only once.

A ``Sight`` covers a whole frame, or the few rows of it at which something is suspected. Matrices have one row a phase
and one column a meter; what is not carried is NaN, and a comparison with NaN is false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.store.table import Mask, Rows
from metering.quantity import QUANTITIES


class Sight:
    """Some rows of a frame."""

    def __init__(self, frame: Frame, fleet: Fleet, whole: Sight | None = None, rows: Rows | None = None) -> None:
        self.frame = frame
        self.fleet = fleet
        self._whole = whole
        self._rows = rows
        self._known: dict[str, npt.NDArray[Any]] = {}

    @classmethod
    def of(cls, frame: Frame, fleet: Fleet) -> Sight:
        """The sight of a frame, made once."""
        found = frame.shared.get("sight")
        if not isinstance(found, Sight):
            found = frame.shared["sight"] = cls(frame, fleet)
        return found

    def at_rows(self, rows: Rows) -> Sight:
        """The sight of some of the rows of a whole frame."""
        return Sight(self.frame, self.fleet, self, rows)

    def row(self, i: int) -> int:
        """The row of the frame that column ``i`` is about."""
        return i if self._rows is None else int(self._rows[i])

    def reading(self, i: int) -> dict[str, float]:
        """All values of a row and its quality bits, as evidence."""
        row = self.row(i)
        found = {name: float(values[row]) for name, values in self.frame.columns.items() if name in QUANTITIES}
        if self.frame.quality[row]:
            found["quality"] = float(self.frame.quality[row])
        return {name: value for name, value in found.items() if value == value}  # noqa: PLR0124 - NaN is no value

    # --- one value a row -------------------------------------------------------------------------

    @property
    def at(self) -> Floats:
        """Time, ms."""
        return self._of("at", lambda whole: whole.frame.at)

    @property
    def elapsed_ms(self) -> Floats:
        """See ``reading_order``."""
        return self.column("elapsed_ms")

    @property
    def fresh(self) -> Mask:
        """Rows with a new electrical reading."""
        return self._of("fresh", lambda whole: ~np.isnan(whole.elapsed_ms))

    def column(self, quantity: str) -> Floats:
        """The values of a quantity."""
        return self._of(quantity, lambda whole: whole._column(quantity))  # noqa: SLF001 - another of its kind

    def rating(self, name: str) -> Floats:
        """What the registry says."""
        return self._of(f"rating {name}", lambda whole: whole.fleet.limits(name, whole.frame.chosen))

    @property
    def nominal_v(self) -> Floats:
        """Nominal phase voltage."""
        return self.rating("nominal_voltage_v")

    @property
    def base_a(self) -> Floats:
        """Base current."""
        return self.rating("base_current_a")

    @property
    def three_phase(self) -> Mask:
        """Connections with three phases."""
        return self._of("three", lambda whole: whole.rating("phases") == 3)  # noqa: PLR2004 - L1, L2, L3

    @property
    def power_factor(self) -> Floats:
        """|power factor| of the whole meter, 1 where it is not known."""
        return self._of("cosine", lambda whole: _or_one(np.abs(whole.column("power_factor"))))

    @property
    def highest_v(self) -> Floats:
        """Highest phase voltage that is known."""
        return self._of("highest_v", lambda whole: _reduce(np.fmax, whole.voltage))

    @property
    def lowest_v(self) -> Floats:
        """Lowest phase voltage that is known."""
        return self._of("lowest_v", lambda whole: _reduce(np.fmin, whole.voltage))

    @property
    def highest_a(self) -> Floats:
        """Highest phase current that is known."""
        return self._of("highest_a", lambda whole: _reduce(np.fmax, whole.current))

    @property
    def lowest_a(self) -> Floats:
        """Lowest phase current that is known."""
        return self._of("lowest_a", lambda whole: _reduce(np.fmin, whole.current))

    @property
    def total_a(self) -> Floats:
        """Sum of the phase currents, NaN if one is not known."""
        return self._of("total_a", lambda whole: whole.current[0] + whole.current[1] + whole.current[2])

    @property
    def median_a(self) -> Floats:
        """The middle one of the three phase currents, NaN if one is not known."""
        return self._of("median_a", lambda whole: whole.total_a - whole.highest_a - whole.lowest_a)

    def shared(self, name: str, make: Callable[[Sight], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Something a family computes once for the whole frame; ``name`` it after the family."""
        return self._of(name, make)

    # --- one value a phase and row ---------------------------------------------------------------

    @property
    def voltage(self) -> Floats:
        """Phase voltages, V."""
        return self._of("voltage", lambda whole: whole._phases("voltage"))  # noqa: SLF001

    @property
    def current(self) -> Floats:
        """Phase currents, magnitude, A."""
        return self._of("current", lambda whole: np.abs(whole._phases("current")))  # noqa: SLF001

    @property
    def power(self) -> Floats:
        """Active power of the phases, + = import, kW."""
        return self._of("power", lambda whole: whole._phases("active_power"))  # noqa: SLF001

    @property
    def connected(self) -> Mask:
        """The phases that a meter has: one or three."""
        return self._of("connected", lambda whole: np.arange(1, 4)[:, None] <= whole.rating("phases"))

    def _of(self, name: str, make: Callable[[Sight], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        found = self._known.get(name)
        if found is None:
            if self._whole is None or self._rows is None:
                found = make(self)
            else:
                found = self._whole._of(name, make).take(self._rows, axis=-1)  # noqa: SLF001
            self._known[name] = found
        return found

    def _column(self, quantity: str) -> Floats:
        values = self.frame.columns.get(quantity)
        return np.full(len(self.frame), np.nan) if values is None else values

    def _phases(self, quantity: str) -> Floats:
        values = self.frame.phases(quantity)
        return np.full((3, len(self.frame)), np.nan) if values is None else values


def others_of(values: Floats, pick: np.ufunc) -> Floats:
    """For each phase what ``pick`` (fmax, fmin, add) makes of the other two."""
    one, two, three = values
    return np.stack([pick(two, three), pick(one, three), pick(one, two)])


def _or_one(values: Floats) -> Floats:
    np.copyto(values, 1.0, where=np.isnan(values))
    return values


def _reduce(pick: np.ufunc, values: Floats) -> Floats:
    found: Floats = pick(pick(values[0], values[1]), values[2])
    return found
