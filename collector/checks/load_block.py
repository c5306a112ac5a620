"""Load blocks: the energy of every quarter of an hour, from register differences and from nothing else.

A difference is spread over the blocks it spans in proportion to time, so that the blocks of any span add up to what
the register counted. Inside one block it is exact however long it is; over an edge it is exact to one usual interval;
over a gap the split is an *estimate*, and its blocks say so. A gap thus never becomes a spike.

One row a meter and block goes to ``load_block`` when the block ends: kWh import and export, kvarh import (no value
where the meter has no such register), the share of the block that measured intervals cover, and whether part of its
energy was spread over a gap. Registers that are read in different rounds end a block at different times: then each
row carries what is known by then, and a store keeps both. Later checks of the frame take the same blocks from
``ended_blocks``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from collector.checks.check import Measured, Step
from collector.checks.register_difference import EXPORT, IMPORT, REGISTERS, Register
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.state import zero_where_unknown
from collector.store.table import LOAD_BLOCK, Mask, Rows
from collector.tariff.calendar import BLOCK_MS, block_of

_PER_REGISTER: Final = ("block", "energy", "spanned_ms", "covered_ms", "estimated")
_LONGEST_SPREAD_MS: Final = 62 * 86_400_000.0  # a register that was silent for longer cannot be spread over days
_KEY: Final = 2.0**24  # more than any block has as its number: a row and a block make one number
# Columns by which ended blocks are passed on: one that was left unfinished, the one that ended, those that followed.
_LEFT: Final[tuple[str, ...]] = ("left_block", "left_energy", "left_spanned", "left_covered", "left_estimated")
_ENDED: Final[tuple[str, ...]] = ("ended_block", "ended_energy", "ended_spanned", "ended_covered", "ended_estimated")
_MORE: Final[tuple[str, ...]] = ("more_blocks", "more_energy")


@dataclass(frozen=True, slots=True)
class EndedBlocks:
    """Blocks that ended with the readings of a frame, each meter's in their order; arrays of equal length."""

    row: Rows  # of the frame
    block: Floats  # number of the block, counted from 1970 UTC
    energy: Floats  # kWh or kvarh
    spanned: Floats  # share of the block that differences span, gaps included
    covered: Floats  # share of the block that measured intervals cover
    estimated: Floats  # 1.0: part of the energy was spread over a gap


class LoadBlock:
    """Energy of quarters of an hour."""

    name = "load_block"
    fields = tuple(f"{register.energy}_{field}" for register in REGISTERS for field in _PER_REGISTER)

    def concerns(self, frame: Frame) -> bool:
        """Frames in which register differences were derived."""
        return any(register.energy in frame.columns for register in REGISTERS)

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:  # noqa: ARG002 - no rating is needed
        """Add every difference to its blocks."""
        derived: dict[str, Floats] = {}
        for i, register in enumerate(REGISTERS):
            if register.energy in frame.columns:
                own = state[i * len(_PER_REGISTER) : (i + 1) * len(_PER_REGISTER)]
                derived |= _spread(frame, register, own)
        return Step(state, measured=_rows(frame, derived), derived=derived)


def has_ended(frame: Frame, register: Register) -> bool:
    """Whether any block of a register ended in this frame."""
    return f"{register.energy}_ended_block" in frame.columns


def ended_blocks(frame: Frame, register: Register, columns: Mapping[str, Floats] | None = None) -> EndedBlocks | None:
    """The blocks of one register that ended in this frame, or ``None`` if none did.

    Args:
        frame: after ``LoadBlock`` has judged it.
        register: which one.
        columns: the derived columns, if they are not in the frame yet.
    """
    found = frame.columns if columns is None else columns

    def of(name: str) -> Floats | None:
        return found.get(f"{register.energy}_{name}")

    block, more = of("ended_block"), of("more_blocks")
    if block is None:
        return None
    parts: list[EndedBlocks] = []
    left = of("left_block")
    if left is not None:
        parts.append(_chosen(register, found, left, _LEFT))
    parts.append(_chosen(register, found, block, _ENDED))
    if more is not None:
        parts.append(_following(frame, register, found, block, more))
    if len(parts) == 1:
        return parts[0]
    row, number, *shares = (
        np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(EndedBlocks)
    )
    order = np.lexsort((number, row))
    return EndedBlocks(row[order], number[order], *(share[order] for share in shares))


def _chosen(register: Register, found: Mapping[str, Floats], block: Floats, names: tuple[str, ...]) -> EndedBlocks:
    rows = np.flatnonzero(~np.isnan(block))
    return EndedBlocks(rows, *(found[f"{register.energy}_{name}"][rows] for name in names))


def _following(
    frame: Frame, register: Register, found: Mapping[str, Floats], block: Floats, more: Floats
) -> EndedBlocks:
    """The whole blocks that one interval spans after the first: all carry the same energy."""
    rows = np.flatnonzero(more > 0)
    counts = more[rows].astype(np.intp)
    row = np.repeat(rows, counts)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    gap = frame.columns[register.gap][row]
    energy = found[f"{register.energy}_more_energy"][row]
    return EndedBlocks(row, block[row] + 1 + nth, energy, np.ones(len(row)), 1 - gap, gap)


def _spread(frame: Frame, register: Register, state: Floats) -> dict[str, Floats]:
    """Spread the differences of one register; advance its state; return the columns of the blocks that ended."""
    energy, since, until = frame.columns[register.energy], frame.columns[register.since], frame.at
    elapsed = until - since
    taken = elapsed <= _LONGEST_SPREAD_MS
    zero_where_unknown(state[1:])
    starts = block_of(since)
    out: dict[str, Floats] = {}
    new = taken & ~(starts <= state[0])  # also where energy was not believed, and the block under way was left
    if new.any():
        left = new & ~np.isnan(state[0])
        if left.any():
            out |= _columns(register, _LEFT, left, state[0], *_shares(state))
            out |= _columns(register, _ENDED, np.zeros(len(frame), np.bool_), state[0], *_shares(state))
        state[0, new] = starts[new]
        state[1:, new] = 0.0
    edge = (state[0] + 1) * BLOCK_MS
    ended = taken & (until >= edge)
    if not ended.any():
        state[1] += np.where(taken, energy, 0.0)
        state[2:4] += np.where(taken, elapsed, 0.0)
        return out
    # A difference that ends on the edge lies inside its block: nothing is spread, however long it is.
    spread = ended & (until > edge) & (frame.columns[register.gap] > 0)
    before = np.where(ended, edge - since, elapsed)
    state[1] += np.where(taken, energy * (before / elapsed), 0.0)
    state[2] += np.where(taken, before, 0.0)
    state[3] += np.where(taken & ~spread, before, 0.0)
    state[4] = np.where(spread, 1.0, state[4])
    out |= _columns(register, _ENDED, ended, state[0], *_shares(state))
    under_way = block_of(until)
    more = np.where(ended, under_way - state[0] - 1, 0.0)
    if more.any():
        out |= _columns(register, _MORE, more > 0, more, energy * (BLOCK_MS / elapsed))
    rest = until - under_way * BLOCK_MS
    state[0] = np.where(ended, under_way, state[0])
    state[1] = np.where(ended, energy * (rest / elapsed), state[1])
    state[2] = np.where(ended, rest, state[2])
    state[3] = np.where(ended, np.where(spread, 0.0, rest), state[3])
    state[4] = np.where(ended, spread & (rest > 0), state[4])
    return out


def _shares(state: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Energy, the shares of the block that are spanned and covered, and whether it is an estimate."""
    return state[1], state[2] / BLOCK_MS, state[3] / BLOCK_MS, state[4]


def _columns(register: Register, names: tuple[str, ...], where: Mask, *values: Floats) -> dict[str, Floats]:
    return {
        f"{register.energy}_{name}": np.where(where, value, np.nan) for name, value in zip(names, values, strict=True)
    }


def _rows(frame: Frame, derived: Mapping[str, Floats]) -> tuple[Measured, ...]:
    """The blocks of all registers as rows of ``load_block``, one a meter and block."""
    by_register = {
        register: ended for register in REGISTERS if (ended := ended_blocks(frame, register, derived)) is not None
    }
    if not by_register:
        return ()
    keys = np.concatenate([ended.row * _KEY + ended.block for ended in by_register.values()])
    key, place = np.unique(keys, return_inverse=True)
    row, block = np.divmod(key, _KEY)
    columns: dict[str, Floats] = {}
    start = 0
    for register, ended in by_register.items():
        at = place[start : start + len(ended.row)]
        start += len(ended.row)
        values = {register.energy: ended.energy}
        if register in (EXPORT, IMPORT):  # a meter of generation alone has no import register
            values |= {"covered": np.clip(ended.covered, 0.0, 1.0), "estimated": ended.estimated}
        for name, some in values.items():
            column = columns.setdefault(name, np.full(len(key), np.nan))
            empty = np.isnan(column[at])
            column[at[empty]] = some[empty]
    return (Measured(LOAD_BLOCK, frame.slots[row.astype(np.intp)], block * BLOCK_MS, columns),)
