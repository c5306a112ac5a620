"""The chain of models of a SunSpec device, as it should be and as it should not."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from edge_agent.drivers.modbus.read_plan import LONGEST_READ, Span
from edge_agent.drivers.modbus.sunspec import NamePlate
from edge_agent.drivers.registry import ProfileShelf
from tests.support.register_links import Line, RegisterLine, driver_on

PROFILE = ProfileShelf().profile("sunspec_meter")
LENGTH = {201: 105, 202: 105, 203: 105, 204: 105, 211: 124, 212: 124, 213: 124, 214: 124}
POWER = frozenset({"active_power"})


def text(content: str, registers: int) -> list[int]:
    return list(struct.unpack(f">{registers}H", content.encode().ljust(2 * registers, b"\0")))


COMMON = [*text("Maker", 16), *text("Meter", 16), *text("", 8), *text("1.2", 8), *text("S 7", 16), 1, 0]


def body(model: int) -> list[int]:
    """A meter model with one kilowatt in it."""
    found = [0] * LENGTH[model]
    if model < 210:
        found[16], found[20] = 1000, 0
    else:
        found[26:28] = struct.unpack(">2H", struct.pack(">f", 1000.0))
    return found


def device(*models: tuple[int, list[int]], base: int = 40000) -> dict[int, int]:
    words = text("SunS", 2)
    for model, content in models:
        words += [model, len(content), *content]
    return {base + i: word for i, word in enumerate([*words, 0xFFFF, 0])}


async def read(line: Line, quantities: frozenset[str] = POWER) -> Reading | ReadFailure:
    return await driver_on(line, PROFILE).read("m", quantities)


@pytest.mark.parametrize("base", [40000, 50000, 0])
@pytest.mark.parametrize("model", LENGTH)
async def test_every_meter_model_is_found_on_every_base(base: int, model: int):
    reading = await read(RegisterLine(registers=device((1, COMMON), (model, body(model)), base=base)))

    assert isinstance(reading, Reading)
    assert reading.values == {"active_power": pytest.approx(1.0)}


async def test_the_device_is_asked_once_where_its_registers_stand_and_again_after_connecting():
    line = RegisterLine(registers=device((1, COMMON), (203, body(203))))
    driver = driver_on(line, PROFILE)
    before = driver.offers("m"), driver.cost("m", POWER)

    first = await driver.read("m", POWER)
    second = await driver.read("m", POWER)
    await driver.connect()
    third = await driver.read("m", POWER)

    assert [reading.requests for reading in (first, second, third)] == [3, 1, 3]
    assert line.asked[3] == (3, Span(40070 + 18, 5)), "the power and its scale register"
    assert driver.name_plate("m") == NamePlate("Maker", "Meter", "1.2", "S 7")
    assert before == (PROFILE.quantities, driver.cost("m", POWER))


async def test_a_meter_of_another_model_that_took_its_place_is_read_by_its_own_map():
    line = RegisterLine(registers=device((1, COMMON), (203, body(203))))
    driver = driver_on(line, PROFILE)

    before = await driver.read("m", POWER)
    line.silent = True
    meanwhile = await driver.read("m", POWER)
    line.silent, line.registers = False, device((1, COMMON), (213, body(213)))
    after = await driver.read("m", POWER)

    assert isinstance(meanwhile, ReadFailure)
    assert isinstance(before, Reading)
    assert isinstance(after, Reading)
    assert before.values == after.values == {"active_power": pytest.approx(1.0)}


async def test_a_single_phase_meter_offers_one_phase_and_lacks_nothing():
    line = RegisterLine(registers=device((1, COMMON), (211, body(211))))
    driver = driver_on(line, PROFILE)
    wanted = frozenset({"active_power", "active_power_l1", "active_power_l2"})

    reading = await driver.read("m", wanted)

    assert isinstance(reading, Reading)
    assert reading.values.keys() == {"active_power", "active_power_l1"}
    assert reading.quality == 0
    assert "voltage_l2" not in driver.offers("m")


async def test_other_models_are_passed_over():
    line = RegisterLine(registers=device((1, COMMON), (103, [0] * 50), (64001, []), (160, [0] * 300), (203, body(203))))

    assert (await read(line)).values == {"active_power": 1.0}


async def test_a_device_that_answers_no_more_than_one_model_at_a_time_is_read_too():
    class Strict(RegisterLine):
        def answer(self, function: int, block: Span) -> list[int] | int:
            crosses = block.address < 40070 < block.end
            return 2 if crosses else super().answer(function, block)

    line = Strict(registers=device((1, COMMON), (203, body(203))))
    driver = driver_on(line, PROFILE)

    assert (await driver.read("m", POWER)).values == {"active_power": 1.0}
    assert driver.name_plate("m") == NamePlate()


def without(registers: Mapping[int, int], start: int) -> dict[int, int]:
    return {address: word for address, word in registers.items() if address < start}


@pytest.mark.parametrize(
    ("registers", "why"),
    [
        ({}, "no 'SunS' at 40000, 50000, 0"),
        ({40000 + i: 7 for i in range(200)}, "no 'SunS' at 40000, 50000, 0"),
        (device((1, COMMON)), "no meter model after 1"),
        (device((1, COMMON), (103, [0] * 50)), "no meter model after 1, 103"),
        (device(), "no meter model after 'SunS'"),
        (device((1, COMMON), (203, [0] * 40)), "model 203 has 40 registers, its map needs 103"),
        (without(device((1, COMMON), (103, [0] * 50)), 40080), "the chain breaks off at 40122 after 1, 103"),
        (device((1, COMMON), base=50000) | {50069: 66, 50003: 0xFFFF}, "model 1 with 65535 registers ends beyond"),
        (device(*[(500, [])] * 100), "no end after 64 models"),
        (device((0, []), *[(0, [])] * 100), "no end after 64 models"),
    ],
)
async def test_a_chain_that_leads_nowhere_is_said(registers: dict[int, int], why: str):
    outcome = await read(RegisterLine(registers=registers))

    assert isinstance(outcome, ReadFailure)
    assert outcome.reason is Reason.GARBLED
    assert outcome.detail.startswith(why)


async def test_silence_is_silence():
    class Silent(Line):
        async def read(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
            del unit
            self.asked.append((function, block))
            return ReadFailure(Reason.SILENT)

    line = Silent()

    outcome = await read(line)

    assert isinstance(outcome, ReadFailure)
    assert outcome.reason is Reason.SILENT
    assert len(line.asked) == 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 0xFFFF), max_size=80), st.sampled_from([40000, 50000, 0]))
async def test_whatever_a_device_says_the_walk_ends_and_asks_for_possible_registers(noise: list[int], base: int):
    class Noise(Line):
        def answer(self, function: int, block: Span) -> list[int] | int:
            del function
            words = [*text("SunS", 2), *noise] if block.address == base else noise
            return (words * (block.count + 1))[: block.count] if words else 2

    line = Noise()
    await read(line, PROFILE.quantities)

    assert len(line.asked) < 200
    assert all(0 < block.count <= LONGEST_READ and block.end <= 0x10000 for _, block in line.asked)
