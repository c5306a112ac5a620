"""The planned blocks cost as little as the best of all ways to cut the run, tried one by one."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.drivers.modbus.read_plan import Bond, Limits, Span, hole_between, plan, told_apart
from edge_agent.drivers.registry import ProfileShelf
from tests.bench.readings import TEN
from tests.support.register_links import NETWORK, SERIAL, Line, driver_on


@st.composite
def register_maps(draw: st.DrawFn) -> list[Span]:
    spans, address = [], draw(st.integers(0, 50))
    for _ in range(draw(st.integers(1, 8))):
        width = draw(st.sampled_from([1, 2, 4]))
        spans.append(Span(address, width))
        address += width + draw(st.sampled_from([0, 0, 1, 5, 19, 20, 21, 60, 130]))
    return draw(st.permutations(spans))


stretches = st.lists(st.builds(Span, st.integers(0, 300), st.integers(0, 12)), max_size=4).map(tuple)


@st.composite
def limited_maps(draw: st.DrawFn) -> tuple[list[Span], Limits, list[Bond]]:
    """A map, limits that leave every single span readable, and bonds between some spans."""
    spans = draw(register_maps())
    forbidden = tuple(
        one for one in draw(stretches) if one.count and not any(map(one.touches, spans))
    )  # no profile wants what it forbids
    limit = Limits(
        longest=draw(st.integers(4, 125)),
        bridge=draw(st.integers(0, 125)),
        request_cost=draw(st.integers(1, 125)),
        forbidden=forbidden,
        refused=draw(stretches),
        one_span=draw(st.sampled_from([False, False, False, True])),
    )
    bonds = draw(st.lists(st.tuples(st.sampled_from(spans), st.sampled_from(spans)), max_size=3))
    return spans, limit, bonds


Cut = list[list[Span]]


def cost(runs: Cut, limit: Limits, bonds: list[Bond]) -> tuple[int, int, int]:
    where = {span: i for i, run in enumerate(runs) for span in run}
    broken = sum(abs(where[a] - where[b]) for a, b in bonds)
    lengths = [run[-1].end - run[0].address for run in runs]
    return broken, sum(limit.request_cost + length for length in lengths), len(runs)


def allowed(run: list[Span], limit: Limits) -> bool:
    """The limits once more, register by register."""
    registers = set(range(run[0].address, run[-1].end))
    holes = [set(range(a.end, b.address)) for a, b in pairwise(run)]
    edges = [range(a.end, b.address + 1) for a, b in pairwise(run)]
    return (
        len(registers) <= limit.longest
        and all(len(hole) <= limit.bridge for hole in holes)
        and not any(registers & set(range(one.address, one.end)) for one in limit.forbidden)
        and not any(one.address in edge and one.end in edge for one in limit.refused for edge in edges)
        and not (limit.one_span and len(run) > 1)
    )


def every_cut(spans: list[Span], limit: Limits) -> list[Cut]:
    ordered = sorted(spans)
    found = []
    for cuts in product([True, False], repeat=len(ordered) - 1):
        runs = [[ordered[0]]]
        for span, cut in zip(ordered[1:], cuts, strict=True):
            if cut:
                runs.append([span])
            else:
                runs[-1].append(span)
        if all(allowed(run, limit) for run in runs):
            found.append(runs)
    return found


def runs_of(blocks: tuple[Span, ...], spans: list[Span]) -> Cut:
    return [sorted(span for span in spans if block.holds(span)) for block in blocks]


@settings(deadline=None)
@given(limited_maps())
def test_the_plan_is_the_cheapest_there_is(case: tuple[list[Span], Limits, list[Bond]]):
    spans, limit, bonds = case
    runs = runs_of(plan(spans, limit, bonds), spans)

    assert runs in every_cut(spans, limit)
    assert cost(runs, limit, bonds) == min(cost(other, limit, bonds) for other in every_cut(spans, limit))


@settings(deadline=None)
@given(limited_maps())
def test_every_register_is_read_once_and_limits_hold(case: tuple[list[Span], Limits, list[Bond]]):
    spans, limit, bonds = case
    blocks = plan(spans, limit, bonds)

    for span in spans:
        assert sum(block.holds(span) for block in blocks) == 1
    assert all(block.count <= limit.longest for block in blocks)
    assert not any(block.touches(one) for block in blocks for one in limit.forbidden)
    assert sorted(blocks) == list(blocks)


@settings(deadline=None)
@given(limited_maps(), st.randoms())
def test_blocks_are_told_apart_only_by_registers_that_may_be_read(case: tuple[list[Span], Limits, list[Bond]], random):
    spans, limit, _ = case
    wanted = [span for span in spans if random.random() < 0.5]
    blocks = plan(wanted, limit)
    longer = told_apart(blocks, spans, limit)

    assert len({one.count for one in longer}) >= len({one.count for one in blocks})
    for before, after in zip(blocks, longer, strict=True):
        assert after.address == before.address
        assert before.count <= after.count <= limit.longest
        if after == before:
            continue
        known = sorted(span for span in spans if span.end > before.address)
        assert not any(span.address < after.end < span.end for span in known), "a value is cut in two"
        assert after.end <= known[-1].end
        assert not any(after.touches(one) for one in limit.forbidden)
        crossed = [hole_between(*pair) for pair in pairwise(known) if before.end <= pair[0].end < after.end]
        assert all(map(limit.bridges, crossed))


def test_two_blocks_of_one_length_are_told_apart_by_the_register_behind_one():
    mapped = [Span(0, 2), Span(2, 2), Span(100, 2), Span(102, 2)]

    assert told_apart([Span(0, 2), Span(100, 2)], mapped, Limits()) == (Span(0, 2), Span(100, 4))
    assert told_apart([Span(0, 2), Span(102, 2)], mapped, Limits()) == (Span(0, 2), Span(102, 2)), "nothing behind"
    assert told_apart([Span(0, 4), Span(100, 2)], mapped, Limits()) == (Span(0, 4), Span(100, 2)), "not needed"


def test_a_hole_is_bridged_exactly_when_it_is_cheaper():
    near, far = [Span(0, 2), Span(21, 2)], [Span(0, 2), Span(23, 2)]

    assert plan(near, Limits(request_cost=20)) == (Span(0, 23),)
    assert plan(far, Limits(request_cost=20)) == (Span(0, 2), Span(23, 2))


def test_a_number_and_its_scale_come_in_one_answer_even_if_that_costs_more():
    number, scale = Span(0, 2), Span(60, 1)

    assert plan([number, scale], Limits(request_cost=1)) == (number, scale)
    assert plan([number, scale], Limits(request_cost=1), [(number, scale)]) == (Span(0, 61),)
    assert plan([number, scale], Limits(longest=60), [(number, scale)]) == (number, scale), "as the meter allows"


@pytest.mark.parametrize("spans", [[Span(0, 2), Span(1, 2)], [Span(0, 5)]])
def test_overlaps_and_giants_are_refused(spans: list[Span]):
    with pytest.raises(ValueError, match=r"overlap|one read takes"):
        plan(spans, Limits(longest=4))


@pytest.mark.parametrize("pace", [SERIAL, NETWORK], ids=["serial", "network"])
@pytest.mark.parametrize("name", ProfileShelf().names)
def test_no_other_plan_of_a_shipped_profile_is_cheaper(name: str, pace):
    """Worked out from the front, where the plan works from the back; maps without scale registers are read whole."""
    profile = ProfileShelf().profile(name)
    limit = profile.blocks.limits(pace.request_cost)
    driver = driver_on(Line(pace), profile)
    for quantities in (profile.quantities, frozenset(TEN) & profile.quantities):
        if profile.sunspec:
            assert driver.cost("m", quantities).requests == 1
            continue
        spans = sorted(register.span for register in profile.registers if register.quantity in quantities)

        @cache
        def cheapest(first: int, spans: tuple[Span, ...] = tuple(spans)) -> tuple[int, int]:
            if first == len(spans):
                return 0, 0
            options = []
            for last in range(first, len(spans)):
                run = list(spans[first : last + 1])
                if allowed(run, limit):
                    rest, requests = cheapest(last + 1)
                    options.append((rest + limit.request_cost + run[-1].end - run[0].address, requests + 1))
            return min(options)

        planned = driver.cost("m", quantities)
        reckoned, requests = cheapest(0)
        assert planned.requests == requests
        # Blocks of one length may be longer by one or two values, so that they can be told apart.
        assert reckoned <= planned.requests * limit.request_cost + planned.registers <= reckoned + 8 * requests
