"""Which blocks of registers to ask for, so that a round costs as little of the line as possible.

A request costs its frame, the pauses around it and the meter's time to think: as much as ``request_cost``
further registers would. So a block costs ``request_cost + count``, and a hole between two wanted spans is
bridged when reading it is cheaper than asking again. Some meters refuse blocks that touch undefined
registers, hence ``bridge``, the widest hole a profile allows; ``longest`` is the meter's limit for one read.

Spans are disjoint and a block is a run of them in order of address, so the best way to cut the run is found
by dynamic programming: the cheapest plan for the first k spans ends in a block that starts at some span
j < k, and what stands before j is planned at its own cheapest. Between plans of equal cost the one with
fewer requests is taken.
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


@dataclass(frozen=True, slots=True)
class Limits:
    """What one read may be."""

    longest: int = LONGEST_READ  # registers
    bridge: int = LONGEST_READ  # widest hole, registers
    request_cost: int = LONGEST_READ  # of the bus, see ``Pace.request_cost``


def plan(spans: Iterable[Span], limits: Limits) -> tuple[Span, ...]:
    """The cheapest blocks that cover every span, in order of address.

    Raises:
        ValueError: spans overlap, or one is longer than ``limits.longest``.
    """
    wanted = sorted(set(spans))
    _check(wanted, limits)
    # best[k]: cost, requests and start of the last block of the cheapest plan for the first k spans.
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    for k, last in enumerate(wanted, start=1):
        options = []
        for j in range(k - 1, -1, -1):
            count = last.end - wanted[j].address
            if count > limits.longest or (j < k - 1 and wanted[j + 1].address - wanted[j].end > limits.bridge):
                break
            cost, requests, _ = best[j]
            options.append((cost + limits.request_cost + count, requests + 1, j))
        best.append(min(options))
    return _blocks(wanted, best)


def _check(wanted: Sequence[Span], limits: Limits) -> None:
    for before, after in pairwise(wanted):
        if before.end > after.address:
            raise ValueError(f"registers {before.address:#06x} and {after.address:#06x} overlap")
    for span in wanted:
        if span.count > limits.longest:
            raise ValueError(f"{span.count} registers at {span.address:#06x}; one read takes {limits.longest}")


def _blocks(wanted: Sequence[Span], best: Sequence[tuple[int, int, int]]) -> tuple[Span, ...]:
    blocks: list[Span] = []
    k = len(wanted)
    while k:
        j = best[k][2]
        blocks.append(Span(wanted[j].address, wanted[k - 1].end - wanted[j].address))
        k = j
    return tuple(reversed(blocks))
