"""The rules on what a meter says about itself (``metering/meter_event.py``): any such event is a finding.

    cover_opened, terminal_cover_opened                      开盖 (301B, 301C)   until it is closed again       [FW]
    magnetic_field, clock_set, programmed, registers_cleared  302A, 3016, 3012, 3013     over in an instant     [FW]
    outage                                                    停电 (3106)         power_failed … power_restored  [FW]

Inside an approved work order of the registry nothing is said, except of outages. A strong magnetic field decides
alone ("inspect"); everything else is what electricians do, and a person looks whether one was there. Cleared registers
show themselves as ``register_fell``, too; whether consumption drops in the weeks after is asked elsewhere. An outage by
the log has the part ``log``, because the voltages may show the same outage as a finding of their own.

A log has an order of its own. Its entries are read a quarter of an hour after they happened, or a day, when readings
have long gone on. So no rule here looks at a reading, and an entry is late only if it is not newer than the newest one
of its *meter's log* that was judged. Such entries are named (``Step.late``), and the log is judged anew from the store,
which costs its few entries and no reading. A routine entry thus costs one comparison, and one that is read twice, late
or in another order ends as if it had come once and in time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from collector.checks.check import Finding, Severity, Step
from collector.engine.book import Change, Pages
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.latch import LANE_FIELDS
from collector.registry.registry import milliseconds
from metering.meter_event import MeterEvent
from metering.round import Quality

_KINDS: Final[dict[MeterEvent, tuple[str, str, Severity]]] = {  # what begins it → kind, part, severity
    MeterEvent.COVER_OPENED: ("cover_opened", "", "look"),
    MeterEvent.TERMINAL_COVER_OPENED: ("terminal_cover_opened", "", "look"),
    MeterEvent.MAGNETIC_FIELD: ("magnetic_field", "", "inspect"),
    MeterEvent.CLOCK_SET: ("clock_set", "", "look"),
    MeterEvent.PROGRAMMED: ("programmed", "", "look"),
    MeterEvent.REGISTERS_CLEARED: ("registers_cleared", "", "look"),
    MeterEvent.POWER_FAILED: ("outage", "log", "info"),
}
_ENDS: Final = {
    MeterEvent.COVER_CLOSED: MeterEvent.COVER_OPENED,
    MeterEvent.TERMINAL_COVER_CLOSED: MeterEvent.TERMINAL_COVER_OPENED,
    MeterEvent.POWER_RESTORED: MeterEvent.POWER_FAILED,
}
_FINDINGS: Final = frozenset((kind, part) for kind, part, _ in _KINDS.values())
_OPENED_AT: Final = LANE_FIELDS.index("opened_at")


def of_the_log(kind: str, part: str) -> bool:
    """Whether a finding is one of these rules."""
    return (kind, part) in _FINDINGS


class MeterLog:
    """Findings from the event logs of meters."""

    name = "meter_log"
    fields = ("event_at",)
    lanes = tuple(kind for kind, _, _ in _KINDS.values())
    exact = True

    def concerns(self, frame: Frame) -> bool:
        """Frames with entries."""
        return bool(frame.meter_events)

    def step(self, frame: Frame, fleet: Fleet, state: Pages) -> Step:
        """Open and end findings."""
        change = Change()
        rows = np.array(sorted(frame.meter_events), np.intp)
        new = ~(frame.at[rows] <= state.learnt("event_at")[rows])
        late, rows = tuple(rows[~new].tolist()), rows[new]
        lanes = state.lanes(rows)
        findings: list[Finding] = []
        for i, row in enumerate(rows.tolist()):
            findings += _OneMeter(frame, fleet, row, lanes[:, :, i]).said(frame.meter_events[row])
        change.learnt.append(("event_at", rows, frame.at[rows]))
        change.rows, change.lanes = rows, lanes
        change.at_work = ~np.isnan(lanes[_OPENED_AT]).all(axis=0)
        return Step(change, tuple(findings), late=late)


class _OneMeter:
    """The lanes of one meter, and when its entries happened."""

    def __init__(self, frame: Frame, fleet: Fleet, row: int, lanes: Floats) -> None:
        self._row = row
        self._at = float(frame.at[row])
        self._quality = int(frame.quality[row])
        self._meter = fleet.series[int(frame.slots[row])].meter
        self._fleet = fleet
        self._lanes = lanes  # changed in place

    def said(self, events: tuple[MeterEvent, ...]) -> Iterable[Finding]:
        """Findings that events of one instant open or end, beginnings before ends."""
        for event in sorted(events, key=list(MeterEvent).index):
            begins = _ENDS.get(event, event)
            i = list(_KINDS).index(begins)
            opened_at = float(self._lanes[_OPENED_AT, i])
            is_open = not np.isnan(opened_at)
            if event in _ENDS:
                if is_open:
                    self._lanes[_OPENED_AT, i] = np.nan
                    yield self._finding(event, opened_at, self._at)
            elif not is_open and (event is MeterEvent.POWER_FAILED or not self._approved()):
                yield self._finding(event, self._at, None)
                if event in _ENDS.values():
                    self._lanes[_OPENED_AT, i] = self._at
                else:
                    yield self._finding(event, self._at, self._at)

    def _approved(self) -> bool:
        orders = self._fleet.registry.work_orders_of(self._meter)
        return any(milliseconds(one.starts_at) <= self._at < milliseconds(one.ends_at) for one in orders)

    def _finding(self, event: MeterEvent, started_at: float, ended_at: float | None) -> Finding:
        kind, part, severity = _KINDS[_ENDS.get(event, event)]
        doubtful = {"meter_clock_off": 1.0} if self._quality & Quality.METER_CLOCK_OFF else {}
        return Finding(
            row=self._row,
            kind=kind,
            lifecycle="opened" if ended_at is None else "closed",
            part=part,
            started_at=started_at,
            at=self._at,
            severity=severity,
            score=0.9 if severity == "inspect" else 0.5,
            readings={"quality": float(self._quality)} if self._quality else {},
            limits={"events": 1.0},
            facts={"minutes": (self._at - started_at) / 60_000} | doubtful,
            ruled_out=() if kind == "outage" else ("approved_work_order",),
            ended_at=ended_at,
        )
