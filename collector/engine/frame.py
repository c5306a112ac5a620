"""Rounds of one layout, side by side: the vector that is encoded, and the frames that are judged.

A ``Block`` holds all rounds of a commit that have the same columns, wave by wave: wave k holds at most one round
of each gateway. A ``Frame`` is one wave of a block: every slot occurs at most once in it, so that state can be
gathered and scattered by slot, and the rounds of a gateway are judged in their order. Frames are views.
How rounds are framed must not matter to a check: it judges rows by their time and their values alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from collector.engine.fleet import Fleet, Floats
from collector.engine.state import Chosen, chosen
from collector.store.table import LOAD_PROFILE, READING, Ints, Mask, Rows, Scaled, Table
from metering.meter_event import MeterEvent
from metering.round import FAILED, NULL, Origin, Quality, Round

Bits = npt.NDArray[np.uint32]
Layout = tuple[Origin, str, int, tuple[tuple[str, int], ...]]


def layout_of(content: Round) -> Layout:
    """Rounds of equal layout can stand in one block."""
    return content.origin, content.group, content.period_ms, tuple((c.quantity, c.decimals) for c in content.columns)


@dataclass(frozen=True, slots=True)
class Frame:
    """One wave of a block; row i belongs to slot ``slots[i]``."""

    slots: Rows
    at: Floats  # ms since 1970 UTC
    quality: Bits
    period_ms: int
    columns: dict[str, Floats] = field(repr=False)  # in the unit of the quantity, NaN = no value
    meter_events: Mapping[int, tuple[MeterEvent, ...]] = field(default_factory=dict)  # row → what its log says
    origin: Origin = Origin.LIVE
    chosen: Chosen = field(init=False, repr=False)  # the slots as state matrices like them best
    _phases: dict[str, Floats | None] = field(default_factory=dict, init=False, repr=False)
    shared: dict[str, Any] = field(default_factory=dict, init=False, repr=False)  # what several checks compute once

    def __post_init__(self) -> None:
        object.__setattr__(self, "chosen", chosen(self.slots))

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def reads(self) -> bool:
        """Whether meters were read; a frame with entries of their logs and without a column is of the logs alone."""
        return bool(self.columns) or not self.meter_events

    def values(self, quantity: str) -> Floats | None:
        """One value a row, or ``None`` if the rounds do not carry the quantity."""
        return self.columns.get(quantity)

    def phases(self, quantity: str) -> Floats | None:
        """``quantity_l1`` … ``_l3`` as a matrix of three rows, NaN where one is missing; ``None`` if all are."""
        if quantity not in self._phases:
            found = [self.columns.get(f"{quantity}_l{phase}") for phase in (1, 2, 3)]
            carried = [one for one in found if one is not None]
            if 0 < len(carried) < len(found):
                missing = np.full(len(self), np.nan)
                carried = [missing if one is None else one for one in found]
            self._phases[quantity] = np.stack(carried) if carried else None
        return self._phases[quantity]

    def only(self, rows: Mask) -> Frame:
        """The frame of some rows."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        place = {row: n for n, row in enumerate(np.flatnonzero(rows).tolist())} if self.meter_events else {}
        events = {place[row]: said for row, said in self.meter_events.items() if row in place}
        return Frame(self.slots[rows], self.at[rows], self.quality[rows], self.period_ms, columns, events, self.origin)


@dataclass(frozen=True, slots=True)
class Block:
    """All rounds of one layout in a commit."""

    slots: Rows
    at: Ints
    quality: Bits
    period_ms: int
    columns: tuple[Scaled, ...]
    waves: dict[int, slice]  # empty for a backfill: it is stored, and judged from the store
    origin: Origin = Origin.LIVE

    def table(self, fleet: Fleet) -> Table:
        """The rows as they are stored: every quantity, and the quality bits where one is set."""
        columns = self.columns
        if self.quality.any():
            columns = (*columns, Scaled("quality", 0, self.quality.astype(np.int64), self.quality != 0))
        origin = LOAD_PROFILE if self.origin is Origin.BACKFILL else ""
        return Table(READING, fleet.series, self.slots, self.at, columns, origin)

    def frames(self) -> Iterable[tuple[int, Frame]]:
        """Each wave's number and frame, without rows whose time is wrong."""
        floats = {column.name: _floats(column) for column in self.columns}
        at = self.at.astype(np.float64)
        wrong_time = untimed(self.quality)
        any_wrong = wrong_time.any()
        for wave, rows in self.waves.items():
            columns = {name: values[rows] for name, values in floats.items()}
            frame = Frame(self.slots[rows], at[rows], self.quality[rows], self.period_ms, columns)
            if any_wrong:
                frame = frame.only(~wrong_time[rows])
            if len(frame):
                yield wave, frame


class _Member(NamedTuple):
    wave: int
    slots: Rows
    content: Round


def blocks_of(fleet: Fleet, rounds: Sequence[Round]) -> list[Block]:
    """Group the rounds of a commit, each gateway's in its order, into blocks."""
    turn: dict[str, int] = {}
    by_layout: dict[Layout, list[_Member]] = {}
    for content in rounds:
        wave = turn.get(content.gateway, 0)
        turn[content.gateway] = wave + 1
        slots = fleet.slots(content.gateway, content.meters)
        by_layout.setdefault(layout_of(content), []).append(_Member(wave, slots, content))
    # Gateways in the order of their slots, so that a wave is a run of neighbours wherever it can be.
    return [_block(sorted(members, key=lambda one: (one.wave, int(one.slots[0])))) for members in by_layout.values()]


def _block(members: list[_Member]) -> Block:
    rounds = [member.content for member in members]
    first = rounds[0]
    waves: dict[int, slice] = {}
    at = 0
    for wave, _, content in members:
        start = waves[wave].start if wave in waves else at
        at += content.rows
        waves[wave] = slice(start, at)
    slots = [member.slots for member in members]
    return Block(
        slots=slots[0] if len(slots) == 1 else np.concatenate(slots),
        at=_integers([content.measured_at for content in rounds], "<i8"),
        quality=_integers([content.quality for content in rounds], "<u4"),
        period_ms=first.period_ms,
        columns=tuple(
            _column(column.quantity, column.decimals, [(c.columns[i].data, c.rows) for c in rounds])
            for i, column in enumerate(first.columns)
        ),
        waves=waves if first.origin is Origin.LIVE else {},
        origin=first.origin,
    )


def _column(name: str, decimals: int, parts: list[tuple[bytes, int]]) -> Scaled:
    widths = {len(data) // rows for data, rows in parts}
    if len(widths) == 1:
        width = widths.pop()
        raw = _integers([data for data, _ in parts], f"<i{width}")
        valid = raw != NULL[width]
        integers = raw.astype(np.int64)
    else:
        pieces = [_integers([data], f"<i{len(data) // rows}") for data, rows in parts]
        valid = np.concatenate([piece != NULL[piece.itemsize] for piece in pieces])
        integers = np.concatenate([piece.astype(np.int64) for piece in pieces])
    return Scaled(name, decimals, integers, None if valid.all() else valid)


def _integers(parts: list[bytes], dtype: str) -> npt.NDArray[Any]:
    """Byte planes of several rounds → the integers of all of them, one after the other."""
    width = np.dtype(dtype).itemsize
    planes = [np.frombuffer(part, np.uint8).reshape(width, -1) for part in parts]
    together = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=1)
    return np.ascontiguousarray(together.T).view(dtype)[:, 0]


def _floats(column: Scaled) -> Floats:
    values: Floats = column.integers / 10.0**column.decimals
    if column.valid is not None:
        values[~column.valid] = np.nan
    return values


def untimed(quality: Bits) -> Mask:
    """Which rows were not read when they say: they are stored, and judged by nobody."""
    mask: Mask = (quality & np.uint32(int(Quality.CLOCK_BEHIND))) != 0
    return mask


def misdated(quality: Bits, profiled: Mask | bool) -> Mask:
    """Which rows are judged by nobody: untimed ones, and those of load profiles by a clock that is off."""
    clock_off: Mask = (quality & np.uint32(int(Quality.METER_CLOCK_OFF))) != 0
    mask: Mask = untimed(quality) | (clock_off & profiled)
    return mask


def failed(quality: Bits) -> Mask:
    """Which rows carry no values because the meter was not read."""
    mask: Mask = (quality & np.uint32(int(FAILED))) != 0
    return mask
