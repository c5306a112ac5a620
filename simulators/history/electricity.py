"""Voltages, currents and powers that really flow: mean of each interval of a day, phase by phase.

Shapes are (3, intervals, meters). Active power is positive for import; where a generator makes more than the customer
draws it is negative. The shares of the phases wander, and what is drawn all the time hangs on other phases than the
work; so phases are moderately unbalanced, some at night very much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.history.casting import APPROVED
from simulators.history.demand import Demand, intervals_of
from simulators.history.noise import keys, normal
from simulators.history.population import NOMINAL_V, Population
from simulators.history.scenarios import Incident
from simulators.history.span import Span
from simulators.history.surroundings import Surroundings
from simulators.load_curves import Floats

_SHARE_NOISE: Final = 0.05
_TANGENT_NOISE: Final = 0.035
_NIGHT_TANGENT: Final = 1.25  # small motors and ballasts: more kvar for each kW
_LINE_NOISE, _PHASE_NOISE, _OWN_NOISE = 0.008, 0.004, 0.002  # of voltages
_DROP_V_PER_A: Final = 0.04
_STRONG_PHASE: Final = 0.43  # share of the load on the phase that is overloaded
_IDLE: Final = 0.15  # of the active power, when motors have no work
_STREET: Final = "street"


@dataclass(slots=True)
class Flow:
    """What flows, each of shape (3, intervals, meters): V, kW, kvar. Changed in place by what is done to it."""

    voltage_v: Floats
    active_kw: Floats
    reactive_kvar: Floats

    @property
    def current_a(self) -> Floats:
        """Currents of the phases."""
        volts = np.where(self.voltage_v > 1, self.voltage_v, np.inf)
        return np.asarray(np.hypot(self.active_kw, self.reactive_kvar) * 1000 / volts, dtype=np.float64)


class Electricity:
    """The electricity of a population over a span."""

    def __init__(
        self, population: Population, span: Span, surroundings: Surroundings, incidents: Sequence[Incident]
    ) -> None:
        """Lay the customers out as columns."""
        people, seed = population.customers, population.seed
        self._span, self._surroundings, self._people = span, surroundings, people
        self._demand = Demand(population, span, surroundings, incidents)
        self._column = {name: n for n, name in enumerate(population.names)}
        self._incidents = [one for one in incidents if one.scenario in _EFFECTS and one.meter in self._column]
        self._share = np.array([one.share for one in people]).T[:, None, :]
        self._night_share = np.array([one.night_share for one in people]).T[:, None, :]
        self._tangent = np.array([one.tangent for one in people])
        self._pv_kw = np.array([one.pv_kw for one in people])
        self._offset = np.array([one.offset for one in people]).T[:, None, :]
        self._share_keys = [keys(seed, population.names, f"share {phase}") for phase in range(3)]
        self._tangent_keys = keys(seed, population.names, "tangent")
        self._voltage_keys = keys(seed, population.names, "voltage")
        self._sun_keys = keys(seed, population.names, "sun")
        lines = [*(line.name for line in population.lines), _STREET]
        self._line_keys = [keys(seed, lines, f"voltage {phase}") for phase in range(3)]
        self._line_of = population.line_of  # -1, on no line, is the last: the street

    def of_day(self, number: int) -> Flow:
        """What flows through the meters on a day."""
        index = self._span.of_day(number)
        work_kw, always_kw = self._demand.of_day(number)
        drawn = np.stack([normal(one, index // 2) for one in self._share_keys])
        share = self._share * (1 + _SHARE_NOISE * drawn)
        share /= share.sum(axis=0)
        tangent = self._tangent * (1 + _TANGENT_NOISE * normal(self._tangent_keys, index))
        at_work = work_kw * share
        always = always_kw * self._night_share
        flow = Flow(
            voltage_v=np.zeros_like(share),
            active_kw=at_work + always,
            reactive_kvar=(at_work + _NIGHT_TANGENT * always) * tangent,
        )
        flow.active_kw -= self._generated(number, self._pv_kw) / 3
        flow.voltage_v = self._voltages(number, flow)
        for one in self._incidents:
            during = one.during(number, self._span.per_day)
            if during.start < during.stop:
                _EFFECTS[one.scenario](self, one, (number, during, self._column[one.meter]), flow)
        return flow

    def _voltages(self, number: int, flow: Flow) -> Floats:
        index = self._span.of_day(number)
        busy = np.sin(2 * np.pi * (self._span.middle_hours - 9) / 24)[:, None]
        common = 1.025 - 0.012 * busy + _LINE_NOISE * normal(self._line_keys[0], index // 4)
        phases = np.stack([common + _PHASE_NOISE * normal(one, index + 1) for one in self._line_keys])
        own = self._offset + _OWN_NOISE * normal(self._voltage_keys, index)
        current = np.abs(flow.active_kw) * 1000 / NOMINAL_V
        drop = np.minimum(_DROP_V_PER_A * current, 0.05 * NOMINAL_V)
        return np.asarray(NOMINAL_V * (phases[:, :, self._line_of] + own) - drop, dtype=np.float64)

    def _generated(self, number: int, rated_kw: Floats) -> Floats:
        sun = self._surroundings.sun(number)[:, None]
        if not rated_kw.any() or not sun.any():
            return np.zeros((self._span.per_day, len(rated_kw)))
        shade = np.exp(0.05 * normal(self._sun_keys, self._span.of_day(number)))
        return np.asarray(rated_kw * np.minimum(sun * shade, 1.0), dtype=np.float64)

    def install(self, one: Incident, at: _Place, flow: Flow) -> None:
        """A generator begins to work."""
        number, during, column = at
        sun = self._surroundings.sun(number)[during]
        shade = np.exp(0.05 * normal(self._sun_keys[column : column + 1], self._span.of_day(number)[during])[:, 0])
        flow.active_kw[:, during, column] -= one.level * np.minimum(sun * shade, 1.0) / 3

    def surge(self, one: Incident, at: _Place, flow: Flow) -> None:
        """A load far above the usual for some hours of the day, nearly steady, in kVA."""
        person = self._people[at[2]]
        limit = APPROVED.get(one.scenario, 1.0) if one.scenario == "over_approved" else 1.0
        self._draw(one.level * limit * person.contract_kva, one, at, flow)

    def overload(self, one: Incident, at: _Place, flow: Flow) -> None:
        """The same, above the rating of the meter on one phase."""
        rows, column = self._rows(one, at), at[2]
        for quantity in (flow.active_kw, flow.reactive_kvar):
            total = quantity[:, rows, column].sum(axis=0)
            for phase in range(3):
                strong = phase == one.phase
                quantity[phase, rows, column] = total * (_STRONG_PHASE if strong else (1 - _STRONG_PHASE) / 2)
        self._draw(one.level * 3 * self._people[column].maximum_current_a * NOMINAL_V / 1000, one, at, flow)

    def _draw(self, kva: float, one: Incident, at: _Place, flow: Flow) -> None:
        rows, column = self._rows(one, at), at[2]
        total = np.hypot(*(quantity[:, rows, column].sum(axis=0) for quantity in (flow.active_kw, flow.reactive_kvar)))
        for quantity in (flow.active_kw, flow.reactive_kvar):
            quantity[:, rows, column] *= kva / np.maximum(total, 0.001)

    def _rows(self, one: Incident, at: _Place) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        rows = intervals_of(one.hours, self._span)
        inside = (rows >= at[1].start) & (rows < at[1].stop)
        return np.asarray(rows[inside], dtype=np.int64)

    def lean(self, one: Incident, at: _Place, flow: Flow) -> None:
        """Most of the load hangs on one phase."""
        _, during, column = at
        for quantity in (flow.active_kw, flow.reactive_kvar):
            total = quantity[:, during, column].sum(axis=0)
            for phase in range(3):
                quantity[phase, during, column] = total * (one.level if phase == one.phase else (1 - one.level) / 2)

    def idle(self, one: Incident, at: _Place, flow: Flow) -> None:
        """Motors without work: little active power, much reactive."""
        _, during, column = at
        flow.active_kw[:, during, column] *= _IDLE
        tangent = np.sqrt(1 / one.level**2 - 1)
        flow.reactive_kvar[:, during, column] = flow.active_kw[:, during, column] * tangent

    def bend(self, one: Incident, at: _Place, flow: Flow) -> None:
        """All voltages are too low or too high; the load takes the same power."""
        _, during, column = at
        flow.voltage_v[:, during, column] *= one.level

    def cut(self, one: Incident, at: _Place, flow: Flow) -> None:  # noqa: ARG002 - every outage is alike
        """Nothing flows."""
        _, during, column = at
        for quantity in (flow.voltage_v, flow.active_kw, flow.reactive_kvar):
            quantity[:, during, column] = 0


_Place = tuple[int, slice, int]
"""Number of the day, intervals of the day, column of the meter."""

_EFFECTS: Final = {
    "pv_installed": Electricity.install,
    "over_capacity": Electricity.surge,
    "approved_surge": Electricity.surge,
    "over_approved": Electricity.surge,
    "over_current": Electricity.overload,
    "current_imbalance": Electricity.lean,
    "low_power_factor": Electricity.idle,
    "undervoltage": Electricity.bend,
    "over_voltage": Electricity.bend,
    "site_outage": Electricity.cut,
    "line_outage": Electricity.cut,
}
