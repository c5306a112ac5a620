"""The entries of a meter's event log → the events that the checks know.

The codes are those of the IDIS companion standard (standard and fraud detection event log), which many meters follow;
what they number otherwise is passed over and counted, never guessed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.load_profile import History
from metering.meter_event import MeterEvent

EVENTS: Final = {
    1: MeterEvent.POWER_FAILED,
    2: MeterEvent.POWER_RESTORED,
    5: MeterEvent.CLOCK_SET,
    40: MeterEvent.TERMINAL_COVER_OPENED,
    41: MeterEvent.TERMINAL_COVER_CLOSED,
    42: MeterEvent.MAGNETIC_FIELD,
    44: MeterEvent.COVER_OPENED,
    45: MeterEvent.COVER_CLOSED,
}


class Logged(NamedTuple):
    """What a log says."""

    events: list[tuple[datetime, MeterEvent]]
    unknown: int  # entries with a code or a time that says nothing


def events_of(history: History) -> Logged:
    """The known events of a log, oldest first; the code is the first whole number of a row."""
    found: list[tuple[datetime, MeterEvent]] = []
    unknown = history.without_time
    for row in history.rows:
        code = next((cell for cell in row.cells if isinstance(cell, int) and not isinstance(cell, bool)), None)
        event = EVENTS.get(code) if code is not None else None
        if event is None:
            unknown += 1
        else:
            found.append((row.at, event))
    return Logged(found, unknown)
