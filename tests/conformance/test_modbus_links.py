"""What is Modbus alone, over every way in which a meter is connected; see ``test_driver_conformance`` for the rest.

Inside TLS the faults are told here: it is Modbus TCP with another opening.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.mbap_link import MbapLink
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.modbus.rtu_link import RtuLink
from edge_agent.drivers.registry import BusSettings
from metering.clock import SystemClock
from simulators.faults import Fault
from simulators.modbus_meter import ModbusServer
from simulators.paced_line import LineSpeed
from simulators.park_server import Server
from simulators.rtu_tcp_server import RtuTcpServer
from simulators.terminal_line import PtyLine
from tests.support.certificates import authority, certificate
from tests.support.metered import FUNCTION, endpoint, registers

TIMEOUT_S = 0.12
BLOCK = Span(0x0000, 10)
LIKE_IT = Span(0x0046, 10)
LONGEST = Span(0x0000, 80)
SPEED = LineSpeed(115200)
KINDS = ("modbus_tcp", "modbus_tls", "modbus_rtu_tcp", "modbus_rtu")

IN_TLS = pytest.mark.parametrize("bus", ["modbus_tls"], indirect=True)

ADAPTER = TypeAdapter(BusSettings)


@dataclass
class Connected:
    kind: str
    link: MbapLink | RtuLink
    server: Server

    def suffers(self, *faults: Fault) -> None:
        self.server.endpoint.wire.faults = faults

    async def read(self, unit: int = 1, block: Span = BLOCK) -> list[int] | ReadFailure:
        return await self.link.read(unit, FUNCTION, block)

    async def fails(self, unit: int = 1, block: Span = BLOCK) -> Reason:
        outcome = await self.read(unit, block)
        assert isinstance(outcome, ReadFailure)
        assert str(outcome)
        return outcome.reason


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    certificate(folder, "meter", authority(folder, "park"))
    return folder


@pytest.fixture(params=KINDS)
async def bus(request: pytest.FixtureRequest, tmp_path: Path, papers: Path) -> AsyncIterator[Connected]:
    kind = request.param
    clock = SystemClock()
    document: dict[str, object] = {"id": "b", "type": kind, "timeout": f"{TIMEOUT_S * 1000:g}ms", "turnaround": "1ms"}
    server: Server
    if kind == "modbus_rtu":
        server = PtyLine(endpoint(), clock, tmp_path / "line-1", SPEED)
        document |= {"device": str(server.path), "baudrate": SPEED.baudrate}
    elif kind == "modbus_rtu_tcp":
        server = RtuTcpServer(endpoint(), clock, speed=SPEED)
        document |= {"baudrate": SPEED.baudrate}
    elif kind == "modbus_tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(papers / "meter.crt", papers / "meter.key")
        server = ModbusServer(endpoint(), clock, tls=context)
        document |= {"ca_file": str(papers / "park.crt")}
    else:
        server = ModbusServer(endpoint(), clock)
    await server.start()
    if not isinstance(server, PtyLine):
        document |= {"host": "localhost", "port": server.port}
    link = make_link(ADAPTER.validate_python(document))
    yield Connected(kind, link, server)
    link.close()
    await server.stop()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("block", [Span(0, 1), BLOCK, LONGEST], ids=str)
async def test_a_block_is_read_as_it_stands_in_the_meter(bus: Connected, block: Span):
    assert await bus.link.connect() is None

    assert await bus.read(2, block) == registers(block)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("silent", Reason.SILENT),
        ("dead", Reason.SILENT),
        ("late", Reason.SILENT),
        ("wrong_unit", Reason.SILENT),
        ("wrong_transaction", Reason.SILENT),
        ("exception", Reason.EXCEPTION),
        ("short", Reason.GARBLED),
        ("garbage", Reason.NOISE),
    ],
)
@IN_TLS
async def test_a_fault_of_one_meter_is_a_value_and_costs_the_next_one_nothing(bus: Connected, fault, reason: Reason):
    assert await bus.link.connect() is None
    bus.suffers(Fault(fault, frozenset({1}), delay_s=1.5 * TIMEOUT_S if fault == "late" else 0))

    assert await bus.fails(1) is reason
    assert await bus.read(2) == registers(BLOCK)
    bus.suffers()
    assert await bus.read(1, LIKE_IT) == registers(LIKE_IT)
    assert await bus.read(1) == registers(BLOCK)


async def test_an_adapter_that_hears_itself_is_counted_and_does_no_harm(bus: Connected):
    assert await bus.link.connect() is None
    bus.suffers(Fault("echo"))

    assert [await bus.read(1, block) for block in (BLOCK, LIKE_IT, LONGEST)] == [
        registers(block) for block in (BLOCK, LIKE_IT, LONGEST)
    ]
    assert getattr(bus.link, "echoes_total", 3) == 3


async def test_the_code_of_an_exception_is_kept(bus: Connected):
    assert await bus.link.connect() is None

    outcome = await bus.read(1, Span(0x4000, 2))

    assert isinstance(outcome, ReadFailure)
    assert (outcome.reason, outcome.code) == (Reason.EXCEPTION, 2)


@IN_TLS
async def test_a_connection_that_breaks_is_said_at_once_and_made_again(bus: Connected):
    assert await bus.link.connect() is None
    assert await bus.read() == registers(BLOCK)
    bus.suffers(Fault("delay", delay_s=0.9 * TIMEOUT_S))
    reading = asyncio.create_task(bus.read())
    await asyncio.sleep(0.2 * TIMEOUT_S)
    await bus.server.stop()

    outcome = await reading

    assert isinstance(outcome, ReadFailure)
    assert outcome.reason is Reason.LINK_LOST
    assert not bus.link.connected
    refused = await bus.link.connect()
    assert isinstance(refused, ReadFailure)
    assert refused.reason is Reason.REFUSED
    bus.suffers()
    await bus.server.start()
    assert await bus.link.connect() is None
    assert await bus.read() == registers(BLOCK)


async def test_twelve_silences_do_not_close_the_line_to_the_others(bus: Connected):
    assert await bus.link.connect() is None
    bus.suffers(Fault("silent", frozenset({1})))
    for _ in range(12):
        assert await bus.fails(1) is Reason.SILENT

    assert bus.link.connected
    assert await bus.read(2) == registers(BLOCK)


async def test_a_cancelled_read_does_not_disturb_the_next(bus: Connected):
    assert await bus.link.connect() is None
    bus.suffers(Fault("delay", frozenset({1}), delay_s=0.5 * TIMEOUT_S))
    reading = asyncio.create_task(bus.read())
    await asyncio.sleep(0.2 * TIMEOUT_S)
    reading.cancel()
    bus.suffers()

    assert await bus.read(1, LIKE_IT) == registers(LIKE_IT)
    assert reading.cancelled()
