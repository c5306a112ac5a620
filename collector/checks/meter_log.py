"""The rules on what a meter says about itself (``metering/meter_event.py``): any such event is a finding.

    cover_opened, terminal_cover_opened                      开盖 (301B, 301C)   until it is closed again       [FW]
    magnetic_field, clock_set, programmed, registers_cleared  302A, 3016, 3012, 3013                           [FW]
    outage                                                    停电 (3106)         power_failed … power_restored  [FW]

Inside an approved work order of the registry nothing is said, except of outages. An event is over in an instant; what
matters is what the registers show before and after. So a finding that has no end of its own ends with the next reading
of the import register, and carries both. Whether consumption drops in the weeks after is asked elsewhere.

A strong magnetic field decides alone ("inspect"); everything else is what electricians do, and a person looks whether
one was there. Cleared registers show themselves as ``register_fell``, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from collector.checks.check import Finding, Severity, Step
from collector.checks.register_difference import REGISTER
from collector.engine.book import Change, Pages
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.latch import LANE_FIELDS
from collector.registry.registry import milliseconds
from metering.meter_event import MeterEvent

_KINDS: Final[dict[MeterEvent, tuple[str, Severity]]] = {
    MeterEvent.COVER_OPENED: ("cover_opened", "look"),
    MeterEvent.TERMINAL_COVER_OPENED: ("terminal_cover_opened", "look"),
    MeterEvent.MAGNETIC_FIELD: ("magnetic_field", "inspect"),
    MeterEvent.CLOCK_SET: ("clock_set", "look"),
    MeterEvent.PROGRAMMED: ("programmed", "look"),
    MeterEvent.REGISTERS_CLEARED: ("registers_cleared", "look"),
    MeterEvent.POWER_FAILED: ("outage", "info"),
}
_ENDS: Final = {
    MeterEvent.COVER_CLOSED: MeterEvent.COVER_OPENED,
    MeterEvent.TERMINAL_COVER_CLOSED: MeterEvent.TERMINAL_COVER_OPENED,
    MeterEvent.POWER_RESTORED: MeterEvent.POWER_FAILED,
}
_OPENED_AT: Final = LANE_FIELDS.index("opened_at")
_BEFORE: Final = LANE_FIELDS.index("kwh")  # the register before the event


class MeterLog:
    """Findings from the event logs of meters."""

    name = "meter_log"
    fields = ("event_at", "register_at", "register_kwh")
    lanes = tuple(kind for kind, _ in _KINDS.values())
    exact = True

    def concerns(self, frame: Frame) -> bool:
        """Frames with events, or with registers to show beside them."""
        return bool(frame.meter_events) or REGISTER in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Pages) -> Step:
        """Open and end findings; remember the last register."""
        change = Change()
        register = frame.columns.get(REGISTER)
        read = np.zeros(len(frame), np.bool_)
        if register is not None:
            read = ~(frame.at <= state.learnt("register_at")) & ~np.isnan(register)
            every = bool(read.all())
            change.learnt += [
                (
                    "register_at",
                    slice(None),
                    frame.at if every else np.where(read, frame.at, state.learnt("register_at")),
                ),
                (
                    "register_kwh",
                    slice(None),
                    register if every else np.where(read, register, state.learnt("register_kwh")),
                ),
            ]
        events = [(row, said) for row, said in frame.meter_events.items() if self._is_new(frame, state, row)]
        rows = np.unique([*np.flatnonzero(state.at_work & read).tolist(), *(row for row, _ in events)]).astype(np.intp)
        if not len(rows):
            return Step(change)
        lanes = state.lanes(rows)
        findings: list[Finding] = []
        said = dict(events)
        for i, row in enumerate(rows.tolist()):
            now_kwh = float(register[row]) if register is not None and read[row] else float("nan")
            one = _OneMeter(frame, fleet, row, lanes[:, :, i], float(state.learnt("register_kwh")[row]), now_kwh)
            findings += one.ended_by_reading()
            findings += one.said(said.get(row, ()))
        times = [float(frame.at[row]) for row, _ in events]
        if events:
            change.learnt.append(("event_at", np.array([row for row, _ in events], np.intp), np.array(times)))
        change.rows, change.lanes = rows, lanes
        change.at_work = ~np.isnan(lanes[_OPENED_AT]).all(axis=0)
        return Step(change, tuple(findings))

    @staticmethod
    def _is_new(frame: Frame, state: Pages, row: int) -> bool:
        return not frame.at[row] <= state.learnt("event_at")[row]


class _OneMeter:
    """The lanes of one meter, and what is read now."""

    def __init__(self, frame: Frame, fleet: Fleet, row: int, lanes: Floats, before_kwh: float, now_kwh: float) -> None:
        self._row = row
        self._at = float(frame.at[row])
        self._meter = fleet.series[int(frame.slots[row])].meter
        self._fleet = fleet
        self._lanes = lanes  # changed in place
        self._before_kwh = before_kwh
        self._now_kwh = now_kwh

    def ended_by_reading(self) -> Iterable[Finding]:
        """Findings that only waited for the registers after the event."""
        if np.isnan(self._now_kwh):
            return
        for i, event in enumerate(_KINDS):
            opened_at = float(self._lanes[_OPENED_AT, i])
            if event not in _ENDS.values() and opened_at < self._at:
                yield self._finding(i, opened_at, self._at)

    def said(self, events: tuple[MeterEvent, ...]) -> Iterable[Finding]:
        """Findings that events open or end."""
        for event in events:
            begins = _ENDS.get(event, event)
            i = list(_KINDS).index(begins)
            opened_at = float(self._lanes[_OPENED_AT, i])
            is_open = not np.isnan(opened_at)
            if event in _ENDS:
                if is_open:
                    yield self._finding(i, opened_at, self._at)
            elif not is_open and (event is MeterEvent.POWER_FAILED or not self._approved()):
                self._lanes[_OPENED_AT, i] = self._at
                self._lanes[_BEFORE, i] = self._before_kwh
                yield self._finding(i, self._at, None)

    def _approved(self) -> bool:
        orders = self._fleet.registry.work_orders_of(self._meter)
        return any(milliseconds(one.starts_at) <= self._at < milliseconds(one.ends_at) for one in orders)

    def _finding(self, i: int, started_at: float, ended_at: float | None) -> Finding:
        kind, severity = list(_KINDS.values())[i]
        before_kwh = float(self._lanes[_BEFORE, i])
        readings = {}
        if not np.isnan(before_kwh):
            readings["register_before"] = before_kwh
        if ended_at is not None:
            if not np.isnan(self._now_kwh):
                readings["register_after"] = self._now_kwh
            self._lanes[_OPENED_AT, i] = np.nan
            self._lanes[_BEFORE, i] = np.nan
        return Finding(
            row=self._row,
            kind=kind,
            lifecycle="opened" if ended_at is None else "closed",
            part="",
            started_at=started_at,
            at=self._at,
            severity=severity,
            score=0.9 if severity == "inspect" else 0.5,
            readings=readings,
            limits={"events": 1.0},
            facts={"minutes": (self._at - started_at) / 60_000},
            ruled_out=() if kind == "outage" else ("approved_work_order",),
            ended_at=ended_at,
        )
