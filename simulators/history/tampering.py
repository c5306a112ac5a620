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
from simulators.history.noise import Indices, keys, uniform
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


@dataclass(frozen=True, slots=True)
class _Reports:
    """The reports of one meter on one day, where there is power: shapes (intervals,)."""

    incident: Incident
    span: Span
    seed: int
    number: int  # of the day
    place: Indices  # in the day
    true_kw: Floats

    @property
    def index(self) -> Indices:
        """Numbers of the intervals in the history."""
        return np.asarray(self.place + self.number * self.span.per_day, dtype=np.int64)

    def drawn(self, what: str, index: Indices) -> Floats:
        """Numbers of this meter between 0 and 1, shape of ``index``."""
        return uniform(keys(self.seed, [self.incident.meter], what), index)[:, 0]


class Tampering:
    """What is done to the meters of a population."""

    def __init__(self, population: Population, span: Span, incidents: Sequence[Incident]) -> None:
        """Know which meter is touched, and when."""
        self._span, self._seed = span, population.seed
        column = {name: n for n, name in enumerate(population.names)}
        touched = {**_JUMPS, **_SENSING, **_REPORTING}
        self._incidents = [(one, column[one.meter]) for one in incidents if one.scenario in touched]

    def apply(self, number: int, seen: Seen) -> None:
        """Change what the meters see and report on a day, in place."""
        for one, column in self._incidents:
            during = one.during(number, self._span.per_day)
            if during.start >= during.stop:
                continue
            if one.scenario in _JUMPS:
                if one.first // self._span.per_day == number:
                    seen.jump_kwh[during.start, column] += _JUMPS[one.scenario] * one.level
                continue
            if one.scenario in _SENSING:
                _SENSING[one.scenario](one, during, column, seen)
                continue
            true_kw = seen.active_kw[:, during, column].sum(axis=0)
            powered = true_kw > 0
            if not powered.any():
                continue  # and so nothing to report
            place = np.arange(during.start, during.stop)[powered]
            reports = _Reports(one, self._span, self._seed, number, place, true_kw[powered])
            factor = np.zeros(len(true_kw))
            factor[powered] = _REPORTING[one.scenario](reports) / true_kw[powered]
            seen.scale(during, column, factor)


def _reduced(of: _Reports) -> Floats:
    return of.incident.level * of.true_kw


def _reduced_later(of: _Reports) -> Floats:
    """From the interval after the one in which the cover was opened."""
    return np.where(of.index > of.incident.first, of.incident.level, 1.0) * of.true_kw


def _nothing_for_hours(of: _Reports) -> Floats:
    begin, end = of.incident.hours
    if of.incident.notes["each_day_anew"] == "yes":
        long = end - begin
        begin = _EARLIEST_H + float(of.drawn("hours", np.array([of.number]))[0]) * (_LATEST_H - _EARLIEST_H - long)
        end = begin + long
    return np.where(np.isin(of.place, intervals_of((begin, end), of.span)), 0.0, of.true_kw)


def _own_fractions(of: _Reports) -> Floats:
    return _fractions(of) * of.true_kw


def _fractions_of_the_mean(of: _Reports) -> Floats:
    return _fractions(of) * float(of.true_kw.mean())


def _mean(of: _Reports) -> Floats:
    return np.full(len(of.true_kw), float(of.true_kw.mean()))


def _reversed(of: _Reports) -> Floats:
    return of.true_kw[::-1]


def _fractions(of: _Reports) -> Floats:
    low, high = _FRACTION
    return low + (high - low) * of.drawn("fraction", of.index)


def _see_less(one: Incident, during: slice, column: int, seen: Seen) -> None:
    """A shunt, an open current circuit (level 0)."""
    seen.scale(during, column, one.level, one.phase)


def _reverse(one: Incident, during: slice, column: int, seen: Seen) -> None:
    """A current transformer the wrong way round: the current itself has no sign."""
    for quantity in (seen.active_kw, seen.reactive_kvar):
        quantity[one.phase, during, column] *= one.level


def _lose_voltage(one: Incident, during: slice, column: int, seen: Seen) -> None:
    """The voltage of a phase does not reach the meter, its current does."""
    for quantity in (seen.voltage_v, seen.active_kw, seen.reactive_kvar):
        quantity[one.phase, during, column] *= one.level


def _count_less(one: Incident, during: slice, column: int, seen: Seen) -> None:
    """The register counts a share of what the meter displays."""
    seen.counted[during, column] = one.level


_JUMPS: Final = {"register_jump": 1, "register_fall": -1}
_SENSING: Final[dict[str, Callable[[Incident, slice, int, Seen], None]]] = {
    "bypass": _see_less,
    "current_loss": _see_less,
    "reversed_ct": _reverse,
    "voltage_loss": _lose_voltage,
    "slow_register": _count_less,
    "register_stopped": _count_less,
}
_REPORTING: Final[dict[str, Callable[[_Reports], Floats]]] = {
    "h1": _reduced,
    "h2": _nothing_for_hours,
    "h3": _own_fractions,
    "h4": _fractions_of_the_mean,
    "h5": _mean,
    "h6": _reversed,
    "shunt_all_phases": _reduced,
    "opened_and_reduced": _reduced_later,
}
