"""Tells systemd that the service is ready and alive; without systemd it does nothing."""

from __future__ import annotations

import asyncio
import os
import socket


def notify(state: str) -> None:
    """Send one line to the socket systemd gave us, if it did."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(state.encode())


async def beat() -> None:
    """Say READY once and WATCHDOG for ever, twice as often as systemd asks for it."""
    notify("READY=1")
    interval_s = int(os.environ.get("WATCHDOG_USEC", "20000000")) / 2_000_000
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)
