"""A task that is asked to end does, whatever its cancellation meets on the way."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from metering.ending import end, give_way, heeding


async def forgetful(done: asyncio.Event) -> str:
    """Loses a cancellation, as ``asyncio.wait_for`` of Python 3.11 does when the result comes in the same turn."""
    with suppress(asyncio.CancelledError):
        await done.wait()
    return "a receipt"


async def test_a_cancellation_that_comes_with_the_result_counts() -> None:
    done = asyncio.Event()

    async def loop() -> None:
        while True:
            await heeding(forgetful(done))

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    done.set()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_a_result_without_a_cancellation_is_given_even_in_a_task_that_is_ending() -> None:
    async def ending() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return await heeding(asyncio.sleep(0, "goodbye"))
        return "never"

    task = asyncio.create_task(ending())
    await asyncio.sleep(0)
    task.cancel()

    assert await asyncio.wait_for(task, 5) == "goodbye"


async def test_a_loss_that_takes_the_place_of_the_end_does_not_keep_a_loop_running() -> None:
    turns = 0

    async def loop() -> None:
        nonlocal turns
        while True:
            turns += 1
            try:
                try:
                    await asyncio.sleep(3600)
                finally:
                    raise ConnectionError("lost while it was left")
            except ConnectionError:
                give_way()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    await asyncio.wait_for(end([task]), 5)

    assert (task.cancelled(), turns) == (True, 1)


async def test_a_task_that_does_not_hear_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.ending._ASK_AGAIN_S", 0.01)
    heard = 0

    async def deaf() -> None:
        nonlocal heard
        while heard < 3:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            heard += 1

    failed = asyncio.create_task(asyncio.sleep(0))
    task = asyncio.create_task(deaf())
    await failed
    await asyncio.wait_for(end([task, failed]), 5)

    assert heard == 3
