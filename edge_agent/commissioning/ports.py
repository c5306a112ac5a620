"""The serial ports of this machine: which are real, and whether we could use them.

A port is tried by opening it for reading without waiting and asking for the lock that the agent takes; not a character
is sent. Ports of the mainboard that have no chip behind them are left out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import termios
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

_GLOBS: Final = ("ttyUSB*", "ttyACM*", "ttyAMA*", "ttyS*")
_BY_ID: Final = "serial/by-id"

PortState = Literal["free", "busy", "forbidden", "gone"]


@dataclass(frozen=True, slots=True)
class Port:
    """One serial port."""

    device: Path  # the name that stays when others are plugged in, if there is one
    name: str  # what the kernel calls it
    state: PortState
    detail: str = ""


def serial_ports(dev: Path = Path("/dev")) -> list[Port]:
    """Every serial port that is there."""
    stable = _stable_names(dev)
    found = []
    for pattern in _GLOBS:
        for path in sorted(dev.glob(pattern)):
            state, detail = _state(path)
            if state == "gone" and pattern == "ttyS*":
                continue  # the kernel names four of them, whether they exist or not
            found.append(Port(stable.get(path.resolve(), path), path.name, state, detail))
    return found


def _stable_names(dev: Path) -> dict[Path, Path]:
    links: Iterable[Path] = sorted((dev / _BY_ID).glob("*")) if (dev / _BY_ID).is_dir() else ()
    return {link.resolve(): link for link in links}


def _state(path: Path) -> tuple[PortState, str]:
    try:
        port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return "forbidden", ""
        return ("busy", "") if error.errno == errno.EBUSY else ("gone", error.strerror or "")
    try:
        termios.tcgetattr(port)  # fails where there is no chip
        fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "busy", ""
    except (OSError, termios.error) as error:
        return "gone", str(error)
    finally:
        os.close(port)
    return "free", ""


def own_addresses() -> list[str]:
    """The addresses of this machine, without asking anyone."""
    found = []
    for probe in ("192.0.2.1", "2001:db8::1"):  # documentation addresses: nothing is sent to them
        family = socket.AF_INET6 if ":" in probe else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as ask:
            try:
                ask.connect((probe, 9))
                found.append(str(ask.getsockname()[0]))
            except OSError:
                continue
    return found
