"""Our server as pymodbus sees it, over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from metering.clock import SimulatedClock
from simulators.faults import Fault
from simulators.modbus_meter import ModbusServer, UnknownUnit
from simulators.park import Park, expand
from simulators.park_settings import ParkSettings

START = datetime(2026, 6, 18, 3, tzinfo=UTC)
PARK = expand(ParkSettings(start=START, trades={"retail": 4}), START)


@asynccontextmanager
async def served(park: Park = PARK, unknown_unit: UnknownUnit = "silent") -> AsyncIterator[ModbusServer]:
    settings = park.settings.model_copy(update={"unknown_unit": unknown_unit})
    endpoint = Park(settings, park.start_ms, park.meters, (), ()).endpoints()[0]
    still = SimulatedClock(park.start_ms, 1e-9, 0)
    server = ModbusServer(endpoint, still)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def connected(server: ModbusServer, timeout_s: float = 0.3) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=timeout_s, retries=0, reconnect_delay=0)
    client.set_max_no_responses(10**9)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()
        await asyncio.sleep(0.01)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What still arrives until the other side closes, politely or not."""
    try:
        return await asyncio.wait_for(reader.read(), 1)
    except ConnectionResetError:
        return b""


async def voltage(client: AsyncModbusTcpClient, unit: int = 1) -> float:
    answer = await client.read_input_registers(0, count=2, device_id=unit)
    assert not answer.isError()
    volts = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
    assert isinstance(volts, float)
    return volts


async def test_meters_of_both_models_answer_on_one_endpoint() -> None:
    async with served() as server, connected(server) as client:
        eastron, chint = (PARK.meters[n].meter.reading(PARK.start_ms) for n in (0, 1))
        answer = await client.read_holding_registers(0x2006, count=2, device_id=2)
        scaled = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)

        assert await voltage(client) == pytest.approx(eastron.flow.voltage_v[0], rel=1e-6)
        assert scaled == pytest.approx(10 * chint.flow.voltage_v[0], rel=1e-6)
        assert server.requests_total == 2


async def test_a_refusal_reaches_the_client() -> None:
    async with served() as server, connected(server) as client:
        answer = await client.read_input_registers(0x4000, count=2, device_id=1)

        assert answer.isError()
        assert answer.exception_code == 2


async def test_an_unknown_unit_is_silent_or_refused() -> None:
    async with served() as server, connected(server, 0.1) as client:
        with pytest.raises(ModbusException):
            await client.read_input_registers(0, count=2, device_id=99)
        assert await voltage(client) > 200
    async with served(unknown_unit="exception") as server, connected(server) as client:
        assert (await client.read_input_registers(0, count=2, device_id=99)).exception_code == 11


@pytest.mark.parametrize("name", ["silent", "drop", "garbage", "wrong_transaction"])
async def test_faults_that_look_like_silence(name: str) -> None:
    async with served() as server, connected(server, 0.1) as client:
        server.endpoint.wire.faults = (Fault(name, frozenset({1})),)  # type: ignore[arg-type]
        with pytest.raises(ModbusException):
            await client.read_input_registers(0, count=2, device_id=1)
        server.endpoint.wire.faults = ()
    async with served() as server, connected(server) as client:
        assert await voltage(client) > 200


async def test_a_late_answer_a_short_answer_and_an_exception() -> None:
    async with served() as server, connected(server) as client:
        server.endpoint.wire.faults = (Fault("delay", delay_s=0.1),)
        before = asyncio.get_running_loop().time()
        assert await voltage(client) > 200
        assert asyncio.get_running_loop().time() - before > 0.09

        server.endpoint.wire.faults = (Fault("short"),)
        assert len((await client.read_input_registers(0, count=8, device_id=1)).registers) == 4

        server.endpoint.wire.faults = (Fault("exception", code=6),)
        assert (await client.read_input_registers(0, count=2, device_id=1)).exception_code == 6


async def test_a_closed_connection_and_a_refusing_endpoint() -> None:
    async with served() as server:
        async with connected(server) as client:
            server.endpoint.wire.faults = (Fault("close"),)
            with pytest.raises(ModbusException):
                await client.read_input_registers(0, count=2, device_id=1)
            assert not client.connected
        server.endpoint.wire.faults = (Fault("refuse"),)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await rest_of(reader) == b""
        writer.close()


async def test_requests_that_arrive_in_pieces_or_together_are_answered_in_order() -> None:
    request = bytes.fromhex("000100000006010400000002") + bytes.fromhex("000200000006010400020002")
    async with served() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for at in range(0, len(request), 5):
            writer.write(request[at : at + 5])
            await asyncio.sleep(0.005)
        answers = await asyncio.wait_for(reader.readexactly(26), 1)
        writer.close()
        await writer.wait_closed()

    assert (answers[:2], answers[13:15]) == (b"\x00\x01", b"\x00\x02")


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x01\x00\x00\x00\x00\x01\x04", b"\xff" * 300])
async def test_a_stream_that_is_not_modbus_ends_the_connection(nonsense: bytes) -> None:
    async with served() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(nonsense)
        rest = await rest_of(reader)
        writer.close()

    assert rest == b""
