"""Serial ports: what cannot be opened and why, one master a line, the wrong speed, a real pair of terminals."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.bus_settings import ModbusRtuSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.mbap_link import MbapLink
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.modbus.rtu_link import RtuLink
from metering.clock import SystemClock
from simulators.paced_line import LineSpeed
from simulators.terminal_line import DeviceLine, PtyLine
from tests.support.metered import FUNCTION, endpoint, registers

BLOCK = Span(0, 10)
NOBODY = 65534


def link_to(device: Path, baudrate: int = 115200, **more: object) -> MbapLink | RtuLink:
    document = {"id": "b", "type": "modbus_rtu", "device": str(device), "baudrate": baudrate, "timeout": "150ms"}
    return make_link(ModbusRtuSettings.model_validate(document | more))


async def refused(link: MbapLink | RtuLink) -> Reason:
    failure = await link.connect()
    assert isinstance(failure, ReadFailure)
    return failure.reason


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[PtyLine]:
    started = PtyLine(endpoint(), SystemClock(), tmp_path / "line-1", LineSpeed(115200))
    await started.start()
    yield started
    await started.stop()


async def test_a_port_that_is_not_there_or_is_none(tmp_path: Path):
    (tmp_path / "file").touch()

    assert await refused(link_to(tmp_path / "ttyUSB7")) is Reason.NO_PORT
    assert await refused(link_to(tmp_path / "file")) is Reason.NO_PORT


async def test_a_port_that_cannot_do_parity_says_so(line: PtyLine):
    failure = await link_to(line.path, parity="even").connect()

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.PORT_SETTINGS
    assert "115200 Bd, 8E1" in failure.detail


async def test_a_port_that_we_may_not_open(line: PtyLine):
    os.chmod(line.path, 0)  # noqa: PTH101 - follows the link, as it shall
    link = link_to(line.path.resolve())  # the folder is ours alone, too
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    try:
        reason = await refused(link)
    finally:
        os.seteuid(me)

    assert reason is Reason.NO_PERMISSION


async def test_a_second_master_is_refused_until_the_first_has_gone(line: PtyLine):
    first, second = link_to(line.path), link_to(line.path)
    assert await first.connect() is None

    assert await refused(second) is Reason.PORT_TAKEN
    assert await first.read(1, FUNCTION, BLOCK) == registers(BLOCK)
    first.close()
    assert await second.connect() is None
    assert await second.read(1, FUNCTION, BLOCK) == registers(BLOCK)
    second.close()


async def test_at_another_speed_nobody_answers(line: PtyLine):
    link = link_to(line.path, 57600)
    assert await link.connect() is None

    failure = await link.read(1, FUNCTION, BLOCK)

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.SILENT
    assert line.requests_total == 0
    link.close()


async def test_the_silence_that_is_wished_is_kept_before_a_request(line: PtyLine):
    link = link_to(line.path, quiet="60ms")
    assert await link.connect() is None
    assert await link.read(1, FUNCTION, BLOCK) == registers(BLOCK)
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    assert await link.read(1, FUNCTION, BLOCK) == registers(BLOCK)
    at_once_s = loop.time() - started_s
    await asyncio.sleep(0.06)
    started_s = loop.time()
    assert await link.read(1, FUNCTION, BLOCK) == registers(BLOCK)

    assert at_once_s >= 0.06
    assert loop.time() - started_s < at_once_s
    link.close()


async def test_over_a_real_pair_of_terminals(tmp_path: Path):
    socat = shutil.which("socat")
    assert socat is not None, "socat is not installed → make servers"
    ends = tmp_path / "meters", tmp_path / "gateway"
    process = await asyncio.create_subprocess_exec(socat, *(f"PTY,link={end},raw,echo=0" for end in ends))
    try:
        while not all(end.exists() for end in ends):
            await asyncio.sleep(0.01)
        line = DeviceLine(endpoint(), SystemClock(), ends[0], LineSpeed(19200))
        await line.start()
        link = link_to(ends[1], 19200)
        assert await link.connect() is None

        assert await link.read(1, FUNCTION, BLOCK) == registers(BLOCK)
        assert isinstance(await link.read(9, FUNCTION, BLOCK), ReadFailure)
        assert await link.read(2, FUNCTION, Span(0, 80)) == registers(Span(0, 80))
        process.terminate()
        await process.wait()
        failure = await link.read(2, FUNCTION, BLOCK)
        assert isinstance(failure, ReadFailure)
        assert failure.reason is Reason.UNPLUGGED
        link.close()
        await line.stop()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
