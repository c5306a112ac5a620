"""The wall around pymodbus against an endpoint that misbehaves on purpose."""

from __future__ import annotations

import asyncio

import pytest
from modbus_script import (
    ModbusScript,
    answer_and_hang_up,
    broken_off,
    counting,
    garbage,
    hang_up,
    other_unit,
    refusing,
    short,
    silent,
    with_crc,
)

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.bus_settings import ModbusTcpSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.mbap_link import MbapLink
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.modbus.rtu_link import RtuLink
from simulators.stack import free_port


def link_to(port: int, host: str = "127.0.0.1", timeout: str = "100ms") -> MbapLink | RtuLink:
    return make_link(ModbusTcpSettings(id="b", type="modbus_tcp", host=host, port=port, timeout=timeout))


@pytest.fixture
async def link(endpoint: ModbusScript):
    one = link_to(endpoint.port)
    assert await one.connect() is None
    yield one
    one.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize(("function", "count"), [(3, 1), (4, 125)])
async def test_reads_what_was_asked(endpoint: ModbusScript, link: MbapLink | RtuLink, function: int, count: int):
    endpoint.units[7] = counting

    words = await link.read(7, function, Span(0x2000, count))

    assert words == list(range(0x2000, 0x2000 + count))
    assert (endpoint.asked[0].function, endpoint.asked[0].unit) == (function, 7)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (silent, Reason.SILENT),
        (refusing(2), Reason.EXCEPTION),
        (short, Reason.GARBLED),
        (other_unit, Reason.SILENT),
        (garbage, Reason.NOISE),
        (hang_up, Reason.LINK_LOST),
    ],
)
async def test_a_fault_is_a_value_and_the_link_goes_on(
    endpoint: ModbusScript, link: MbapLink | RtuLink, behaviour, reason
):
    endpoint.units = {1: behaviour, 2: counting}

    failure = await link.read(1, 4, Span(0, 10))

    assert isinstance(failure, ReadFailure)
    assert failure.reason is reason
    if not link.connected:
        assert await link.connect() is None
    assert await link.read(2, 4, Span(0, 3)) == [0, 1, 2]


async def test_an_endpoint_that_hangs_up_after_every_answer_is_read_on(
    endpoint: ModbusScript, link: MbapLink | RtuLink
):
    endpoint.units = {1: answer_and_hang_up(counting), 2: hang_up}

    words = [await link.read(1, 4, Span(address, 2)) for address in (0, 10, 20)]
    lost = await link.read(2, 4, Span(0, 2))

    assert words == [[0, 1], [10, 11], [20, 21]]
    assert isinstance(lost, ReadFailure)
    assert lost.reason is Reason.LINK_LOST
    assert endpoint.calls == 4


async def test_what_is_left_of_one_answer_costs_no_other(endpoint: ModbusScript, link: MbapLink | RtuLink):
    endpoint.units = {1: with_crc, 2: broken_off, 3: counting}

    good = [await link.read(unit, 4, Span(10, 3)) for unit in (1, 1, 3)]
    broken = await link.read(2, 4, Span(10, 3))
    after = await link.read(3, 4, Span(10, 3))

    assert isinstance(broken, ReadFailure)
    assert [*good, after] == [[10, 11, 12]] * 4


async def test_the_code_of_an_exception_is_kept(endpoint: ModbusScript, link: MbapLink | RtuLink):
    endpoint.units[1] = refusing(2)

    failure = await link.read(1, 3, Span(0, 2))

    assert isinstance(failure, ReadFailure)
    assert failure.code == 2


async def test_thirty_silences_do_not_close_the_link_to_the_others(endpoint: ModbusScript):
    link = link_to(endpoint.port, timeout="50ms")
    endpoint.units = {2: counting}
    assert await link.connect() is None
    for _ in range(30):
        assert isinstance(await link.read(1, 4, Span(0, 2)), ReadFailure)

    words = await link.read(2, 4, Span(0, 2))

    assert words == [0, 1]
    assert endpoint.calls == 1
    assert len(endpoint.asked) == 31
    link.close()


async def test_nobody_listens():
    failure = await link_to(free_port()).connect()

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.REFUSED


async def test_no_such_host():
    failure = await link_to(502, "no-such-meter.invalid").connect()

    assert isinstance(failure, ReadFailure)
    assert failure.reason in (Reason.UNKNOWN_HOST, Reason.UNREACHABLE)


@pytest.mark.parametrize("host", ["10.0..5", "m" * 64 + ".local", "meter\0"])
async def test_what_can_be_no_name_is_no_such_host(host: str):
    failure = await link_to(502, host).connect()

    assert failure == ReadFailure(Reason.UNKNOWN_HOST, host)


async def test_reading_without_a_connection_is_a_value_too():
    failure = await link_to(1).read(1, 4, Span(0, 1))

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.LINK_LOST
