"""The Modbus links: what a read costs beside a client that does nothing else, and how much of a serial line is used.

The peer on TCP is an ``asyncio.Protocol`` that sends a prepared question and takes as many octets as the answer must
have: no decoding into objects, no time-out, no failure has a name. Both read the same server, which answers with bytes
prepared before; it runs in a process of its own, so that only the client's CPU time counts.
"""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from edge_agent.drivers.driver import ReadFailure
from edge_agent.drivers.modbus.bus_settings import ModbusRtuSettings, ModbusTcpSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.read_plan import Span
from metering.clock import SystemClock
from simulators.terminal_line import PtyLine
from tests.bench.figures import Figure, compared
from tests.bench.timing import Turn, nanoseconds, rates
from tests.support.metered import FUNCTION, endpoint

_BLOCK: Final = Span(0, 40)
_READS: Final = 4000
_ANSWER_OCTETS: Final = 9 + 2 * _BLOCK.count
_BAUDRATE: Final = 9600
_LINE_READS: Final = 100

_SERVER: Final = """
import asyncio, sys

PREPARED = bytes(2) + bytes((0, 83, 1, 4, 80)) + bytes(range(80))

class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data[:2] + PREPARED)

async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


class _Bare(asyncio.Protocol):
    """A question, and as many octets as its answer has."""

    def __init__(self) -> None:
        self.octets = bytearray()
        self.answer: asyncio.Future[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole."""
        self.octets += data
        if len(self.octets) >= _ANSWER_OCTETS and self.answer is not None:
            self.answer.set_result(bytes(self.octets))
            self.octets.clear()


def run(quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    with _server() as port, asyncio.Runner() as runner:
        ours, bare = rates(_ours(runner, port), _bare(runner, port), repeats=3 if quick else 9)
    yield compared(
        "40 registers over TCP, reads/s of one core",
        "modbus.tcp.reads_per_s",
        ours,
        "1/s",
        bare,
        "bare asyncio.Protocol, nothing decoded into objects or checked",
        "modbus.tcp.reads_per_s_ratio_to_raw_asyncio",
    )
    added_us = (nanoseconds(ours) - nanoseconds(bare)) / 1000
    yield Figure("what the link adds to a read", added_us, "us", {"modbus.tcp.link_adds_us": added_us})
    share = asyncio.run(_share_of_line_rate(20 if quick else _LINE_READS))
    yield Figure(f"share of the rate of a {_BAUDRATE} Bd line", share, "of 1", {"modbus.rtu.share_of_line_rate": share})


@contextmanager
def _server() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        assert process.stdin is not None
        process.stdin.close()


def _ours(runner: asyncio.Runner, port: int) -> Iterator[Turn]:
    link = make_link(ModbusTcpSettings(id="b", type="modbus_tcp", host="127.0.0.1", port=port))
    assert runner.run(link.connect()) is None

    async def reads() -> int:
        for _ in range(_READS):
            words = await link.read(1, 4, _BLOCK)
            assert not isinstance(words, ReadFailure)
        return _READS

    yield from _for_ever(runner, reads)


def _bare(runner: asyncio.Runner, port: int) -> Iterator[Turn]:
    async def connection() -> tuple[asyncio.Transport, _Bare]:
        return await asyncio.get_running_loop().create_connection(_Bare, "127.0.0.1", port)

    transport, bare = runner.run(connection())
    unpack = struct.Struct(f">{_BLOCK.count}H").unpack

    async def reads() -> int:
        loop = asyncio.get_running_loop()
        for n in range(_READS):
            bare.answer = loop.create_future()
            transport.write(struct.pack(">HHHBBHH", n, 0, 6, 1, 4, _BLOCK.address, _BLOCK.count))
            unpack((await bare.answer)[9:])
        return _READS

    yield from _for_ever(runner, reads)


def _for_ever(runner: asyncio.Runner, reads: Callable[[], Coroutine[None, None, int]]) -> Iterator[Turn]:
    while True:
        yield lambda: runner.run(reads())


async def _share_of_line_rate(reads: int) -> float:
    """What the line could carry at best, over what it took."""
    with TemporaryDirectory() as folder:
        line = PtyLine(endpoint(), SystemClock(), Path(folder) / "line-1")
        await line.start()
        document = {"id": "b", "type": "modbus_rtu", "device": str(line.path), "baudrate": _BAUDRATE}
        link = make_link(ModbusRtuSettings.model_validate(document))
        assert await link.connect() is None
        await link.read(1, FUNCTION, _BLOCK)
        started_s = time.perf_counter()
        for _ in range(reads):
            words = await link.read(1, FUNCTION, _BLOCK)
            assert not isinstance(words, ReadFailure)
        taken_s = time.perf_counter() - started_s
        link.close()
        await line.stop()
    return reads * replace(link.pace, turnaround_s=0.0).read_s(_BLOCK.count) / taken_s
