"""The rules on what a meter says about itself (``metering/meter_event.py``): any such event is a finding.

    cover_opened, terminal_cover_opened                      开盖 (301B, 301C)   until it is closed again       [FW]
    magnetic_field, clock_set, programmed, registers_cleared  302A, 3016, 3012, 3013                           [FW]
    outage                                                    停电 (3106)         power_failed … power_restored  [FW]

Inside an approved work order of the registry nothing is said, except of outages. An event is over in an instant; what
matters is what the registers show before and after. So a finding that has no end of its own ends with the next
reading of the import register (as ``register_difference`` believes it), and carries both. Whether consumption drops
in the weeks after is asked elsewhere.

A strong magnetic field decides alone ("inspect"); everything else is what electricians do, and a person looks whether
one was there. Cleared registers show themselves as ``register_fell``, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from collector.checks.check import Finding, Severity, Step
from collector.checks.register_difference import IMPORT
from collector.engine.book import Change, Pages
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.latch import LANE_FIELDS
from collector.registry.registry import milliseconds
from collector.store.table import Mask
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


class MeterLog:
    """Findings from the event logs of meters."""

    name = "meter_log"
    fields = ("event_at",)
    lanes = tuple(kind for kind, _ in _KINDS.values())
    exact = True

    def concerns(self, frame: Frame) -> bool:
        """Frames with events, or with registers to show beside them."""
        return bool(frame.meter_events) or "import_kwh" in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Pages) -> Step:
        """Open and end findings."""
        change = Change()
        said = {row: events for row, events in frame.meter_events.items() if self._is_new(frame, state, row)}
        waiting = np.flatnonzero(state.at_work & _read(frame)).tolist() if state.at_work.any() else []
        rows = np.array(sorted({*said, *waiting}), np.intp)
        if not len(rows):
            return Step(change)
        lanes = state.lanes(rows)
        findings: list[Finding] = []
        for i, row in enumerate(rows.tolist()):
            one = _OneMeter(frame, fleet, row, lanes[:, :, i])
            findings += one.ended_by_reading()
            findings += one.said(said.get(row, ()))
        if said:
            with_events = np.array(list(said), np.intp)
            change.learnt.append(("event_at", with_events, frame.at[with_events]))
        change.rows, change.lanes = rows, lanes
        change.at_work = ~np.isnan(lanes[_OPENED_AT]).all(axis=0)
        return Step(change, tuple(findings))

    @staticmethod
    def _is_new(frame: Frame, state: Pages, row: int) -> bool:
        return not frame.at[row] <= state.learnt("event_at")[row]


def _read(frame: Frame) -> Mask:
    """Rows with a new reading of the import register."""
    kwh = frame.columns.get("import_kwh")
    return np.zeros(len(frame), np.bool_) if kwh is None else ~np.isnan(kwh)


class _OneMeter:
    """The lanes of one meter, and what is read now."""

    def __init__(self, frame: Frame, fleet: Fleet, row: int, lanes: Floats) -> None:
        self._row = row
        self._at = float(frame.at[row])
        self._meter = fleet.series[int(frame.slots[row])].meter
        self._fleet = fleet
        self._lanes = lanes  # changed in place
        read = IMPORT.quantity in frame.columns and "import_kwh" in frame.columns
        self._now_kwh = float(frame.columns[IMPORT.quantity][row]) if read else float("nan")
        self._before_kwh = self._now_kwh - float(frame.columns["import_kwh"][row]) if read else float("nan")

    def ended_by_reading(self) -> Iterable[Finding]:
        """Findings that only waited for the registers after the event."""
        if np.isnan(self._before_kwh):
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
                yield self._finding(i, self._at, None)

    def _approved(self) -> bool:
        orders = self._fleet.registry.work_orders_of(self._meter)
        return any(milliseconds(one.starts_at) <= self._at < milliseconds(one.ends_at) for one in orders)

    def _finding(self, i: int, started_at: float, ended_at: float | None) -> Finding:
        kind, severity = list(_KINDS.values())[i]
        readings = {"register_before": self._before_kwh, "register_after": self._now_kwh}
        if ended_at is not None:
            self._lanes[_OPENED_AT, i] = np.nan
        return Finding(
            row=self._row,
            kind=kind,
            lifecycle="opened" if ended_at is None else "closed",
            part="",
            started_at=started_at,
            at=self._at,
            severity=severity,
            score=0.9 if severity == "inspect" else 0.5,
            readings={name: value for name, value in readings.items() if not np.isnan(value)},
            limits={"events": 1.0},
            facts={"minutes": (self._at - started_at) / 60_000},
            ruled_out=() if kind == "outage" else ("approved_work_order",),
            ended_at=ended_at,
        )
