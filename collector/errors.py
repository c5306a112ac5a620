"""The collector's leaves on the error tree of ``metering.errors``.

BackOff
└── StoreBusy           the store may take the same bytes later
Alarm
└── StoreRefuses        credentials or target are wrong; nothing is wrong with the data
StopAndFix
└── CannotStart         a file, a port or a schema that the collector needs is not usable
"""

from __future__ import annotations

from metering.errors import Alarm, BackOff, StopAndFix


class StoreBusy(BackOff):
    """The store is away, overloaded or failing: send the same again later."""


class StoreRefuses(Alarm):
    """The store answered that we may not, or that the target does not exist."""


class CannotStart(StopAndFix):
    """Something the collector needs at start is missing or unusable."""
