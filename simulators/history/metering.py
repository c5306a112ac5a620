"""One day after the other: what all meters of a history show at the end of each interval.

Registers are the running sums of what the meters report for their intervals, import and export apart, shown in
steps of 0.01 kWh. Powers and currents are means of the interval with a little unrest, as an instant has. A meter that
does not answer keeps counting. Days come in order, because a register remembers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from metering.quantity import QUANTITIES
from simulators.history.casting import cast
from simulators.history.electricity import Electricity, Flow
from simulators.history.masters import Masters
from simulators.history.noise import keys, normal, uniform
from simulators.history.population import SITE, Population, settle
from simulators.history.scenarios import Incident
from simulators.history.span import Span
from simulators.history.surroundings import Surroundings
from simulators.history.tampering import Seen, Tampering
from simulators.load_curves import Floats

_UNREST: Final = 0.02  # of an instant against the mean of its interval
_LOST: Final = 0.001  # share of the readings that are lost one by one
_REGISTER_DECIMALS: Final = 2
_OUTAGES: Final = ("site_outage", "line_outage")


@dataclass(frozen=True, slots=True)
class Day:
    """The readings of one local day, rows = intervals, columns = meters."""

    number: int
    present: npt.NDArray[np.bool_]  # whether the meter answered
    quantities: dict[str, Floats]
    events: dict[tuple[int, int], str]  # (row, column) → words
    true_kw: Floats  # what really flowed: for judges and tests, never in a file


class History:
    """A population, what happens to it, and its readings."""

    def __init__(self, seed: int, meters: int, span: Span, incidents: Sequence[Incident] | None = None) -> None:
        """Draw everything but the readings; ``incidents``, if given, stand for those that would be drawn."""
        self.span = span
        self.population: Population = settle(seed, meters)
        self.incidents = cast(self.population, span) if incidents is None else tuple(incidents)
        self.masters = Masters(self.population, span, self.incidents)
        self.names = [*self.masters.names, *self.population.names]
        surroundings = Surroundings(seed, SITE, span)
        self._electricity = Electricity(self.population, span, surroundings, self.incidents)
        self._tampering = Tampering(self.population, span, self.incidents)
        self._column = {name: n for n, name in enumerate(self.names)}
        self._unrest_keys = keys(seed, self.names, "unrest")
        self._lost_keys = keys(seed, self.names, "lost")
        lines = [self.population.lines[n] for n in self.population.masters]
        people = self.population.customers
        self._gain = np.array([*(one.gain for one in lines), *(one.gain for one in people)])
        self._start_kwh = np.array([*(one.start_kwh for one in lines), *(one.start_kwh for one in people)])

    def days(self) -> Iterator[Day]:
        """Every day from the first on."""
        registers = np.stack([self._start_kwh, np.zeros(len(self.names)), 0.3 * self._start_kwh])
        waiting = list(self._events)
        for number in range(self.span.days):
            customers = self._electricity.of_day(number)
            masters = self.masters.of_day(number, customers)
            true_kw = np.concatenate([masters.active_kw.sum(axis=0), customers.active_kw.sum(axis=0)], axis=1)
            seen = self._seen(number, masters, customers)
            counted = self._counted(seen, registers)
            registers = counted[:, -1]
            present = self._present(number)
            events, waiting = self._happened(number, present, waiting)
            yield Day(number, present, self._shown(number, seen, counted), events, true_kw)

    def _seen(self, number: int, masters: Flow, customers: Flow) -> Seen:
        """Masters first; nobody touches them."""
        touched, untouched = Seen.of(customers), Seen.of(masters)
        self._tampering.apply(number, touched)
        whole = Seen(
            *(
                np.concatenate([getattr(untouched, name), getattr(touched, name)], axis=-1)
                for name in Seen.__dataclass_fields__
            )
        )
        whole.current_a *= self._gain
        whole.active_kw *= self._gain
        whole.reactive_kvar *= self._gain
        return whole

    def _counted(self, seen: Seen, registers: Floats) -> Floats:
        """Import kWh, export kWh and import kvarh at the end of each interval, shape (3, intervals, meters)."""
        active, reactive = seen.active_kw.sum(axis=0), seen.reactive_kvar.sum(axis=0)
        hours = self.span.hours
        steps = np.stack(
            [
                np.maximum(active, 0) * hours * seen.counted + seen.jump_kwh,
                np.maximum(-active, 0) * hours,
                np.maximum(reactive, 0) * hours,
            ]
        )
        return np.asarray(registers[:, None, :] + np.cumsum(steps, axis=1), dtype=np.float64)

    def _shown(self, number: int, seen: Seen, counted: Floats) -> dict[str, Floats]:
        unrest = 1 + _UNREST * normal(self._unrest_keys, self.span.of_day(number))
        active_kw, reactive_kvar = seen.active_kw * unrest, seen.reactive_kvar * unrest
        active, reactive = active_kw.sum(axis=0), reactive_kvar.sum(axis=0)
        apparent = np.hypot(active, reactive)
        shown = {
            "active_power": active,
            "reactive_power": reactive,
            "power_factor": np.where(apparent > 0, np.abs(active) / np.where(apparent > 0, apparent, 1), 1.0),
        }
        for phase in range(3):
            shown[f"active_power_l{phase + 1}"] = active_kw[phase]
            shown[f"voltage_l{phase + 1}"] = seen.voltage_v[phase]
            shown[f"current_l{phase + 1}"] = seen.current_a[phase] * unrest
        rounded = {name: values.round(QUANTITIES[name].decimals) + 0.0 for name, values in shown.items()}  # no -0.0
        names = ("active_energy_import", "active_energy_export", "reactive_energy_import")
        return rounded | {
            name: register.round(_REGISTER_DECIMALS) for name, register in zip(names, counted, strict=True)
        }

    def _present(self, number: int) -> npt.NDArray[np.bool_]:
        present = uniform(self._lost_keys, self.span.of_day(number)) >= _LOST
        for one in self.incidents:
            if one.notes.get("answers") == "no":
                present[one.during(number, self.span.per_day), self._column[one.meter]] = False
        return present

    @cached_property
    def _events(self) -> list[tuple[int, int, str]]:
        """Interval, column and word of every meter event, by interval."""
        found: list[tuple[int, str, str]] = []
        for one in self.incidents:
            if one.scenario in _OUTAGES:
                found += [(one.first, one.meter, "power_failed"), (one.last, one.meter, "power_restored")]
            elif one.scenario == "approved_work":
                found += [(one.first, one.meter, "cover_opened"), (one.last - 1, one.meter, "cover_closed")]
            elif one.scenario == "opened_and_reduced":
                event = str(one.notes["event"])
                found.append((one.first, one.meter, event))
                if event.endswith("opened"):
                    found.append((one.first + 1, one.meter, event.replace("opened", "closed")))
        return sorted((interval, self._column[meter], word) for interval, meter, word in found)

    def _happened(
        self, number: int, present: npt.NDArray[np.bool_], waiting: list[tuple[int, int, str]]
    ) -> tuple[dict[tuple[int, int], str], list[tuple[int, int, str]]]:
        """The events of a day at the first reading from each on, and those that no reading of the day could carry."""
        begin, end = number * self.span.per_day, (number + 1) * self.span.per_day
        events: dict[tuple[int, int], str] = {}
        still: list[tuple[int, int, str]] = []
        for interval, column, word in waiting:
            first = max(interval - begin, 0)
            if interval >= end or not present[first:, column].any():
                still.append((interval, column, word))
                continue
            place = (first + int(present[first:, column].argmax()), column)
            events[place] = f"{events[place]} {word}" if place in events else word
        return events, still
