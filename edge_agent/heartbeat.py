"""Tells systemd that the service is ready and alive; without systemd it does nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send one line to the socket systemd gave us, if it did.

    While systemd itself starts anew nobody hears it, and nothing waits: the next beat will do.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with suppress(OSError), socket.socket(socket.AF_UNIX, kind) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(state.encode())


async def beat() -> None:
    """Say READY once and WATCHDOG for ever, twice as often as systemd asks for it."""
    notify("READY=1")
    interval_s = int(os.environ.get("WATCHDOG_USEC", "20000000")) / 2_000_000
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)
