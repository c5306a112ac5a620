"""Ports that stay ours while their server is dead: outside the range the kernel deals out to whoever connects."""

from __future__ import annotations

import random
import socket

_FIRST, _LAST = 10_240, 32_000  # Linux deals out 32768 … 60999
_dice = random.SystemRandom()


def quiet_port(count: int = 1) -> int:
    """The first of ``count`` ports in a row that nobody listens on, and that no client is given by chance."""
    while True:
        first = _dice.randrange(_FIRST, _LAST - count)
        if all(_is_free(port) for port in range(first, first + count)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
