"""Whether this machine knows the time, as its kernel sees it: no root, no service to ask.

A daemon that steers the clock (NTP, PTP) clears the kernel's STA_UNSYNC and has to keep doing so; a kernel that is
left alone sets it again. Where the kernel may not be asked, as in some containers, the answer is "unknown", and
nothing is held against the readings.
"""

from __future__ import annotations

import ctypes
from typing import Final

STA_UNSYNC: Final = 0x40
TIME_ERROR: Final = 5


class _Timex(ctypes.Structure):
    """The beginning of ``struct timex``; ``modes`` 0 only asks."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximum_error", ctypes.c_long),
        ("estimated_error", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def judged(answer: int, status: int) -> bool | None:
    """What an answer of ``adjtimex`` means; ``None`` = unknown.

    >>> judged(0, 0x2001), judged(5, 0x40), judged(-1, 0)
    (True, False, None)
    """
    if answer < 0:
        return None
    return answer != TIME_ERROR and not status & STA_UNSYNC


def kernel_synchronised() -> bool | None:
    """Ask the kernel; about a microsecond."""
    if _adjtimex is None:
        return None
    timex = _Timex()
    answer: int = _adjtimex(ctypes.byref(timex))
    return judged(answer, timex.status)


def simulated_synchronised() -> bool | None:
    """A simulated clock is right by definition."""
    return True


_adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
