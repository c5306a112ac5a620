"""Ending tasks, so that nothing keeps a program from stopping.

A cancellation can get lost: ``asyncio.wait_for`` of Python 3.11 forgets it if the result comes in the same turn, and
the error of a task in a ``TaskGroup``, or of a context manager that fails while it is left, takes its place. A loop
that catches such errors would run on for ever, and so would whoever waits for its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, Final, TypeVar

_ASK_AGAIN_S: Final = 5.0

T = TypeVar("T")


def give_way() -> None:
    """End here if the task at hand was asked to end, whatever became of that.

    Raises:
        CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def heeding(work: Awaitable[T]) -> T:
    """Do ``work``; a cancellation that came meanwhile counts, even if the result came with it."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    result = await work
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until all of them have ended; one that does not hear it is asked again."""
    given = list(tasks)
    left = {task for task in given if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_ASK_AGAIN_S)
    await asyncio.gather(*given, return_exceptions=True)  # what they ended with is known to whoever asks
