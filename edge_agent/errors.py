"""The edge agent's leaves on the tree of ``metering.errors``.

WattlineError
├── StopAndFix
│   └── NoSpool         the spool's folder cannot be used: say which, exit
└── BackOff
    └── DiskFull        the disk took nothing: count what is lost, go on polling

A meter that does not answer is no exception: it is a ``ReadFailure``, a value, because the poll goes on.
"""

from __future__ import annotations

from metering.errors import BackOff, StopAndFix


class NoSpool(StopAndFix):
    """The spool can be neither opened nor made."""


class DiskFull(BackOff):
    """The round could not be kept: the disk has no room or fails."""
