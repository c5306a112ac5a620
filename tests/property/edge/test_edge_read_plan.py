"""The planned blocks cost as little as the best of all ways to cut the run, tried one by one."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.modbus.read_plan import Limits, Span, plan


@st.composite
def register_maps(draw: st.DrawFn) -> list[Span]:
    spans, address = [], draw(st.integers(0, 50))
    for _ in range(draw(st.integers(1, 8))):
        width = draw(st.sampled_from([1, 2, 4]))
        spans.append(Span(address, width))
        address += width + draw(st.sampled_from([0, 0, 1, 5, 19, 20, 21, 60, 130]))
    return draw(st.permutations(spans))


limits = st.builds(Limits, longest=st.integers(4, 125), bridge=st.integers(0, 125), request_cost=st.integers(1, 40))


def cost(blocks: list[Span], limit: Limits) -> tuple[int, int]:
    return sum(limit.request_cost + block.count for block in blocks), len(blocks)


def every_cut(spans: list[Span], limit: Limits) -> list[list[Span]]:
    ordered = sorted(spans)
    found = []
    for cuts in product([True, False], repeat=len(ordered) - 1):
        runs = [[ordered[0]]]
        for span, cut in zip(ordered[1:], cuts, strict=True):
            if cut:
                runs.append([span])
            else:
                runs[-1].append(span)
        holes = [b.address - a.end for run in runs for a, b in pairwise(run)]
        blocks = [Span(run[0].address, run[-1].end - run[0].address) for run in runs]
        if all(hole <= limit.bridge for hole in holes) and all(block.count <= limit.longest for block in blocks):
            found.append(blocks)
    return found


@given(register_maps(), limits)
def test_the_plan_is_the_cheapest_there_is(spans: list[Span], limit: Limits):
    blocks = list(plan(spans, limit))

    assert cost(blocks, limit) == min(cost(other, limit) for other in every_cut(spans, limit))


@given(register_maps(), limits)
def test_every_register_is_read_once_and_limits_hold(spans: list[Span], limit: Limits):
    blocks = plan(spans, limit)

    for span in spans:
        assert sum(block.address <= span.address and span.end <= block.end for block in blocks) == 1
    assert all(block.count <= limit.longest for block in blocks)
    assert sorted(blocks) == list(blocks)


def test_a_hole_is_bridged_exactly_when_it_is_cheaper():
    near, far = [Span(0, 2), Span(21, 2)], [Span(0, 2), Span(23, 2)]

    assert plan(near, Limits(request_cost=20)) == (Span(0, 23),)
    assert plan(far, Limits(request_cost=20)) == (Span(0, 2), Span(23, 2))


@pytest.mark.parametrize("spans", [[Span(0, 2), Span(1, 2)], [Span(0, 5)]])
def test_overlaps_and_giants_are_refused(spans: list[Span]):
    with pytest.raises(ValueError, match=r"overlap|one read takes"):
        plan(spans, Limits(longest=4))
