"""Waiting for something to become true: bounded, and with words for the case that it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], what: str, within_s: float = 30.0) -> None:
    """Return as soon as ``condition()`` is truthy."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline_s, f"after {within_s:g} s still not: {what}"
        await asyncio.sleep(0.02)
