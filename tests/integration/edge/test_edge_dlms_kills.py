"""kill -9 at every step of a sealed session: no counter is ever used twice, and the next session is good at once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from test_edge_dlms_driver import folder  # noqa: F401 - a fixture

from metering.ending import end
from tests.support.dlms_park import device, serving

SCRIPT = Path(__file__).with_name("session_until.py")
ROOT = Path(__file__).resolve().parents[3]
WRAPPER_OCTETS = 8
INITIATE_OCTETS = 33
SEALED = {0xC8, 0xCB}  # glo-get-request, glo-action-request
AARQ, GLO_INITIATE, CONTROL = 0x60, 0x21, 0x30


class Witness:
    """A relay before the meter that notes every counter a reader uses under the global keys."""

    def __init__(self, meter_port: int) -> None:
        self.counters: list[int] = []
        self.port = 0
        self._meter_port = meter_port

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection("127.0.0.1", self._meter_port)
        answers = asyncio.create_task(self._pass(back, writer))
        try:
            while True:
                head = await reader.readexactly(WRAPPER_OCTETS)
                message = await reader.readexactly(int.from_bytes(head[6:8], "big"))
                self._note(message)
                there.write(head + message)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await end([answers])
            writer.close()
            there.close()

    def _note(self, message: bytes) -> None:
        if message[0] == AARQ:
            at = len(message) - INITIATE_OCTETS  # it stands at the end
            assert message[at] == GLO_INITIATE, message.hex()
        elif message[0] in SEALED:
            at = 0
        else:
            return
        control = at + 2
        assert message[control] == CONTROL, message.hex()
        self.counters.append(int.from_bytes(message[control + 1 : control + 5], "big"))

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(4096):
            writer.write(octets)


@asynccontextmanager
async def witnessed(meter_port: int) -> AsyncIterator[Witness]:
    witness = Witness(meter_port)
    server = await asyncio.start_server(witness.relay, "127.0.0.1", 0)
    witness.port = server.sockets[0].getsockname()[1]
    try:
        yield witness
    finally:
        server.close()


async def session(port: int, where: Path, last: int) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, SCRIPT, str(port), str(where), str(last)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PYTHONPATH": str(ROOT)},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode()


async def test_a_gateway_killed_at_any_step_uses_no_counter_twice(folder: Path) -> None:  # noqa: F811
    async with serving({1: device()}) as server, witnessed(server.port) as witness:
        code, said = await session(witness.port, folder, 0)
        assert code == 0, said
        steps = int(said)
        for last in range(1, steps + 1):
            assert (await session(witness.port, folder, last))[0] == -9
            used = len(witness.counters)
            if last % 4 == 0 or last == steps:
                code, said = await session(witness.port, folder, 0)
                assert code == 0, said
                assert len(witness.counters) > used

    assert steps > 15
    assert len(set(witness.counters)) == len(witness.counters)
    assert witness.counters == sorted(witness.counters)
