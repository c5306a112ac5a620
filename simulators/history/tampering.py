"""What a meter makes of what flows through it, once somebody or something has touched it.

Two layers. *Sensing and counting*: a phase is not seen, is seen with the wrong sign, its voltage is lost, the register
counts too little: the quantities of the meter contradict each other. *Reporting*: all quantities of a reading shrink or
move together, so that nothing electrical disagrees (h1 … h6 as in Jokar 2016; x is the true energy of an interval):

    h1  a x                  one fraction for all
    h2  0 in some hours      of every day, or of hours drawn anew each day
    h3  a(t) x               a fraction of its own for each reading
    h4  a(t) mean(x)         the mean of the day
    h5  mean(x)
    h6  x of the day reversed

Where there was no power nothing is reported, so h4, h5 and h6 work on what is left of the day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.history.demand import intervals_of
from simulators.history.electricity import Flow
from simulators.history.noise import keys, uniform
from simulators.history.population import Population
from simulators.history.scenarios import Incident
from simulators.history.span import Span
from simulators.load_curves import Floats

_FRACTION: Final = (0.1, 0.9)  # of h3 and h4
_EARLIEST_H, _LATEST_H = 6.0, 23.0  # of hours drawn anew


@dataclass(slots=True)
class Seen:
    """What meters make of a flow; (3, intervals, meters), the last two (intervals, meters)."""

    voltage_v: Floats
    current_a: Floats
    active_kw: Floats
    reactive_kvar: Floats
    counted: Floats  # share of the seen power that the import register counts
    jump_kwh: Floats  # what the register does besides

    @classmethod
    def of(cls, flow: Flow) -> Seen:
        """What an untouched meter makes of it."""
        shape = flow.active_kw.shape[1:]
        return cls(flow.voltage_v, flow.current_a, flow.active_kw, flow.reactive_kvar, np.ones(shape), np.zeros(shape))

    def scale(self, during: slice, column: int, factor: Floats | float, phase: int | None = None) -> None:
        """Multiply currents and powers of one phase, or of all."""
        phases = slice(None) if phase is None else phase
        for quantity in (self.current_a, self.active_kw, self.reactive_kvar):
            quantity[phases, during, column] *= factor


class Tampering:
    """What is done to the meters of a population."""

    def __init__(self, population: Population, span: Span, incidents: Sequence[Incident]) -> None:
        """Know which meter is touched, and when."""
        self._span, self._seed = span, population.seed
        column = {name: n for n, name in enumerate(population.names)}
        touched = {**_SENSING, **_REPORTING}
        self._incidents = [(one, column[one.meter]) for one in incidents if one.scenario in touched]

    def apply(self, number: int, seen: Seen) -> None:
        """Change what the meters see and report on a day, in place."""
        for one, column in self._incidents:
            during = one.during(number, self._span.per_day)
            if during.start >= during.stop:
                continue
            if one.scenario in _SENSING:
                _SENSING[one.scenario](one, during, column, seen, starts=one.first // self._span.per_day == number)
                continue
            true_kw = seen.active_kw[:, during, column].sum(axis=0)
            reported_kw = np.zeros(len(true_kw))
            powered = true_kw > 0
            reported_kw[powered] = _REPORTING[one.scenario](self, one, (number, during), powered, true_kw[powered])
            seen.scale(during, column, reported_kw / np.where(powered, true_kw, 1.0))

    def _reduced(self, one: Incident, at: _When, powered: Floats, true_kw: Floats) -> Floats:  # noqa: ARG002
        return one.level * true_kw

    def _nothing_for_hours(self, one: Incident, at: _When, powered: Floats, true_kw: Floats) -> Floats:
        begin, end = one.hours
        if one.notes["each_day_anew"] == "yes":
            drawn = float(uniform(self._keys(one, "hours"), np.array([at[0]]))[0, 0])
            begin, end = (_EARLIEST_H + drawn * (_LATEST_H - _EARLIEST_H - (end - begin)) + h for h in (0, end - begin))
        factor = np.ones(self._span.per_day)
        factor[intervals_of((begin, end), self._span)] = 0
        return factor[at[1]][powered] * true_kw

    def _own_fractions(self, one: Incident, at: _When, powered: Floats, true_kw: Floats) -> Floats:
        return self._fractions(one, at)[powered] * true_kw

    def _fractions_of_the_mean(self, one: Incident, at: _When, powered: Floats, true_kw: Floats) -> Floats:
        return self._fractions(one, at)[powered] * true_kw.mean()

    def _mean(self, one: Incident, at: _When, powered: Floats, true_kw: Floats) -> Floats:  # noqa: ARG002
        return np.full(len(true_kw), true_kw.mean() if len(true_kw) else 0.0)

    def _reversed(self, one: Incident, at: _When, powered: Floats, true_kw: Floats) -> Floats:  # noqa: ARG002
        return true_kw[::-1]

    def _reduced_later(self, one: Incident, at: _When, powered: Floats, true_kw: Floats) -> Floats:
        index = self._span.of_day(at[0])[at[1]][powered]
        return np.where(index > one.first, one.level, 1.0) * true_kw

    def _fractions(self, one: Incident, at: _When) -> Floats:
        low, high = _FRACTION
        drawn = uniform(self._keys(one, "fraction"), self._span.of_day(at[0])[at[1]])[:, 0]
        return np.asarray(low + (high - low) * drawn, dtype=np.float64)

    def _keys(self, one: Incident, what: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
        return keys(self._seed, [one.meter], what)


_When = tuple[int, slice]
"""Number of the day, intervals of the day."""


def _see_less(one: Incident, during: slice, column: int, seen: Seen, *, starts: bool) -> None:  # noqa: ARG001
    """A shunt, an open current circuit (level 0)."""
    seen.scale(during, column, one.level, one.phase)


def _reverse(one: Incident, during: slice, column: int, seen: Seen, *, starts: bool) -> None:  # noqa: ARG001
    """A current transformer the wrong way round: the current itself has no sign."""
    for quantity in (seen.active_kw, seen.reactive_kvar):
        quantity[one.phase, during, column] *= one.level


def _lose_voltage(one: Incident, during: slice, column: int, seen: Seen, *, starts: bool) -> None:  # noqa: ARG001
    """The voltage of a phase does not reach the meter, its current does."""
    for quantity in (seen.voltage_v, seen.active_kw, seen.reactive_kvar):
        quantity[one.phase, during, column] *= one.level


def _count_less(one: Incident, during: slice, column: int, seen: Seen, *, starts: bool) -> None:  # noqa: ARG001
    """The register counts a share of what the meter displays."""
    seen.counted[during, column] = one.level


def _jump(one: Incident, during: slice, column: int, seen: Seen, *, starts: bool) -> None:
    """The register leaps ahead once."""
    seen.jump_kwh[during.start, column] += one.level * starts


def _fall(one: Incident, during: slice, column: int, seen: Seen, *, starts: bool) -> None:
    """The register falls back once."""
    seen.jump_kwh[during.start, column] -= one.level * starts


_SENSING: Final[dict[str, Callable[..., None]]] = {
    "bypass": _see_less,
    "current_loss": _see_less,
    "reversed_ct": _reverse,
    "voltage_loss": _lose_voltage,
    "slow_register": _count_less,
    "register_stopped": _count_less,
    "register_jump": _jump,
    "register_fall": _fall,
}
_REPORTING: Final[dict[str, Callable[..., Floats]]] = {
    "h1": Tampering._reduced,  # noqa: SLF001
    "h2": Tampering._nothing_for_hours,  # noqa: SLF001
    "h3": Tampering._own_fractions,  # noqa: SLF001
    "h4": Tampering._fractions_of_the_mean,  # noqa: SLF001
    "h5": Tampering._mean,  # noqa: SLF001
    "h6": Tampering._reversed,  # noqa: SLF001
    "shunt_all_phases": Tampering._reduced,  # noqa: SLF001
    "opened_and_reduced": Tampering._reduced_later,  # noqa: SLF001
}
