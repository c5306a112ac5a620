"""One contract for all drivers, over every way in which a meter is connected: same physics, same values, same failures.

The simulated customers are the same for all; only the protocol between them and the driver differs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from edge_agent.drivers.driver import Cost, ReadFailure, Reading, Reason
from metering.quantity import QUANTITIES, Kind
from metering.round import Quality
from simulators.faults import FaultName
from tests.support.customers import INSTANTS, NOW_MS, ROOF, SHOP, shown
from tests.support.driver_lines import TIMEOUT_S, WAYS, DriverLine, Way, driver_line
from tests.support.waiting import until

VOLTAGES: Final = frozenset({"voltage_l1", "voltage_l2", "voltage_l3"})
CURRENTS: Final = frozenset({"current_l1", "current_l2", "current_l3"})
"""As many values as the voltages, in registers of the same kind: an answer that is taken for another one would fit."""

RESOLUTION: Final[dict[str, dict[str, float]]] = {
    "dlms": {"kWh": 0.001, "kW": 0.001, "kvar": 0.001, "kVA": 0.001, "V": 0.1, "A": 0.001, "Hz": 0.01, "": 0.001},
    "dlt645": {"kWh": 0.01, "kW": 0.0001, "kvar": 0.0001, "kVA": 0.0001, "V": 0.1, "A": 0.001, "Hz": 0.01, "": 0.001},
    "modbus": {},  # float32: only its 24 bits
}
"""Smallest step on the wire by unit; a value may be off by half of it."""

FLOAT32: Final = 2**-23

LACKS: Final = {
    "modbus": frozenset[str](),
    "dlms": frozenset(f"active_energy_import_t{tariff}" for tariff in (1, 2, 3, 4)),
    "dlt645": frozenset({"demand", "maximum_demand"}),
}
"""What the profile offers and the simulated meter does not have."""

OUTCOMES: Final[dict[FaultName, tuple[str, str, str, str, str]]] = {
    # a fault of one meter: Modbus TCP,  a line of RTU,  DLMS wrapper,  a line of HDLC,  a line of DL/T 645
    "silent":            ("silent",    "silent",       "silent",      "silent",        "silent"),
    "late":              ("silent",    "silent",       "silent",      "silent",        "silent"),
    "delay":             ("value",     "value",        "value",       "value",         "value"),
    "noise":             ("silent",    "noise silent", "silent",      "noise silent",  "noise silent"),
    "garbage":           ("noise",     "noise",        "garbled",     "noise",         "noise"),
    "flood":             ("noise",     "noise",        "garbled",     "noise",         "noise"),
    "babble":            ("noise",     "value",        "garbled",     "value",         "value"),
    "cut":               ("link_lost", "link_lost",    "link_lost",   "link_lost",     "link_lost"),
    "close":             ("link_lost", "link_lost",    "link_lost",   "link_lost",     "link_lost"),
    "exception":         ("exception", "exception",    "declined",    "declined",      "exception"),
    "short":             ("garbled",   "garbled",      "garbled",     "garbled",       "garbled"),
    "wrong_unit":        ("silent",    "silent",       "silent",      "silent",        "silent"),
    "wrong_transaction": ("silent",    "silent",       "breach",      "breach",        "silent"),
}  # fmt: skip
"""What a read gives under each fault: a true value, or the reason of its failure. The next read is always good."""

ON_A_SERIAL_PORT: Final[dict[FaultName, dict[str, str]]] = {
    "cut": {"rtu": "noise", "hdlc": "noise", "dlt645": "noise"},
    "close": {"rtu": "silent", "hdlc": "silent", "dlt645": "silent"},
}
"""A serial port has no connection that a meter could close."""

MEDIA: Final = ("mbap", "rtu", "wrapper", "hdlc", "dlt645")


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    assert isinstance(request.param, Way)
    return request.param


@pytest.fixture
async def line(way: Way, tmp_path: Path) -> AsyncIterator[DriverLine]:
    async with driver_line(way, tmp_path) as opened:
        yield opened


def protocol(line: DriverLine) -> str:
    return line.way.bus.split("_")[0].removesuffix("_tcp")


def true(line: DriverLine, outcome: object, meter: str, quantities: frozenset[str], at_ms: int = NOW_MS) -> bool:
    """Whether a read gave all these quantities as the customer's physics has them."""
    assert isinstance(outcome, Reading), outcome
    truth = shown(SHOP if meter == "m1" else ROOF, at_ms)
    assert outcome.values.keys() == quantities
    for quantity, value in outcome.values.items():
        step = RESOLUTION[protocol(line)].get(QUANTITIES[quantity].unit, 0.0)
        assert value == pytest.approx(truth[quantity], rel=FLOAT32, abs=step / 2 + 1e-9), quantity
    return outcome.quality == 0


async def test_a_line_is_opened_read_closed_and_opened_again(line: DriverLine):
    driver = line.driver
    assert not driver.connected
    refused = await driver.read("m1", VOLTAGES)
    assert isinstance(refused, ReadFailure)
    assert refused.reason is Reason.LINK_LOST
    for _ in range(2):
        assert await driver.connect() is None
        assert driver.connected
        assert true(line, await driver.read("m1", VOLTAGES), "m1", VOLTAGES)
        driver.close()
        assert not driver.connected
        driver.close()
    assert not driver.connected


async def test_connecting_anew_while_connected_leaves_one_good_line(line: DriverLine):
    assert true(line, await line.read("m1", VOLTAGES), "m1", VOLTAGES)
    assert await line.driver.connect() is None

    assert line.driver.connected
    assert true(line, await line.driver.read("m1", CURRENTS), "m1", CURRENTS)


async def test_nothing_wanted_is_nothing_asked_and_what_is_not_offered_is_left_out(line: DriverLine):
    await line.read("m1", VOLTAGES)
    before = line.server.requests_total
    nothing = [await line.read("m1", frozenset(names)) for names in ((), ("magic_energy",))]
    assert [outcome.values for outcome in nothing if isinstance(outcome, Reading)] == [{}, {}]
    assert line.server.requests_total == before

    assert true(line, await line.read("m1", VOLTAGES | {"magic_energy"}), "m1", VOLTAGES)


async def test_a_driver_offers_what_a_read_can_give(line: DriverLine):
    offered = line.driver.offers("m1")
    lacks = LACKS[protocol(line)]
    assert offered > VOLTAGES | CURRENTS | lacks
    for _ in range(2):  # whatever it learned from the first
        outcome = await line.read("m1", offered)
        assert isinstance(outcome, Reading)
        assert outcome.values.keys() == offered
        assert {quantity for quantity, value in outcome.values.items() if value is None} == lacks
        assert outcome.quality == (Quality.PARTIAL if lacks else 0)
        assert outcome.requests > 0
    assert line.driver.offers("m1") == offered


async def test_every_driver_shows_the_same_customers_the_same(line: DriverLine):
    common = frozenset(shown(SHOP, NOW_MS))
    assert common <= line.driver.offers("m1")
    registers = {quantity for quantity in common if QUANTITIES[quantity].kind is Kind.REGISTER}
    before: dict[tuple[str, str], float] = {}
    for at_ms in INSTANTS:
        line.clock.at_ms = at_ms
        for meter in ("m1", "m2"):
            outcome = await line.read(meter, common)
            assert true(line, outcome, meter, common, at_ms)
            assert isinstance(outcome, Reading)
            assert outcome.measured_at == at_ms
            for quantity in registers:
                value = outcome.values[quantity]
                assert value is not None
                assert value >= before.get((meter, quantity), 0.0)
                before[meter, quantity] = value
    assert before["m1", "active_energy_export"] == 0 < before["m2", "active_energy_export"]


async def test_what_a_meter_does_not_have_costs_itself_alone(way: Way, tmp_path: Path):
    wanted = VOLTAGES | {"frequency", "active_energy_import"}
    async with driver_line(way, tmp_path, frequency=False) as line:
        for _ in range(3):
            outcome = await line.read("m1", wanted)
            assert isinstance(outcome, Reading)
            assert outcome.values["frequency"] is None
            assert outcome.quality == Quality.PARTIAL
            there = {quantity: value for quantity, value in outcome.values.items() if quantity != "frequency"}
            assert true(line, Reading(NOW_MS, there), "m1", wanted - {"frequency"})


@pytest.mark.parametrize("fault", OUTCOMES)
async def test_a_fault_of_one_meter_has_its_reason_and_costs_neither_its_neighbour_nor_the_next_read(
    line: DriverLine, fault: FaultName
):
    medium = line.way.medium
    usual = OUTCOMES[fault][MEDIA.index(medium)]
    allowed = (ON_A_SERIAL_PORT.get(fault, {}).get(medium, usual) if line.way.serial else usual).split()
    assert true(line, await line.read("m1", VOLTAGES), "m1", VOLTAGES)
    line.suffers(fault, {"late": line.way.patience_s + 0.02, "delay": 0.25 * TIMEOUT_S}.get(fault, 0.0))

    outcome = await line.read("m1", VOLTAGES)
    if fault == "late":
        # What was asked is answered while nobody speaks, each poll of HDLC, too: it would collide with a question.
        await asyncio.sleep(line.way.patience_s - TIMEOUT_S + 0.06)
    neighbour = await line.read("m2", VOLTAGES)
    line.recovers()
    later = [await line.read("m1", quantities) for quantities in (CURRENTS, VOLTAGES)]

    if isinstance(outcome, ReadFailure):
        assert outcome.reason in allowed
        assert str(outcome)
    else:
        assert allowed == ["value"]
        assert true(line, outcome, "m1", VOLTAGES)
    assert true(line, neighbour, "m2", VOLTAGES)
    assert true(line, later[0], "m1", CURRENTS)
    assert true(line, later[1], "m1", VOLTAGES)


# RTU carries no mark of the question in its answers: that a meter answers in order is all there is to go by.
@pytest.mark.parametrize(
    ("way", "overtaken"),
    [(way, overtaken) for way in WAYS for overtaken in (False, True) if not (overtaken and way.medium == "rtu")],
    ids=str,
    indirect=["way"],
)
async def test_a_late_answer_never_becomes_the_next_questions_value(line: DriverLine, overtaken: bool):
    await line.read("m1", VOLTAGES)
    # In the middle of the time for which the second question is waited for; behind an association where one is made.
    later_s = (2.0 if overtaken and line.way.medium == "hdlc" else 0.5) * TIMEOUT_S
    line.suffers("late", line.way.patience_s + later_s)
    late = await line.read("m1", VOLTAGES)
    assert isinstance(late, ReadFailure)
    if overtaken:  # as by the packets of a mobile network
        line.recovers()
        assert true(line, await line.read("m1", CURRENTS), "m1", CURRENTS)
    line.suffers("silent")  # the late answer alone comes, while another one is waited for

    assert isinstance(await line.read("m1", CURRENTS), ReadFailure)
    line.recovers()
    assert true(line, await line.read("m1", CURRENTS), "m1", CURRENTS)


async def test_a_cancelled_read_leaves_nothing_behind(line: DriverLine):
    await line.read("m1", VOLTAGES)
    line.suffers("delay", 0.4 * TIMEOUT_S)
    before = line.server.requests_total
    reading = asyncio.create_task(line.read("m1", VOLTAGES))
    await until(lambda: line.server.requests_total > before, "the meter is asked")
    reading.cancel()
    await asyncio.wait({reading})

    assert reading.cancelled()
    assert true(line, await line.read("m1", CURRENTS), "m1", CURRENTS)
    assert true(line, await line.read("m1", CURRENTS), "m1", CURRENTS)
    assert true(line, await line.read("m2", VOLTAGES), "m2", VOLTAGES)


async def test_a_connection_that_breaks_is_said_and_made_again_when_it_can_be(line: DriverLine):
    await line.read("m1", VOLTAGES)
    line.suffers("delay", 0.9 * TIMEOUT_S)
    before = line.server.requests_total
    reading = asyncio.create_task(line.driver.read("m1", VOLTAGES))
    await until(lambda: line.server.requests_total > before, "the meter is asked")
    await line.server.stop()
    lost = await reading
    assert isinstance(lost, ReadFailure)
    assert lost.reason in (Reason.LINK_LOST, *([Reason.UNPLUGGED] if line.way.serial else []))
    assert not line.driver.connected
    refused = await line.driver.connect()
    assert isinstance(refused, ReadFailure)
    assert refused.reason is (Reason.NO_PORT if line.way.serial else Reason.REFUSED)
    line.recovers()
    await line.server.start()

    assert true(line, await line.read("m1", VOLTAGES), "m1", VOLTAGES)
    assert true(line, await line.read("m2", CURRENTS), "m2", CURRENTS)


async def test_more_quantities_never_cost_less(line: DriverLine):
    cost = line.driver.cost
    offered = sorted(line.driver.offers("m1"))
    nothing = cost("m1", frozenset())
    assert (nothing.requests, nothing.registers, nothing.line_s) == (0, 0, 0)
    for seed in range(5):
        order = random.Random(seed).sample(offered, len(offered))
        grown = [cost("m1", frozenset(order[: n + 1])) for n in range(len(order))]
        assert all(one.requests > 0 and one.registers > 0 and one.line_s > 0 for one in grown)
        assert [one.line_s for one in grown] == sorted(one.line_s for one in grown)
    assert isinstance(nothing, Cost)
    assert cost("m1", frozenset({"magic_energy"})) == nothing
