"""The edge agent's leaves on the tree of ``metering.errors``.

WattlineError
├── StopAndFix
│   └── NoSpool         the spool's folder cannot be used: say which, exit
├── BackOff
│   ├── DiskFull        the disk took nothing: count what is lost, go on polling
│   └── LinkLost        the broker is away: connect again, wait longer each time
└── Alarm
    └── AccessRefused   the broker does not want us: tell a person, try again slowly

A meter that does not answer is no exception: it is a ``ReadFailure``, a value, because the poll goes on.
"""

from __future__ import annotations

from metering.errors import Alarm, BackOff, StopAndFix


class NoSpool(StopAndFix):
    """The spool can be neither opened nor made."""


class DiskFull(BackOff):
    """The round could not be kept: the disk has no room or fails."""


class LinkLost(BackOff):
    """The connection to the broker broke or could not be made."""


class AccessRefused(Alarm):
    """The broker refused our name, password or certificate."""
