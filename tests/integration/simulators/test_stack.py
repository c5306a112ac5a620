"""Processes and the broker of the demo, for real."""

import asyncio
import sys
from pathlib import Path

import aiomqtt
import pytest
from typer.testing import CliRunner

from simulators.cli import app
from simulators.listener import listening
from simulators.program import Program, ProgramEnded
from simulators.stack import Stack, answers, free_port
from tests.support.waiting import until

SPEAK_AND_FAIL = "print('last words'); raise SystemExit(3)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


async def wait_for(program: Program, words: str) -> None:
    async with asyncio.timeout(10):
        while words not in program.last_words():
            await asyncio.sleep(0.02)


async def test_a_program_that_ends_early_is_quoted(tmp_path: Path) -> None:
    program = Program("speaker", [sys.executable, "-c", SPEAK_AND_FAIL], tmp_path / "speaker.log")
    await program.start()
    await until(lambda: not program.running, "the program has ended")
    assert await program.stop() == 3

    with pytest.raises(ProgramEnded, match=r"(?s)speaker ended with code 3.*last words"):
        program.check()


async def test_what_a_program_said_before_it_was_started_again_says_nothing_of_now(tmp_path: Path) -> None:
    log = tmp_path / "deaf.log"
    log.write_text("deaf, said one that was killed\n")
    silent = Program("silent", [sys.executable, "-c", "import time; time.sleep(60)"], log)
    await silent.start()
    before = silent.last_words()
    await silent.kill()
    program = Program("deaf", [sys.executable, "-c", DEAF], log)
    await program.start()
    await wait_for(program, "deaf")
    await program.kill()

    assert before == ""
    assert program.last_words() == "deaf"


async def test_a_program_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    program = Program("deaf", [sys.executable, "-c", DEAF], tmp_path / "deaf.log")
    await program.start()
    await wait_for(program, "deaf")
    program.check()

    assert await program.stop(within_s=0.1) == -9
    assert not program.running


async def test_a_program_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProgramEnded, match="cannot start"):
        await Program("none", ["/nonexistent/program"], tmp_path / "none.log").start()


async def test_the_embedded_broker_carries_messages_and_goes_quietly(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    async with stack:
        await stack.start_broker()
        async with listening(stack.services, ["wattline/v1/events/+/+"]) as messages:
            async with aiomqtt.Client("127.0.0.1", stack.services.mqtt_port) as client:
                await client.publish("wattline/v1/events/bypass/shop-101", b"{}", qos=1)
            heard = await asyncio.wait_for(anext(messages), 5)
        program = stack.programs["broker"]
        program.check()

    assert heard == ("wattline/v1/events/bypass/shop-101", b"{}")
    assert not answers(stack.services.mqtt_port)
    assert program.last_words() == ""


async def test_a_park_is_served_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    port = free_port(2)
    written = CliRunner().invoke(app, ["init", str(tmp_path), "--port", str(port)])
    assert written.exit_code == 0, written.output
    stack = Stack(tmp_path)
    async with stack:
        park = await stack.start_park()
        assert answers(port)
        assert answers(port + 1)
        assert await park.stop() == 0

    assert "shop-101=1" in park.last_words()
    assert "simulated clock" in park.last_words()
    assert "served 0 requests" in park.last_words()


async def test_a_mistake_in_the_park_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "park.yaml").write_text("trades: {retail: 1}\nspeeed: 3\n", encoding="utf-8")
    stack = Stack(tmp_path)

    async with stack:
        with pytest.raises(ProgramEnded, match=r"park.yaml:2:1 speeed: unknown key → did you mean 'speed'"):
            await stack.start_park()
