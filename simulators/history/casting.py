"""What happens to which meter, and when.

Each meter is cast from the seed and its own name, each line from its own; only a line on which several customers
falsify raises the odds of its meters. Most incidents begin after weeks of honest history, some with the first day.
Customers with generation of their own meet innocent things only: without a meter on the generator nothing could
tell what their consumption is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from simulators.history.population import Customer, Population
from simulators.history.scenarios import Incident
from simulators.history.span import Span
from simulators.load_curves import generator

_LEARNING_DAYS: Final = 35  # of honest history before most incidents
_FROM_THE_FIRST_DAY: Final = 0.12
_RING: Final = 0.15  # share of the lines on which several customers falsify
_FALSIFIES_IN_RING, _FALSIFIES = 0.16, 0.055
_ELECTRICAL: Final = 0.04
_CAPACITY: Final = 0.035
_BETWEEN_DAYS: Final = 10  # from one electrical incident of a meter to the next
_GAP: Final = 0.12
_LINE_TROUBLE: Final = 0.15  # each: an outage, a silent gateway
_ANEW: Final = 0.4  # share of h2 whose hours are drawn anew each day
_SLOWLY: Final = 0.5  # share of the downturns that come slowly
_SILENT: Final = 0.5  # share of the outages in which the meters do not answer

_FALSIFIED: Final = ("h1", "h2", "h3", "h4", "h5", "h6", "h1", "h2", "h3", "h4", "h5", "h6", "shunt_all_phases")
_CAPACITY_NAMES: Final = ("over_capacity", "over_capacity", "approved_surge", "over_approved")
_BENIGN: Final = {
    "announced_closure": 0.03,
    "unannounced_closure": 0.025,
    "downturn": 0.03,
    "retrofit": 0.025,
    "announced_tenant": 0.02,
    "unannounced_tenant": 0.015,
    "growth": 0.03,
    "new_hours": 0.025,
    "pv_installed": 0.015,
    "approved_work": 0.02,
    "site_outage": 0.03,
}
_LEVELS: Final = {
    "h1": (0.2, 0.8),  # reported share
    "shunt_all_phases": (0.3, 0.6),  # seen share
    "bypass": (0.03, 0.15),  # seen share of one phase
    "current_loss": (0.0, 0.0),  # the same
    "voltage_loss": (0.0, 0.6),  # share of the voltage of one phase
    "undervoltage": (0.55, 0.72),  # share of all voltages
    "over_voltage": (1.23, 1.32),  # the same
    "reversed_ct": (-1.0, -1.0),  # seen share of one phase
    "slow_register": (0.55, 0.8),  # counted share
    "register_stopped": (0.0, 0.0),  # the same
    "register_jump": (2000.0, 20000.0),  # kWh
    "register_fall": (20.0, 90.0),  # kWh
    "current_imbalance": (0.72, 0.9),  # share of the load on one phase
    "over_current": (1.06, 1.15),  # load in parts of the rating of all phases
    "low_power_factor": (0.15, 0.26),  # power factor
    "opened_and_reduced": (0.25, 0.7),  # reported share
    "over_capacity": (1.3, 1.55),  # load in contract kVA
    "approved_surge": (1.15, 1.35),  # the same
    "over_approved": (1.12, 1.2),  # load in approved kVA
    "announced_closure": (0.0, 0.05),  # activity that remains
    "unannounced_closure": (0.0, 0.05),
    "downturn": (0.4, 0.8),  # factor of the load
    "retrofit": (0.6, 0.85),
    "announced_tenant": (0.4, 2.0),
    "unannounced_tenant": (0.4, 2.0),
    "growth": (1.15, 1.8),
    "pv_installed": (0.5, 1.2),  # rated power in parts of the customer's full activity
}
"""From which range the strength of a scenario is drawn."""

_DAYS: Final = {
    "undervoltage": (1, 3),
    "over_voltage": (1, 3),
    "register_jump": (2, 2),
    "register_fall": (2, 2),
    "over_current": (3, 10),
    "low_power_factor": (3, 14),
    "over_capacity": (3, 14),
    "approved_surge": (3, 14),
    "over_approved": (3, 14),
    "announced_closure": (5, 28),
    "unannounced_closure": (7, 21),
}
"""How many days a scenario lasts, if not one to eight weeks."""

_ELECTRICAL_NAMES: Final = (
    "bypass",
    "current_loss",
    "voltage_loss",
    "undervoltage",
    "over_voltage",
    "reversed_ct",
    "slow_register",
    "register_stopped",
    "register_jump",
    "register_fall",
    "current_imbalance",
    "over_current",
    "low_power_factor",
    "opened_and_reduced",
)
_FOR_EVER: Final = frozenset(
    ("downturn", "retrofit", "announced_tenant", "unannounced_tenant", "growth", "new_hours", "pv_installed")
)
_EVENTS: Final = ("cover_opened", "terminal_cover_opened", "magnetic_field")
APPROVED: Final = {"approved_surge": 1.5, "over_approved": 1.3}
"""The approved capacity of a scenario in parts of the contract."""


def cast(population: Population, span: Span) -> tuple[Incident, ...]:
    """Every incident of every meter, in the order of the meters, then those of the masters."""
    seed = population.seed
    rings = [generator(seed, line.name, "ring").random() < _RING for line in population.lines]
    troubles = [_Casting(generator(seed, line.name, "trouble"), span).of_line() for line in population.lines]
    found: list[Incident] = []
    for one in population.customers:
        casting = _Casting(generator(seed, one.name, "casting"), span)
        found += casting.of_customer(one, ring=one.line >= 0 and rings[one.line])
        if one.line >= 0:
            found += [replace(trouble, meter=one.name) for trouble in troubles[one.line]]
    for number in population.masters:
        found += [replace(trouble, meter=population.lines[number].master) for trouble in troubles[number]]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Casting:
    """Draws the incidents of one meter or line."""

    rng: np.random.Generator
    span: Span

    def of_line(self) -> list[Incident]:
        """An outage of the line, a silent gateway; the name of the meter is still to come."""
        found = []
        if self.rng.random() < _LINE_TROUBLE:
            found.append(self._short("", "line_outage", 0.5, 8.0))
        if self.rng.random() < _LINE_TROUBLE:
            found.append(self._short("", "communication_gap", 2.0, 30.0))
        return found

    def of_customer(self, one: Customer, *, ring: bool) -> list[Incident]:
        """What happens at one meter."""
        falsifies = _FALSIFIES_IN_RING if ring else _FALSIFIES
        role = self.rng.random() if one.pv_kw == 0 else 1.0
        found: list[Incident] = []
        if role < falsifies:
            found = self._named(one, str(self.rng.choice(_FALSIFIED)))
        elif role < falsifies + _ELECTRICAL:
            found = self._faults(one)
        elif role < falsifies + _ELECTRICAL + _CAPACITY:
            found = self._named(one, str(self.rng.choice(_CAPACITY_NAMES)))
        elif (name := self._benign()) is not None:
            found = self._named(one, name)
        if one.pv_kw:
            found.append(Incident(one.name, "pv_registered", 0, self.span.intervals, level=one.pv_kw))
        if one.one_phase_night:
            found.append(Incident(one.name, "one_phase_night", 0, self.span.intervals))
        if self.rng.random() < _GAP:
            for _ in range(int(self.rng.integers(1, 4))):
                found.append(self._short(one.name, "communication_gap", 1.0, 72.0))
        return found

    def _faults(self, one: Customer) -> list[Incident]:
        """One electrical incident, and another one later if the history is long enough."""
        first, second = (str(name) for name in self.rng.choice(_ELECTRICAL_NAMES, 2, replace=False))
        found = self._named(one, first)
        again = self._named(one, second)[0]
        begins = found[0].last + _BETWEEN_DAYS * self.span.per_day
        ends = begins + again.last - again.first
        return [*found, replace(again, first=begins, last=ends)] if ends <= self.span.intervals else found

    def _benign(self) -> str | None:
        drawn = self.rng.random()
        for name, share in _BENIGN.items():
            if drawn < share:
                return name
            drawn -= share
        return None

    def _named(self, one: Customer, name: str) -> list[Incident]:
        if name == "site_outage":
            return [self._short(one.name, name, 0.5, 8.0)]
        if name == "approved_work":
            return [self._work(one.name)]
        first, last = self._window(*_DAYS.get(name, (7, 56)), at_once=name not in _BENIGN)
        incident = Incident(
            meter=one.name,
            scenario=name,
            first=first,
            last=self.span.intervals if name in _FOR_EVER else last,
            level=float(self.rng.uniform(*_LEVELS.get(name, (1.0, 1.0)))),
            phase=int(self.rng.integers(3)),
            hours=self._hours(one, name),
            notes=self._notes(one, name),
        )
        if name == "pv_installed":
            incident = replace(incident, level=round(incident.level * one.unit_kw, 1))
        return [incident]

    def _notes(self, one: Customer, name: str) -> dict[str, float | str]:
        """What only some scenarios have: a ramp, other hours, an event, an approval."""
        rng = self.rng
        if name == "h2":
            return {"each_day_anew": "yes" if rng.random() < _ANEW else "no"}
        if name in APPROVED:
            return {"approved_kva": round(APPROVED[name] * one.contract_kva, 1)}
        if name in ("downturn", "growth"):
            return {"ramp_days": int(rng.integers(7, 43)) if name == "growth" or rng.random() < _SLOWLY else 0}
        if name in ("announced_tenant", "unannounced_tenant", "new_hours"):
            later = rng.uniform(-3, 3, 2) if name != "new_hours" else rng.choice([-1, 1], 2) * rng.uniform(1, 3, 2)
            return {"opens_later_h": float(later[0]), "closes_later_h": float(later[1])}
        return {"event": str(rng.choice(_EVENTS))} if name == "opened_and_reduced" else {}

    def _hours(self, one: Customer, name: str) -> tuple[float, float]:
        """The hours of the day at which it happens."""
        if name == "h2":
            long = float(self.rng.uniform(2, 8))
            begin = float(self.rng.uniform(6, 23 - long))
            return begin, begin + long
        if name in ("over_capacity", "approved_surge", "over_approved", "over_current"):
            begin = float(np.clip(np.ceil(one.windows[0][0] + 0.5), 0, 20))
            return begin, begin + float(self.rng.integers(1, 4))
        return 0.0, 24.0

    def _window(self, shortest: int, longest: int, *, at_once: bool) -> tuple[int, int]:
        """Whole days, as intervals."""
        days, per_day = self.span.days, self.span.per_day
        long = int(self.rng.integers(shortest, longest + 1))
        learning = min(_LEARNING_DAYS, days // 3)
        first = int(self.rng.integers(learning, max(learning, days - long) + 1))
        if at_once and self.rng.random() < _FROM_THE_FIRST_DAY:
            first = 0
        return first * per_day, min(first + long, days) * per_day

    def _short(self, meter: str, name: str, shortest_h: float, longest_h: float) -> Incident:
        """Hours, at any time after the first day."""
        long = max(1, round(float(np.exp(self.rng.uniform(*np.log([shortest_h, longest_h])))) / self.span.hours))
        first = int(self.rng.integers(self.span.per_day, max(self.span.per_day, self.span.intervals - long) + 1))
        silent = self.rng.random() < _SILENT or name == "communication_gap"
        return Incident(meter, name, first, first + long, notes={"answers": "no" if silent else "yes"})

    def _work(self, meter: str) -> Incident:
        """Two hours of approved work in daytime."""
        day = int(self.rng.integers(self.span.days // 3, self.span.days))
        first = day * self.span.per_day + round(float(self.rng.integers(9, 16)) / self.span.hours)
        return Incident(meter, "approved_work", first, first + max(2, round(2 / self.span.hours)))
