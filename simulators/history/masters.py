"""What the master meter of a line sees: what its customers truly draw, plus the loss of the line.

The loss at S kVA is ``fixed + linear · S + square · S²`` with figures of its own for each line, which nobody knows, and
a few percent more or less with the weather on the wires. A customer who falsifies draws what he draws: the master
sees it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulators.history.electricity import Flow
from simulators.history.noise import keys, normal
from simulators.history.population import NOMINAL_V, Population
from simulators.history.scenarios import Incident
from simulators.history.span import Span
from simulators.load_curves import Floats

_LOSS_TANGENT: Final = 0.6  # kvar of the line for each kW that it loses
_NOISE: Final = 0.003  # of the voltage
_LOSS_NOISE: Final = 0.03


class Masters:
    """The masters of a population."""

    def __init__(self, population: Population, span: Span, incidents: tuple[Incident, ...]) -> None:
        """Know which customers hang under which master."""
        lines = [population.lines[n] for n in population.masters]
        self.names = [line.master for line in lines]
        self._span = span
        self._under = (population.line_of[:, None] == np.array(population.masters, dtype=np.int64)).astype(np.float64)
        self._loss = np.array([(line.fixed_kw, line.linear, line.square) for line in lines]).T
        self._keys = [keys(population.seed, self.names, f"voltage {phase}") for phase in range(3)]
        self._loss_keys = keys(population.seed, self.names, "loss")
        self._outages = [
            (one, self.names.index(one.meter))
            for one in incidents
            if one.scenario == "line_outage" and one.meter in self.names
        ]

    def of_day(self, number: int, customers: Flow) -> Flow:
        """What flows through the masters on a day."""
        active, reactive = customers.active_kw @ self._under, customers.reactive_kvar @ self._under
        index = self._span.of_day(number)
        loss = self.loss_kw(np.hypot(active.sum(axis=0), reactive.sum(axis=0)))
        loss *= 1 + _LOSS_NOISE * normal(self._loss_keys, index // 4)
        flow = Flow(
            voltage_v=NOMINAL_V * (1.04 + _NOISE * np.stack([normal(one, index) for one in self._keys])),
            active_kw=active + loss / 3,
            reactive_kvar=reactive + _LOSS_TANGENT * loss / 3,
        )
        for one, column in self._outages:
            during = one.during(number, self._span.per_day)
            for quantity in (flow.voltage_v, flow.active_kw, flow.reactive_kvar):
                quantity[:, during, column] = 0
        return flow

    def loss_kw(self, kva: Floats) -> Floats:
        """Technical loss of the lines at an apparent power, shape (intervals, masters)."""
        fixed, linear, square = self._loss
        return np.asarray(fixed + linear * kva + square * kva**2, dtype=np.float64)
