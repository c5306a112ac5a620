"""The feeds as a child of the collector: started beside it, started again if it dies, ended with it.

Serving must never be in the way of the event loop that commits readings, so it is a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from metering.log import log

_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_LONG_ENOUGH_S: Final = 60.0
_TERMINATE_WITHIN_S: Final = 8.0


async def keep_serving(command: Sequence[str]) -> None:
    """Run ``python -m collector.cli`` with these words for ever; cancel to end it."""
    delay_s = _FIRST_DELAY_S
    loop = asyncio.get_running_loop()
    argv = (sys.executable, "-m", "collector.cli", *command, "--parent", str(os.getpid()))
    while True:
        started = loop.time()
        process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL)
        try:
            status = await process.wait()
        finally:
            await _end(process)
        if loop.time() - started > _LONG_ENOUGH_S:
            delay_s = _FIRST_DELAY_S
        log.error("the feeds ended; they are started again", status=status, after_s=delay_s)
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, _LONGEST_DELAY_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _TERMINATE_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
