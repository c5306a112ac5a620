"""Limits for some meters only: the same check with other settings, by the class of the meter.

A class names meters by what the registry says of them: number of phases, nominal voltage, trade. Where several
classes fit a meter, a later one is laid over an earlier one, setting by setting, and all of them over the general
limits. Meters of different classes are judged apart, each part of a frame by its own limits; the state is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from collector.checks.check import Finding, SparseCheck, Step
from collector.engine.book import Change, Pages
from collector.engine.fleet import Fleet
from collector.engine.frame import Frame
from collector.registry.records import Meter
from collector.store.table import Rows

Fits = tuple[bool, ...]
"""Which of the configured classes a meter belongs to."""


class Membership(Protocol):
    """Says whether a meter belongs to a class."""

    def fits(self, meter: Meter) -> bool:
        """Whether the class is about this meter."""
        ...


_UNKNOWN: Final = -1


class MeterClasses:
    """Which classes every slot belongs to; looked up once a slot."""

    def __init__(self, classes: Sequence[Membership]) -> None:
        self._classes = tuple(classes)
        self._of_slot: Rows = np.full(64, _UNKNOWN, np.intp)
        self.combinations: list[Fits] = [(False,) * len(self._classes)]

    def of(self, slots: Rows, fleet: Fleet) -> Rows:
        """Index into ``combinations`` for each slot; 0 is no class at all."""
        if len(slots) and int(slots.max()) >= len(self._of_slot):
            more = np.full(max(int(slots.max()) + 1, 2 * len(self._of_slot)), _UNKNOWN, np.intp)
            more[: len(self._of_slot)] = self._of_slot
            self._of_slot = more
        found = self._of_slot[slots]
        for slot in slots[found == _UNKNOWN].tolist():
            meter = fleet.meter(slot)
            fits = tuple(meter is not None and one.fits(meter) for one in self._classes)
            if fits not in self.combinations:
                self.combinations.append(fits)
            self._of_slot[slot] = self.combinations.index(fits)
        return self._of_slot[slots]


class ByClass:
    """One check under several limits."""

    def __init__(self, classes: MeterClasses, make: Callable[[Fits], SparseCheck]) -> None:
        """Judge each combination of classes by a check of its own; all have the same name and the same state."""
        self._classes = classes
        self._make = make
        general = make(classes.combinations[0])
        self._checks = {classes.combinations[0]: general}
        self._general = general
        self.name = general.name
        self.fields = general.fields
        self.lanes = general.lanes
        self.exact = general.exact

    def concerns(self, frame: Frame) -> bool:
        """As the check does."""
        return self._general.concerns(frame)

    def step(self, frame: Frame, fleet: Fleet, state: Pages) -> Step:
        """Judge the meters of each combination apart."""
        combination = self._classes.of(frame.slots, fleet)
        present = np.unique(combination).tolist()
        if len(present) == 1:
            return self._check(present[0]).step(frame, fleet, state)
        findings: list[Finding] = []
        whole = Change()
        for which in present:
            mine = combination == which
            rows = np.flatnonzero(mine)
            step = self._check(which).step(frame.only(mine), fleet, state.only(rows))
            findings += [replace(finding, row=int(rows[finding.row])) for finding in step.findings]
            if isinstance(step.state, Change):
                whole.add(step.state, rows)
        return Step(whole, tuple(findings))

    def _check(self, which: int) -> SparseCheck:
        fits = self._classes.combinations[which]
        if fits not in self._checks:
            self._checks[fits] = self._make(fits)
        return self._checks[fits]
