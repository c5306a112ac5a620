"""The simulated line, heard by a master that is nothing but bytes."""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from metering.clock import SystemClock
from metering.config_file import ConfigError, load_file
from simulators.faults import Fault
from simulators.framing import RtuFrame
from simulators.paced_line import LineSpeed
from simulators.park_settings import ParkSettings, check_park
from simulators.terminal_line import PtyLine
from tests.support.metered import endpoint

QUESTION = RtuFrame(1, bytes((4, 0, 0, 0, 40)))  # 85 octets of answer
SPEED = LineSpeed(19200)
EXCHANGE_S = (8 + 85) * SPEED.character_s + SPEED.silence_s


class Master:
    def __init__(self, device: Path, speed: int) -> None:
        self.fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        attributes = termios.tcgetattr(self.fd)
        attributes[4] = attributes[5] = speed
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
        self.pieces: list[bytes] = []
        asyncio.get_running_loop().add_reader(self.fd, lambda: self.pieces.append(os.read(self.fd, 1000)))

    @property
    def heard(self) -> bytes:
        return b"".join(self.pieces)

    def say(self, octets: bytes) -> None:
        os.write(self.fd, octets)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.fd)
        os.close(self.fd)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[PtyLine]:
    started = PtyLine(endpoint(), SystemClock(), tmp_path / "line-1", SPEED)
    await started.start()
    yield started
    await started.stop()


@asynccontextmanager
async def master(line: PtyLine, speed: int = termios.B19200) -> AsyncIterator[Master]:
    one = Master(line.path, speed)
    try:
        yield one
    finally:
        one.close()


async def test_every_character_takes_its_time(line: PtyLine):
    async with master(line) as one:
        started_s = asyncio.get_running_loop().time()
        one.say(QUESTION.octets)
        while len(one.heard) < 85:
            await asyncio.sleep(0.001)
        taken_s = asyncio.get_running_loop().time() - started_s

        assert taken_s >= EXCHANGE_S
        assert len(one.pieces) > 10
        assert RtuFrame.parse(one.heard) is not None


async def test_a_question_that_is_cut_by_a_silence_is_none(line: PtyLine):
    async with master(line) as one:
        one.say(QUESTION.octets[:4])
        await asyncio.sleep(10 * SPEED.silence_s)
        one.say(QUESTION.octets[4:])
        await asyncio.sleep(2 * EXCHANGE_S)

        assert one.heard == b""
        assert line.requests_total == 0


async def test_where_both_speak_nobody_understands_anything(line: PtyLine):
    async with master(line) as one:
        one.say(QUESTION.octets)
        while not one.heard:
            await asyncio.sleep(0.001)
        one.say(QUESTION.octets)
        await asyncio.sleep(3 * EXCHANGE_S)

        assert len(one.heard) == 85
        assert RtuFrame.parse(one.heard) is None
        assert line.requests_total == 1


async def test_a_master_at_another_speed_is_not_understood(line: PtyLine):
    async with master(line, termios.B9600) as one:
        one.say(QUESTION.octets)
        await asyncio.sleep(2 * EXCHANGE_S)

        assert (one.heard, line.requests_total) == (b"", 0)


async def test_an_echo_comes_before_the_answer(line: PtyLine):
    line.endpoint.wire.faults = (Fault("echo"),)
    async with master(line) as one:
        one.say(QUESTION.octets)
        await asyncio.sleep(3 * EXCHANGE_S)

        assert one.heard[:8] == QUESTION.octets
        assert RtuFrame.parse(one.heard[8:]) is not None


async def test_a_line_that_is_unplugged_leaves_no_path_and_comes_back(line: PtyLine):
    await line.stop()
    assert not line.path.is_symlink()
    await line.start()

    async with master(line) as one:
        one.say(QUESTION.octets)
        await asyncio.sleep(3 * EXCHANGE_S)
        assert len(one.heard) == 85


def test_a_park_says_what_a_line_lacks(tmp_path: Path):
    file = tmp_path / "park.yaml"
    file.write_text("lines:\n  - {line: modbus_rtu, parity: even}\n  - {line: modbus_tls, key_file: nowhere.key}\n")

    with pytest.raises(ConfigError) as caught:
        load_file(file, ParkSettings, "en", check_park)

    said = str(caught.value)
    assert "park.yaml:2:32 lines[0].parity: a pseudo-terminal has no parity" in said
    assert "lines[1]: modbus_tls needs certificate_file" in said
    assert "lines[1].key_file: there is no file nowhere.key" in said
    with pytest.raises(ValidationError):
        ParkSettings.model_validate({"lines": [{"line": "modbus_rtu", "baudrate": 9601}]})
