"""Errors are grouped by what the caller does next, not by where they arose.

    WattlineError
    ├── StopAndFix          the configuration is wrong: show it, exit, wait for a person
    │   └── ConfigError         every mistake of one file, each with its place
    ├── BackOff             the other side is away: keep everything, wait longer each time
    │   └── LinkLost            the broker is away, or went away
    ├── Alarm               credentials or target are wrong: keep everything, tell a person, retry slowly
    │   └── AccessRefused       the broker does not want us
    └── Quarantine          these bytes will never be good: keep a copy, count it, acknowledge it
        └── DecodeError         a message breaks the rules of WIRE.md

A bad *value* is not an error: it is a quality bit of its row (``metering.round.Quality``).
Each program's ``errors.py`` adds its own leaves to these branches.
"""

from __future__ import annotations


class WattlineError(Exception):
    """Root of every error this project raises on purpose."""


class StopAndFix(WattlineError):  # noqa: N818 - the name says what to do next
    """Nothing can start until a person has changed something."""


class BackOff(WattlineError):  # noqa: N818
    """The other side is away or busy: keep what you have and wait longer each time."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        """Remember how long the other side asked to be left alone, if it said so."""
        super().__init__(why)
        self.after_s = after_s


class LinkLost(BackOff):
    """The broker is away, or went away."""


class Alarm(WattlineError):  # noqa: N818
    """Nothing is wrong with the data, but a person has to repair credentials or the target."""


class AccessRefused(Alarm):
    """The broker does not want us: user name, password, certificate or access list."""


class Quarantine(WattlineError):  # noqa: N818
    """These bytes will never be accepted: keep a copy with the reason, count it, acknowledge it."""


class DecodeError(Quarantine):
    """A received message breaks the rules of WIRE.md."""
