"""What the collector asks of the C library is taken where there is glibc."""

from __future__ import annotations

import platform

from collector.memory import keep_freed_memory


def test_glibc_takes_every_option() -> None:
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
