"""A meter that lacks registers of its map: nothing readable is lost, and what is refused is soon asked for no more."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from edge_agent.drivers.modbus.profile import Profile
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.modbus.refusals import MOST_REFUSALS, TRUSTED_MS
from metering.quantity import QUANTITIES
from metering.round import Quality
from tests.support.register_links import NETWORK, SERIAL, RegisterLine, driver_on

NAMES = [name for name, quantity in QUANTITIES.items() if quantity.unit == "V" or quantity.unit.startswith("k")]


class Standing:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at_ms = 1_000_000

    def now_ms(self) -> int:
        return self.at_ms


def profile_of(*registers: dict[str, object], **blocks: object) -> Profile:
    head = {"manufacturer": "a", "model": "b", "source": {"document": "c", "taken_from": "d"}}
    return Profile.model_validate(head | {"checked_on_hardware": False, "registers": registers, "blocks": blocks})


def words(*addresses: int) -> list[dict[str, object]]:
    return [{"quantity": NAMES[i], "address": address, "type": "uint16"} for i, address in enumerate(addresses)]


def values_at(*addresses: int) -> dict[str, float | None]:
    return {NAMES[i]: float(address) for i, address in enumerate(addresses)}


@st.composite
def meters(draw: st.DrawFn) -> tuple[Profile, set[int]]:
    """A map, and the registers that this meter really has."""
    registers, address = [], 0
    count = draw(st.integers(1, 8))
    for i in range(count):
        kind = draw(st.sampled_from([("uint16", 1), ("uint32", 2)]))
        registers.append({"quantity": NAMES[i], "address": address, "type": kind[0]})
        address += kind[1] + draw(st.sampled_from([0, 0, 1, 3, 30]))
    there = set(range(address))
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(0, address))
        there -= set(range(first, first + draw(st.integers(1, 6))))
    return profile_of(*registers), there


def readable(profile: Profile, there: set[int]) -> dict[str, bool]:
    return {
        register.quantity: all(address in there for address in range(register.span.address, register.span.end))
        for register in profile.registers
    }


@settings(deadline=None)
@given(meters(), st.sampled_from([SERIAL, NETWORK]), st.data())
async def test_nothing_readable_is_ever_lost_and_the_refusals_end(meter, pace, data):
    profile, there = meter
    line = RegisterLine(pace, registers=dict.fromkeys(there, 7), code=data.draw(st.sampled_from([2, 3])))
    driver = driver_on(line, profile)
    expected = readable(profile, there)

    for _ in range(3 * len(profile.registers)):
        line.refused.clear()
        line.asked.clear()
        outcome = await driver.read("m", profile.quantities)
        if not any(expected.values()):
            assert isinstance(outcome, ReadFailure)
            assert len(line.asked) <= MOST_REFUSALS
            continue
        assert isinstance(outcome, Reading)
        assert {name: value is not None for name, value in outcome.values.items()} == expected
        assert outcome.requests == len(line.asked)
        assert bool(outcome.quality & Quality.PARTIAL) is not all(expected.values())

    if any(expected.values()):
        assert line.refused == []
        assert driver.cost("m", profile.quantities).requests == len(line.asked)


async def test_a_hole_that_cannot_be_read_across_costs_one_refusal():
    profile = profile_of(*words(0, 1, 10, 11, 30))
    line = RegisterLine(registers={a: a for a in (0, 1, 10, 11, *range(11, 31))})
    driver = driver_on(line, profile)

    first = await driver.read("m", profile.quantities)
    asked = [block for _, block in line.asked]
    line.asked.clear()
    second = await driver.read("m", profile.quantities)

    assert first.values == second.values == values_at(0, 1, 10, 11, 30)
    assert asked == [Span(0, 31), Span(0, 12), Span(30, 1), Span(0, 2), Span(10, 2)]
    assert [block for _, block in line.asked] == [Span(0, 2), Span(10, 21)], "the wider hole was not to blame"
    assert line.refused[2:] == []


async def test_a_quantity_the_meter_lacks_is_asked_for_twice_and_then_no_more():
    profile = profile_of(*words(0, 1, 2, 3))
    line = RegisterLine(registers={0: 0, 1: 1, 3: 3})
    driver = driver_on(line, profile)

    readings = [await driver.read("m", profile.quantities) for _ in range(4)]

    assert [reading.values[NAMES[2]] for reading in readings] == [None] * 4
    assert [reading.quality for reading in readings] == [Quality.PARTIAL] * 4
    assert [span for _, span in line.refused if span.count == 1] == [Span(2, 1)] * 2
    assert [span for _, span in line.asked[-2:]] == [Span(0, 2), Span(3, 1)]


async def test_passing_refusals_between_answers_take_nothing_away():
    profile = profile_of(*words(0, 1))
    whole, less = {0: 0, 1: 1}, {0: 0}
    line = RegisterLine()
    driver = driver_on(line, profile)

    for registers in (less, whole, less, whole, less, whole):
        line.registers = registers
        reading = await driver.read("m", profile.quantities)
        assert reading.values == values_at(0, 1) | ({NAMES[1]: None} if registers is less else {})


@pytest.mark.parametrize("anew", ["connected", "later"])
async def test_what_was_learned_is_forgotten(anew: str):
    profile = profile_of(*words(0, 1, 2))
    line = RegisterLine(registers={0: 0, 2: 2})
    clock = Standing()
    driver = driver_on(line, profile, clock)
    for _ in range(3):
        await driver.read("m", profile.quantities)
    line.registers = {0: 0, 1: 1, 2: 2}
    assert (await driver.read("m", profile.quantities)).values[NAMES[1]] is None

    if anew == "connected":
        await driver.connect()
    else:
        clock.at_ms += TRUSTED_MS + 1

    assert (await driver.read("m", profile.quantities)).values == values_at(0, 1, 2)


async def test_a_wrong_map_is_given_up_soon_and_teaches_nothing():
    profile = profile_of(*words(*range(0, 60, 2)))
    line = RegisterLine(registers={})
    driver = driver_on(line, profile)
    before = driver.cost("m", profile.quantities)

    outcome = await driver.read("m", profile.quantities)

    assert isinstance(outcome, ReadFailure)
    assert (outcome.reason, outcome.code) == (Reason.EXCEPTION, 2)
    assert len(line.asked) == MOST_REFUSALS
    assert driver.cost("m", profile.quantities) == before


@pytest.mark.parametrize("code", [1, 4, 5, 6, 11])
async def test_an_exception_that_blames_no_address_is_not_looked_into(code: int):
    profile = profile_of(*words(0, 1))
    line = RegisterLine(registers={}, code=code)

    outcome = await driver_on(line, profile).read("m", profile.quantities)

    assert isinstance(outcome, ReadFailure)
    assert len(line.asked) == 1


async def test_a_block_made_longer_to_tell_it_apart_is_shortened_if_it_is_refused():
    profile = profile_of(*words(0, 100, 101), bridge=10)
    wanted = frozenset(NAMES[:2])
    line = RegisterLine(registers={0: 0, 100: 100})
    driver = driver_on(line, profile)

    first = await driver.read("m", wanted)
    line.asked.clear()
    second = await driver.read("m", wanted)

    assert first.values == second.values == values_at(0, 100)
    assert line.refused == [(3, Span(100, 2))]
    assert [span for _, span in line.asked] == [Span(0, 1), Span(100, 1)]


async def test_each_function_has_its_own_blocks():
    entries = words(0, 1, 2, 3)
    for entry in entries[2:]:
        entry["function"] = 4
    line = RegisterLine(registers={a: a for a in range(4)})
    reading = await driver_on(line, profile_of(*entries)).read("m", frozenset(NAMES[:4]))

    assert reading.values == values_at(0, 1, 2, 3)
    assert line.asked == [(3, Span(0, 2)), (4, Span(2, 2))]


def test_every_answer_of_one_meter_has_a_length_of_its_own_where_the_map_allows_it():
    profile = profile_of(*words(0, 50, 51, 100, 101, 102), bridge=10)
    line = RegisterLine(SERIAL, registers={a: a for a in range(200)})
    driver = driver_on(line, profile)
    requests = driver._plan("m", profile.registers, 0, frozenset({NAMES[0], NAMES[1], NAMES[3]}))
    lengths = [request.block.count for request in requests]

    assert lengths == [1, 2, 3]
    assert all(a.block.end <= b.block.address for a, b in pairwise(requests))
