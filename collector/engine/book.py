"""State of a check that is mostly at rest: a few learnt figures for every slot, lanes only for slots at work.

A *lane* is one condition of one part of a meter (voltage loss on L2). It has something to remember only while the
condition is pending or open. Then the slot gets an *entry* with all lanes of the check, and gives it back when all of
them are at rest again: a fleet in which nothing happens costs no state and no work. Learnt figures are kept in the
type the check asks for, in memory as in a snapshot, so that a restart changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from collector.engine.fleet import Floats
from collector.engine.latch import LANE_FIELDS
from collector.engine.state import Chosen
from collector.store.table import Mask, Rows

Trail = tuple[tuple[float, dict[str, float]], ...]
"""Readings that are evidence, oldest first: ms, quantity → value."""

_NONE: Final = -1


@dataclass(slots=True)
class Change:
    """What a step wants to be remembered; nothing is until the engine applies it.

    Learnt values are one a row, or a matrix for the named field and those after it.
    """

    learnt: list[tuple[str, Rows | slice, npt.NDArray[Any]]] = field(default_factory=list)  # field, rows, values
    rows: Rows | None = None  # of the frame, for which ``lanes`` are new
    lanes: Floats | None = None  # field × lane × row
    at_work: Mask | None = None  # which of the rows keep their entry
    trails: dict[int, Trail] = field(default_factory=dict)  # row → its trail

    def add(self, part: Change, rows: Rows) -> None:
        """Take over what a step over some ``rows`` of the frame wants to be remembered."""
        self.learnt += [(name, rows[where], values) for name, where, values in part.learnt]
        self.trails |= {int(rows[row]): trail for row, trail in part.trails.items()}
        if part.rows is None or part.lanes is None or part.at_work is None:
            return
        if self.rows is None or self.lanes is None or self.at_work is None:
            self.rows, self.lanes, self.at_work = rows[part.rows], part.lanes, part.at_work
            return
        self.rows = np.concatenate([self.rows, rows[part.rows]])
        self.lanes = np.concatenate([self.lanes, part.lanes], axis=2)
        self.at_work = np.concatenate([self.at_work, part.at_work])


class Pages:
    """The part of a book that a frame is about; for reading."""

    def __init__(self, book: Book, slots: Chosen) -> None:
        self._book = book
        self._slots = slots
        self.entries = book.entries[slots]
        self.at_work: Mask = self.entries != _NONE

    def only(self, rows: Rows) -> Pages:
        """The pages of some rows."""
        return Pages(self._book, _slots_of(self._slots, rows))

    def learnt(self, name: str) -> npt.NDArray[Any]:
        """One figure a row, NaN at first; not to be changed."""
        found: npt.NDArray[Any] = self._book.learnt[self._book.fields.index(name), self._slots]
        return found

    def learnt_of(self, first: str, rows: int) -> npt.NDArray[Any]:
        """Several fields that stand side by side, one row each; not to be changed."""
        start = self._book.fields.index(first)
        found: npt.NDArray[Any] = self._book.learnt[start : start + rows, self._slots]
        return found

    def lanes(self, rows: Rows) -> Floats:
        """The lanes of some rows, field × lane × row: a copy, NaN where nothing is at work."""
        found = np.full((len(rows), *self._book.pool.shape[1:]), np.nan)
        entries = self.entries[rows]
        known = entries != _NONE
        found[known] = self._book.pool[entries[known]]
        return found.transpose(1, 2, 0)

    def trail(self, row: int) -> Trail:
        """What was kept as evidence for a row."""
        slot = self._slots.start + row if isinstance(self._slots, slice) else int(self._slots[row])
        return self._book.trails.get(slot, ())


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    meter: int  # place in the gateway's list of meters
    places: list[int]  # in the lanes, flattened
    values: list[float]
    trail: list[tuple[float, dict[str, float]]]


class _Saved(msgspec.Struct, array_like=True, frozen=True):
    learnt: bytes
    entries: list[_Entry]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Saved).decode


class Book:
    """All slots' state of one check."""

    def __init__(self, fields: Sequence[str], lanes: Sequence[str], *, exact: bool) -> None:
        """Nothing is known yet.

        Args:
            fields: what is learnt of every slot; NaN at first.
            lanes: conditions by name.
            exact: learnt figures are 64-bit floats (registers, instants), else 32-bit.
        """
        self.fields = tuple(fields)
        self._lanes = tuple(lanes)
        self._dtype = np.dtype("<f8" if exact else "<f4")
        self.learnt: npt.NDArray[Any] = np.full((len(self.fields), 64), np.nan, self._dtype)
        self.entries = np.full(64, _NONE, np.int32)
        self.pool: Floats = np.full((16, len(LANE_FIELDS), len(self._lanes)), np.nan)
        self.trails: dict[int, Trail] = {}
        self._free = list(range(15, -1, -1))

    @property
    def form(self) -> tuple[str, ...]:
        """Names everything in a snapshot: another form cannot be taken up."""
        return (self._dtype.str, *self.fields, "|", *LANE_FIELDS, "|", *self._lanes)

    def gather(self, slots: Chosen) -> Pages:
        """What is known of some slots."""
        self._reach(slots)
        return Pages(self, slots)

    def scatter(self, slots: Chosen, change: Change) -> None:
        """Apply what a step over these slots wants to be remembered."""
        for name, rows, values in change.learnt:
            first = self.fields.index(name)
            lines = self.learnt[first : first + len(values)] if values.ndim > 1 else self.learnt[first]
            lines[..., slots if isinstance(rows, slice) else _slots_of(slots, rows)] = values
        if change.rows is not None and change.lanes is not None and change.at_work is not None:
            self._keep(_slots_of(slots, change.rows), change.lanes.transpose(2, 0, 1), change.at_work)
            for row, trail in change.trails.items():
                slot = int(_slots_of(slots, np.array([row]))[0])
                if self.entries[slot] != _NONE:
                    self.trails[slot] = trail

    def dump(self, slots: Rows) -> bytes:
        """The state of some slots."""
        self._reach(slots)
        entries = []
        for place in np.flatnonzero(self.entries[slots] != _NONE).tolist():
            slot = int(slots[place])
            lanes = self.pool[self.entries[slot]].ravel()
            places = np.flatnonzero(~np.isnan(lanes))
            entries.append(_Entry(place, places.tolist(), lanes[places].tolist(), list(self.trails.get(slot, ()))))
        return _encode(_Saved(self.learnt[:, slots].tobytes(), entries))

    def load(self, slots: Rows, data: bytes) -> None:
        """Take up what ``dump`` gave."""
        saved = _decode(data)
        self._reach(slots)
        self.learnt[:, slots] = np.frombuffer(saved.learnt, self._dtype).reshape(len(self.fields), len(slots))
        for slot in slots[self.entries[slots] != _NONE].tolist():
            self._release(slot)
        for entry in saved.entries:
            slot = int(slots[entry.meter])
            lanes = np.full(self.pool[0].size, np.nan)
            lanes[entry.places] = entry.values
            self._keep(np.array([slot]), lanes.reshape(1, *self.pool.shape[1:]), np.ones(1, np.bool_))
            if entry.trail:
                self.trails[slot] = tuple(entry.trail)

    def _keep(self, slots: Rows, lanes: Floats, at_work: Mask) -> None:
        entries = self.entries[slots]
        for slot in slots[~at_work & (entries != _NONE)].tolist():
            self._release(slot)
        for slot in slots[at_work & (entries == _NONE)].tolist():
            if not self._free:
                have = len(self.pool)
                self.pool = np.concatenate([self.pool, np.full_like(self.pool, np.nan)])
                self._free = list(range(2 * have - 1, have - 1, -1))
            self.entries[slot] = self._free.pop()
        self.pool[self.entries[slots[at_work]]] = lanes[at_work]

    def _release(self, slot: int) -> None:
        self._free.append(int(self.entries[slot]))
        self.entries[slot] = _NONE
        self.trails.pop(slot, None)

    def _reach(self, slots: Chosen) -> None:
        needed = slots.stop if isinstance(slots, slice) else int(slots.max()) + 1 if len(slots) else 0
        have = len(self.entries)
        if needed > have:
            more = max(needed, 2 * have) - have
            self.learnt = np.hstack([self.learnt, np.full((len(self.fields), more), np.nan, self._dtype)])
            self.entries = np.concatenate([self.entries, np.full(more, _NONE, np.int32)])


def _slots_of(slots: Chosen, rows: Rows) -> Rows:
    return slots.start + rows if isinstance(slots, slice) else slots[rows]
