"""``process(frame)``: the only way engine state changes.

Checks run in a fixed order over each frame; a derived column of one is there for the next. The same rounds give
the same events with the same ids, whether they come alone or beside other gateways' rounds, live or replayed.

A bug in a check never stops storage. If a step fails over a frame of several gateways, it runs again gateway by
gateway, and is switched off for the one that fails; the others never notice. A step that fails has changed nothing.
State is a cache: ``snapshot`` and ``restore`` are bytes, and losing them costs a replay, not data.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from collector.checks.check import Check, Measured, SparseCheck, Step
from collector.engine.book import Book
from collector.engine.fleet import Fleet
from collector.engine.frame import Frame
from collector.engine.state import Matrix
from collector.events.event import Event
from collector.events.evidence import event_of
from collector.store.table import DECIMALS, Mask, Table, scaled


@dataclass(frozen=True, slots=True)
class Switched:
    """A check was switched off for one gateway."""

    check: str
    gateway: str
    reason: str


@dataclass(slots=True)
class Outcome:
    """What some frames led to."""

    events: list[Event] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    switched: list[Switched] = field(default_factory=list)
    late_entries: dict[str, int] = field(default_factory=dict)  # gateway → oldest entry of a log that came late, ms


class _Snapshot(msgspec.Struct, frozen=True):
    version: str
    meters: tuple[str, ...]
    checks: dict[str, tuple[tuple[str, ...], bytes]]  # name → form and content of its state
    off: tuple[str, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Snapshot).decode


class Engine:
    """All checks over all meters."""

    def __init__(self, fleet: Fleet, checks: Sequence[Check | SparseCheck], configuration: str, version: str) -> None:
        """Run these checks, in this order.

        Args:
            fleet: slots, ratings, calendars.
            checks: a check may use columns that an earlier one derived.
            configuration: names registry and limits in force; every event carries it.
            version: of the program; a check that was switched off is tried again by another version.
        """
        self.fleet = fleet
        self._checks = tuple(checks)
        self._state = {check.name: _state_of(check) for check in checks}
        self._off: dict[str, set[str]] = {}  # gateway → checks
        self._configuration = configuration
        self._version = version

    def process(self, frame: Frame) -> Outcome:
        """Judge one frame; its rows are newer than all rows of the same gateways before."""
        outcome = Outcome()
        for check in self._checks:
            if not check.concerns(frame):
                continue
            rows = self._switched_on(check, frame) if self._off else None
            if rows is not None and not rows.any():
                continue
            judged = frame if rows is None else frame.only(rows)
            try:
                step = self._step(check, judged)
                self._take(check, judged, step, outcome)
            except Exception:  # noqa: BLE001 - whatever a check does wrong, it must not stop the others
                every = np.ones(len(frame), np.bool_)
                self._one_by_one(check, frame, every if rows is None else rows, outcome)
            else:
                _derive(frame, rows, step)
        return outcome

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of all checks, in their order."""
        return tuple(self._state)

    def fork(self) -> Engine:
        """The same checks over the same meters, without any state: to judge again what was judged."""
        return Engine(self.fleet, self._checks, self._configuration, self._version)

    def snapshot(self, gateway: str) -> bytes:
        """The state of all meters of one gateway."""
        slots = self.fleet.of_gateway(gateway)
        states = {name: (state.form, state.dump(slots)) for name, state in self._state.items()}
        off = tuple(sorted(self._off.get(gateway, ())))
        return _encode(_Snapshot(self._version, self.fleet.meters_of(gateway), states, off))

    def restore(self, gateway: str, snapshot: bytes, of: Collection[str] | None = None) -> tuple[str, ...]:
        """Take up a snapshot; return the checks that start anew because their state has changed its form.

        Args:
            gateway: whose meters.
            snapshot: as ``snapshot`` gave it.
            of: the checks whose state is taken up, all others keep theirs; ``None``: all checks.

        Raises:
            ValueError: the bytes are not a snapshot.
        """
        try:
            saved = _decode(snapshot)
            anew = []
            slots = self.fleet.slots(gateway, saved.meters) if saved.meters else np.empty(0, np.intp)
            for name, state in self._state.items():
                if of is not None and name not in of:
                    continue
                form, data = saved.checks.get(name, ((), b""))
                if form != state.form:
                    anew.append(name)
                    continue
                state.load(slots, data)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not a snapshot: {error}") from error
        if saved.version == self._version and saved.off:
            kept = set() if of is None else self._off.get(gateway, set()) - set(of)
            self._off[gateway] = kept | (set(saved.off) if of is None else set(saved.off) & set(of))
        return tuple(anew)

    def _step(self, check: Check | SparseCheck, frame: Frame) -> Step:
        state = self._state[check.name].gather(frame.chosen)
        with np.errstate(all="ignore"):  # NaN is "unknown" here, and every rule treats it so
            return check.step(frame, self.fleet, state)  # type: ignore[arg-type]  # each its own, as _state_of says

    def _take(self, check: Check | SparseCheck, frame: Frame, step: Step, outcome: Outcome) -> None:
        events = [
            event_of(finding, self.fleet, int(frame.slots[finding.row]), self._configuration)
            for finding in step.findings
        ]
        tables = [self._table(measured) for measured in step.measured]
        self._state[check.name].scatter(frame.chosen, step.state)  # type: ignore[arg-type]
        outcome.events += events
        outcome.tables += tables
        for row in step.late:
            gateway, at = self.fleet.series[int(frame.slots[row])].gateway, int(frame.at[row])
            outcome.late_entries[gateway] = min(outcome.late_entries.get(gateway, at), at)

    def _table(self, measured: Measured) -> Table:
        columns = tuple(
            scaled(name, 0 if name.endswith("_at") else DECIMALS, values) for name, values in measured.columns.items()
        )
        at = np.rint(measured.at).astype(np.int64)
        return Table(measured.measurement, self.fleet.series, measured.slots, at, columns)

    def _switched_on(self, check: Check | SparseCheck, frame: Frame) -> Mask:
        """Which rows belong to gateways for which the check is on."""
        rows = np.ones(len(frame), np.bool_)
        for gateway, checks in self._off.items():
            if check.name in checks:
                rows &= ~np.isin(frame.slots, self.fleet.of_gateway(gateway))
        return rows

    def _one_by_one(self, check: Check | SparseCheck, frame: Frame, rows: Mask, outcome: Outcome) -> None:
        gateways = np.array([self.fleet.series[slot].gateway for slot in frame.slots])
        for gateway in dict.fromkeys(gateways[rows].tolist()):
            own = rows & (gateways == gateway)
            part = frame.only(own)
            try:
                step = self._step(check, part)
                self._take(check, part, step, outcome)
                _derive(frame, own, step)
            except Exception as error:  # noqa: BLE001 - the name of the error goes into the alarm
                self._off.setdefault(gateway, set()).add(check.name)
                outcome.switched.append(Switched(check.name, gateway, f"{type(error).__name__}: {error}"))


def _state_of(check: Check | SparseCheck) -> Matrix | Book:
    if isinstance(check, SparseCheck):
        return Book(check.fields, check.lanes, exact=check.exact)
    return Matrix(check.fields)


def _derive(frame: Frame, rows: Mask | None, step: Step) -> None:
    """Add derived columns to the frame, NaN for the rows that were not judged (None: all were)."""
    if rows is None:
        frame.columns.update(step.derived)
        return
    for name, values in step.derived.items():
        column = frame.columns.setdefault(name, np.full(len(frame), np.nan))
        column[rows] = values
