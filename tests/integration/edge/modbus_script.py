"""A Modbus TCP endpoint that does what a test writes down for each unit, good or bad."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Ask:
    transaction: int
    unit: int
    function: int
    address: int
    count: int

    def frame(self, pdu: bytes, unit: int | None = None) -> bytes:
        return struct.pack(">HHHB", self.transaction, 0, len(pdu) + 1, self.unit if unit is None else unit) + pdu

    def registers(self, words: list[int]) -> bytes:
        return self.frame(struct.pack(f">BB{len(words)}H", self.function, 2 * len(words), *words))

    def exception(self, code: int) -> bytes:
        return self.frame(bytes([self.function | 0x80, code]))


HANG_UP = b"hang up"
Behaviour = Callable[[Ask], bytes]


def counting(ask: Ask) -> bytes:
    """Every register holds its own address."""
    return ask.registers([(ask.address + i) & 0xFFFF for i in range(ask.count)])


def floats(values: dict[int, float]) -> Behaviour:
    """float32 values by address, high word first; zero elsewhere."""
    words: dict[int, int] = {}
    for address, value in values.items():
        words[address], words[address + 1] = struct.unpack(">HH", struct.pack(">f", value))
    return lambda ask: ask.registers([words.get(ask.address + i, 0) for i in range(ask.count)])


def silent(_: Ask) -> bytes:
    return b""


def refusing(code: int) -> Behaviour:
    return lambda ask: ask.exception(code)


def short(ask: Ask) -> bytes:
    return ask.registers([1] * (ask.count // 2))


def other_unit(ask: Ask) -> bytes:
    return ask.frame(struct.pack(f">BB{ask.count}H", ask.function, 2 * ask.count, *[7] * ask.count), ask.unit + 1)


def broken_off(ask: Ask) -> bytes:
    return counting(ask)[:-5]


def with_crc(ask: Ask) -> bytes:
    """As serial servers answer that forget to take the CRC of the line away."""
    return counting(ask) + b"\x12\x34"


def garbage(_: Ask) -> bytes:
    return b"\xff\x00garbage that is no frame"


def hang_up(_: Ask) -> bytes:
    return HANG_UP


def answer_and_hang_up(behaviour: Behaviour) -> Behaviour:
    return lambda ask: behaviour(ask) + HANG_UP


@dataclass
class ModbusScript:
    """``units`` may be changed while the endpoint runs; an unknown unit is silent."""

    units: dict[int, Behaviour] = field(default_factory=dict)
    asked: list[Ask] = field(default_factory=list)
    calls: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> ModbusScript:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await self._server.wait_closed()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        self._open.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readexactly(7)
                    transaction, _, length, unit = struct.unpack(">HHHB", head)
                    body = await reader.readexactly(length - 1)
                    ask = Ask(transaction, unit, *struct.unpack(">BHH", body[:5]))
                    self.asked.append(ask)
                    answer = self.units.get(unit, silent)(ask)
                    writer.write(answer.removesuffix(HANG_UP))
                    if answer.endswith(HANG_UP):
                        return
        finally:
            self._open.discard(writer)
            writer.close()
