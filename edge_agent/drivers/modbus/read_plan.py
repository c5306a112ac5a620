"""Which blocks of registers to ask for, so that a round costs as little of the line as possible.

A request costs its frame, the pauses around it and the meter's time to think: as much as ``request_cost``
further registers would. So a block costs ``request_cost + count``, and a hole between two wanted spans is
bridged when reading it is cheaper than asking again. Not every hole may be bridged: ``bridge`` is the widest
that a profile allows, no block touches a ``forbidden`` register, none goes over a stretch that this meter has
``refused``, and ``longest`` is the meter's limit for one read.

Spans are disjoint and a block is a run of them in order of address, so the best way to cut the run is found
by dynamic programming: the cheapest plan for the first k spans ends in a block that starts at some span
j < k, and what stands before j is planned at its own cheapest. Between plans of equal cost the one with
fewer requests is taken.

A bond ties two spans that must come in one answer, a number and the register that scales it: the meter may change
both between two requests. A plan that breaks fewer bonds goes before any cheaper one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

LONGEST_READ: Final = 125
"""Registers that one Modbus read may ask for (MODBUS application protocol V1.1b3, 6.3)."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """``count`` registers from ``address`` on."""

    address: int
    count: int

    @property
    def end(self) -> int:
        """First address after the span."""
        return self.address + self.count

    def holds(self, other: Span) -> bool:
        """Whether all of ``other`` lies inside; an empty one may lie at the edge."""
        return self.address <= other.address and other.end <= self.end

    def touches(self, other: Span) -> bool:
        """Whether both have a register in common."""
        return self.address < other.end and other.address < self.end


Bond = tuple[Span, Span]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one read may be."""

    longest: int = LONGEST_READ  # registers
    bridge: int = LONGEST_READ  # widest hole, registers
    request_cost: int = LONGEST_READ  # of the bus, see ``Pace.request_cost``
    forbidden: tuple[Span, ...] = ()  # no read touches any of these registers
    refused: tuple[Span, ...] = ()  # no read goes over one of these whole; empty: not over this edge
    one_span: bool = False  # a read is for one span

    def bridges(self, hole: Span) -> bool:
        """Whether a read may go on over ``hole``, which may be empty."""
        if self.one_span or hole.count > self.bridge:
            return False
        return not any(map(hole.touches, self.forbidden)) and not any(map(hole.holds, self.refused))


def plan(spans: Iterable[Span], limits: Limits, bonds: Iterable[Bond] = ()) -> tuple[Span, ...]:
    """The cheapest blocks that cover every span, in order of address.

    Raises:
        ValueError: spans overlap, or one is longer than ``limits.longest``.
    """
    wanted = sorted(set(spans))
    _check(wanted, limits)
    open_after = [limits.bridges(hole_between(*pair)) for pair in pairwise(wanted)]
    breaks = _breaks(wanted, bonds)
    # best[k]: broken bonds, cost, requests and start of the last block of the cheapest plan for the first k spans.
    best: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)]
    for k, last in enumerate(wanted, start=1):
        options = []
        for j in range(k - 1, -1, -1):
            count = last.end - wanted[j].address
            if count > limits.longest or (j < k - 1 and not open_after[j]):
                break
            broken, cost, requests, _ = best[j]
            options.append((broken + breaks[j], cost + limits.request_cost + count, requests + 1, j))
        best.append(min(options))
    return _blocks(wanted, best)


def hole_between(before: Span, after: Span) -> Span:
    """The registers between two spans; empty if they are neighbours."""
    return Span(before.end, after.address - before.end)


def told_apart(blocks: Sequence[Span], mapped: Iterable[Span], limits: Limits) -> tuple[Span, ...]:
    """The same blocks with different lengths, where registers behind one are known to be readable.

    Modbus RTU has no transaction number: a late answer of the same length is taken for the answer to another block.

    Args:
        blocks: all requests to one meter with one function.
        mapped: every span of its map, wanted or not, for that function.
        limits: what one read may be.
    """
    known = sorted(set(mapped))
    lengths = {block.count for block in blocks}
    seen: set[int] = set()
    found = []
    for block in blocks:
        longer = block
        if block.count in seen:
            longer = next((one for one in _longer(block, known, limits) if one.count not in lengths), block)
        seen.add(longer.count)
        lengths.add(longer.count)
        found.append(longer)
    return tuple(found)


def _longer(block: Span, known: Sequence[Span], limits: Limits) -> list[Span]:
    """The block with one or two values more behind it that may be read; no value is cut in two."""
    step = min((span.count for span in known), default=1)
    found = []
    for count in (block.count + step, block.count + 2 * step):
        longer = Span(block.address, count)
        behind = [span for span in known if block.end <= span.address]
        cut = any(span.address < longer.end < span.end for span in known)
        inside = any(longer.end <= span.end for span in behind)
        refused = any(map(Span(block.end, longer.end - block.end).holds, limits.refused))
        holes = [hole_between(*pair) for pair in pairwise([block, *behind]) if pair[0].end < longer.end]
        if inside and not cut and not refused and count <= limits.longest and all(map(limits.bridges, holes)):
            found.append(longer)
    return found


def _check(wanted: Sequence[Span], limits: Limits) -> None:
    for before, after in pairwise(wanted):
        if before.end > after.address:
            raise ValueError(f"registers {before.address:#06x} and {after.address:#06x} overlap")
    for span in wanted:
        if span.count > limits.longest:
            raise ValueError(f"{span.count} registers at {span.address:#06x}; one read takes {limits.longest}")


def _breaks(wanted: Sequence[Span], bonds: Iterable[Bond]) -> list[int]:
    """How many bonds a cut before each span breaks."""
    at = {span: i for i, span in enumerate(wanted)}
    found = [0] * len(wanted)
    for bond in bonds:
        first, last = sorted(at[span] for span in bond)
        for i in range(first + 1, last + 1):
            found[i] += 1
    return found


def _blocks(wanted: Sequence[Span], best: Sequence[tuple[int, int, int, int]]) -> tuple[Span, ...]:
    blocks: list[Span] = []
    k = len(wanted)
    while k:
        j = best[k][3]
        blocks.append(Span(wanted[j].address, wanted[k - 1].end - wanted[j].address))
        k = j
    return tuple(reversed(blocks))
