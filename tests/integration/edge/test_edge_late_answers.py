"""Real sockets and pseudo-terminals: a peer that answers late never makes one block's values another's."""

from __future__ import annotations

import asyncio
import os
import random
import struct
import tty
from collections.abc import AsyncIterator

import pytest

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.bus_settings import ModbusRtuSettings, ModbusRtuTcpSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.mbap_link import MbapLink
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.modbus.rtu_link import RtuLink
from simulators.framing import RtuFrame

TIMEOUT_S = 0.06
BLOCKS = (Span(0x0100, 10), Span(0x0200, 10), Span(0x0300, 4), Span(0x0400, 10))


class LatePeer:
    """Every register holds its own address; answers come in order, each ``delays`` after its question."""

    def __init__(self) -> None:
        self.delays: list[float] = []  # for the next questions; then none
        self.prefix = b""  # before each answer
        self.repeats = False  # each answer once more, in front of the next
        self.asked: list[tuple[int, int]] = []
        self._write = lambda _: None
        self._after_s: dict[int, float] = {}

    def connect_to(self, write) -> None:
        self._write = write

    def hear(self, octets: bytes) -> None:
        frame = RtuFrame.parse(octets)
        assert frame is not None
        function, address, count = struct.unpack(">BHH", frame.pdu)
        self.asked.append((address, count))
        words = struct.pack(f">{count}H", *range(address, address + count))
        answer = frame.with_pdu(bytes((function, 2 * count)) + words).octets
        loop = asyncio.get_running_loop()
        delay_s = self.delays.pop(0) if self.delays else 0.0
        self._after_s[frame.unit] = max(self._after_s.get(frame.unit, 0.0), loop.time() + delay_s)
        before = self.prefix
        loop.call_at(self._after_s[frame.unit], lambda: self._write(before + answer))
        if self.repeats:
            self.prefix = answer


@pytest.fixture(params=["modbus_rtu_tcp", "modbus_rtu"])
async def line(request: pytest.FixtureRequest) -> AsyncIterator[tuple[LatePeer, RtuLink | MbapLink]]:
    peer = LatePeer()
    common = {"id": "b", "baudrate": 115200, "timeout": f"{TIMEOUT_S * 1000:g}ms", "turnaround": "1ms"}
    if request.param == "modbus_rtu_tcp":

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer.connect_to(writer.write)
            while octets := await reader.read(100):
                peer.hear(octets)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = make_link(
            ModbusRtuTcpSettings.model_validate(common | {"type": request.param, "host": "127.0.0.1", "port": port})
        )
        assert await link.connect() is None
        yield peer, link
        link.close()
        server.close()
        await asyncio.sleep(0.01)
        return
    near, far = os.openpty()
    tty.setraw(far)
    loop = asyncio.get_running_loop()
    peer.connect_to(lambda octets: os.write(near, octets))
    loop.add_reader(near, lambda: peer.hear(os.read(near, 100)))
    link = make_link(ModbusRtuSettings.model_validate(common | {"type": request.param, "device": os.ttyname(far)}))
    assert await link.connect() is None
    yield peer, link
    link.close()
    await asyncio.sleep(4 * TIMEOUT_S)
    loop.remove_reader(near)
    os.close(near)
    os.close(far)


def right(block: Span) -> list[int]:
    return list(range(block.address, block.end))


async def test_an_answer_that_comes_twice_costs_no_other(line: tuple[LatePeer, RtuLink | MbapLink]):
    peer, link = line
    peer.repeats = True
    for block in (BLOCKS[0], BLOCKS[2], BLOCKS[1], BLOCKS[2]):
        assert await link.read(1, 3, block) == right(block)


@pytest.mark.parametrize("late", [n / 4 for n in range(13)])
async def test_no_value_of_one_block_ever_appears_as_anothers(line, late: float):
    peer, link = line
    chosen = random.Random(late)
    outcomes = []
    for n in range(9):
        peer.delays = [late * TIMEOUT_S] if n % 3 == 0 else []
        block = BLOCKS[n % 3 if n < 3 else chosen.randrange(len(BLOCKS))]
        outcomes.append((block, await link.read(1, 4, block)))

    wrong = [(block, words) for block, words in outcomes if isinstance(words, list) and words != right(block)]
    assert wrong == []
    if late < 0.75:
        assert all(isinstance(words, list) for _, words in outcomes)
    peer.delays = []
    await asyncio.sleep(late * TIMEOUT_S)
    assert await link.read(1, 4, BLOCKS[0]) == right(BLOCKS[0])


async def test_a_look_alike_is_asked_behind_a_fence_and_then_everything_is_as_before(line):
    peer, link = line
    peer.delays = [1.5 * TIMEOUT_S]

    failure = await link.read(1, 4, BLOCKS[0])
    words = [await link.read(1, 4, block) for block in BLOCKS]

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.SILENT
    assert words == [right(block) for block in BLOCKS]
    assert peer.asked == [(0x100, 10), (0x100, 2), (0x100, 10), (0x200, 10), (0x300, 4), (0x400, 10)]


async def test_a_block_of_one_register_waits_until_nothing_can_come_any_more(line):
    peer, link = line
    peer.delays = [2.5 * TIMEOUT_S]

    assert isinstance(await link.read(1, 4, Span(7, 1)), ReadFailure)
    before = asyncio.get_running_loop().time()
    assert await link.read(1, 4, Span(9, 1)) == [9]

    assert asyncio.get_running_loop().time() - before > 2 * TIMEOUT_S


async def test_another_unit_does_not_wait_for_the_silent_one(line):
    peer, link = line
    peer.delays = [2 * TIMEOUT_S]

    assert isinstance(await link.read(1, 4, BLOCKS[0]), ReadFailure)
    assert await link.read(2, 4, BLOCKS[1]) == right(BLOCKS[1])

    assert len(peer.asked) == 2


async def test_a_cancelled_read_does_not_give_its_answer_to_the_next(line):
    peer, link = line
    peer.delays = [0.5 * TIMEOUT_S]
    reading = asyncio.create_task(link.read(1, 4, BLOCKS[0]))
    await asyncio.sleep(0.1 * TIMEOUT_S)
    reading.cancel()

    assert await link.read(1, 4, BLOCKS[1]) == right(BLOCKS[1])
    assert reading.cancelled()


@pytest.mark.parametrize("prefix", [b"\x00", b"\x01\x04", b"\x01\x04\xff", b"\x01\x83\x02", bytes(range(250))])
async def test_noise_before_an_answer_costs_nothing(line, prefix: bytes):
    peer, link = line
    peer.prefix = prefix

    assert [await link.read(1, 4, block) for block in BLOCKS] == [right(block) for block in BLOCKS]


async def test_the_answer_to_another_function_is_not_taken(line):
    peer, link = line
    peer.delays = [1.5 * TIMEOUT_S]

    assert isinstance(await link.read(1, 3, BLOCKS[0]), ReadFailure)
    assert await link.read(1, 4, BLOCKS[1]) == right(BLOCKS[1])
