"""What is DL/T 645 alone, over both ways in which a line is connected; the rest: ``test_driver_conformance``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.drivers.dlt645.data import decode, taken_apart
from edge_agent.drivers.dlt645.link import Dlt645Link, make_dlt645_link
from edge_agent.drivers.driver import ReadFailure, Reason
from simulators.faults import Fault
from simulators.rtu_tcp_server import RtuTcpServer
from simulators.terminal_line import PtyLine
from tests.support.dlt645_line import KINDS, address, endpoint, served

TIMEOUT_S = 0.12
VOLTAGES = "0201FF00"
POWERS = "0203FF00"
COVER = "03300D01"
LONG = bytes(range(0x99)) * 3  # three frames
VOLTS = {"02010100": 229.5, "02010200": 230.2, "02010300": 231.0}
KILOWATTS = {"02030000": 6.75, "02030100": 2.0, "02030200": 2.25, "02030300": 2.5}


@dataclass
class Connected:
    kind: str
    link: Dlt645Link
    server: RtuTcpServer | PtyLine

    def suffers(self, *faults: Fault) -> None:
        self.server.endpoint.wire.faults = faults

    async def read(self, unit: int = 1, identifier: str = VOLTAGES) -> dict[str, float | None] | ReadFailure:
        answer = await self.link.read(address(unit), identifier)
        if isinstance(answer, ReadFailure):
            return answer
        parts = taken_apart(identifier, answer)
        if parts is None:
            return ReadFailure(Reason.GARBLED, "no whole values")
        return {one: decode(one, octets).number for one, octets in parts.items()}

    async def fails(self, unit: int = 1, identifier: str = VOLTAGES) -> Reason:
        outcome = await self.read(unit, identifier)
        assert isinstance(outcome, ReadFailure)
        assert str(outcome)
        return outcome.reason


@pytest.fixture(params=KINDS)
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Connected]:
    behind = endpoint(log={0x03300D: [LONG]})
    settings = {"timeout": f"{TIMEOUT_S * 1000:g}ms", "quiet": "60ms"}
    async with served(request.param, behind, tmp_path, **settings) as (bus_settings, server):
        link = make_dlt645_link(bus_settings)
        yield Connected(request.param, link, server)
        link.close()
    await asyncio.sleep(0.01)


async def test_blocks_are_read_as_the_meter_shows_them(bus: Connected):
    assert await bus.link.connect() is None

    assert await bus.read() == VOLTS
    assert await bus.read(2, POWERS) == KILOWATTS


async def test_an_answer_in_several_frames_is_given_as_one(bus: Connected):
    assert await bus.link.connect() is None

    assert await bus.link.read(address(1), COVER) == LONG
    assert await bus.read() == VOLTS


async def test_an_adapter_that_hears_itself_is_counted_and_does_no_harm(bus: Connected):
    assert await bus.link.connect() is None
    bus.suffers(Fault("echo"))

    assert [await bus.read(1, identifier) for identifier in (VOLTAGES, POWERS)] == [VOLTS, KILOWATTS]
    assert bus.link.echoes_total == 2


async def test_the_error_word_of_a_refusal_is_kept(bus: Connected):
    assert await bus.link.connect() is None

    outcome = await bus.read(1, "02800001")

    assert isinstance(outcome, ReadFailure)
    assert (outcome.reason, outcome.code) == (Reason.EXCEPTION, 2)
    assert "meter 000000000001, identifier 02 80 00 01" in outcome.detail


async def test_a_cancelled_read_does_not_disturb_the_next(bus: Connected):
    assert await bus.link.connect() is None
    bus.suffers(Fault("delay", frozenset({1}), delay_s=0.5 * TIMEOUT_S))
    reading = asyncio.create_task(bus.read())
    await asyncio.sleep(0.2 * TIMEOUT_S)
    reading.cancel()
    bus.suffers()

    assert await bus.read(1, POWERS) == KILOWATTS
    assert reading.cancelled()


async def test_a_line_that_is_never_silent_is_not_spoken_on(bus: Connected):
    assert await bus.link.connect() is None
    stream = bus.link._stream
    assert stream is not None
    chatter = asyncio.create_task(_chatter(stream))

    assert await bus.fails() is Reason.NOISE
    chatter.cancel()
    await asyncio.sleep(0.05)
    assert await bus.read() == VOLTS


async def _chatter(stream) -> None:
    while True:
        stream.data_received(b"\x00")
        await asyncio.sleep(0.005)
