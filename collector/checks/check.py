"""What a check is: a pure step over one frame, with its state as an argument.

``step`` gets the frame, what the registry says (``Fleet``) and a copy of the state of the frame's slots, one row
a field, which it may change. It returns the new state, what it found and what it measured. A ``SparseCheck`` reads its
state from ``Pages`` and returns a ``Change``: it remembers much only of meters at which something is at work. A step
that fails has changed nothing, and no step may look at how the rows were framed. No clock, no I/O, no logging; all
limits are settings with their provenance: [FW] public terminal firmware, [TERM] other public terminal code, [OURS]
our own choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from collector.engine.book import Change, Pages, Trail
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.store.table import Rows

Lifecycle = Literal["opened", "updated", "closed"]
Severity = Literal["info", "look", "inspect"]


@dataclass(frozen=True, slots=True)
class Energy:
    """kWh that may not have been measured, with its range."""

    low: float
    best: float
    high: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One change of one condition of one meter; ``row`` is its row in the frame."""

    row: int
    kind: str
    lifecycle: Lifecycle
    part: str  # which phase or window it is about; "" for the whole meter
    started_at: float  # ms; the id is made of it
    at: float  # ms: the reading that decided
    severity: Severity
    score: float  # 0…1
    readings: Mapping[str, float]  # what was read, quantity → value
    limits: Mapping[str, float]  # the limits in force
    facts: Mapping[str, float | str]  # figures the sentence needs
    ruled_out: tuple[str, ...] = ()
    energy: Energy | None = None
    ended_at: float | None = None
    trail: Trail = ()  # earlier readings that decided, oldest first


@dataclass(frozen=True, slots=True)
class Measured:
    """Determinants: rows of one measurement."""

    measurement: str
    slots: Rows
    at: Floats  # ms
    columns: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one step."""

    state: Floats | Change
    findings: tuple[Finding, ...] = ()
    measured: tuple[Measured, ...] = ()
    derived: Mapping[str, Floats] = field(default_factory=dict)  # columns that later checks of the frame may use
    late: tuple[int, ...] = ()  # rows with entries of a log that are not newer than those judged before


class Check(Protocol):
    """One rule over all meters."""

    @property
    def name(self) -> str:
        """Names the state in a snapshot and the check in an alarm."""
        ...

    @property
    def fields(self) -> tuple[str, ...]:
        """The state of one meter, field by field; NaN at first."""
        ...

    def concerns(self, frame: Frame) -> bool:
        """Whether the frame carries what the check needs."""
        ...

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        """Judge every row of the frame."""
        ...


@runtime_checkable
class SparseCheck(Protocol):
    """Rules over all meters that are at rest at nearly all of them."""

    @property
    def name(self) -> str:
        """Names the state in a snapshot and the check in an alarm."""
        ...

    @property
    def fields(self) -> tuple[str, ...]:
        """What is learnt of every meter; NaN at first."""
        ...

    @property
    def lanes(self) -> tuple[str, ...]:
        """Its conditions, by kind and part."""
        ...

    @property
    def exact(self) -> bool:
        """Whether what is learnt needs 64 bits."""
        ...

    def concerns(self, frame: Frame) -> bool:
        """Whether the frame carries what the check needs."""
        ...

    def step(self, frame: Frame, fleet: Fleet, state: Pages) -> Step:
        """Judge every row of the frame."""
        ...
