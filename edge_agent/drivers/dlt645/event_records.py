"""The event records of a DL/T 645 meter (table A.4): for every kind of event a count and the last ten records.

    03 11 00 nn  掉电        power failed: began, ended
    03 30 00 nn  编程        programmed: at, operator, what
    03 30 01 nn  电量清零    registers cleared: at, operator, the registers before
    03 30 04 nn  校时        clock set: operator, before, after
    03 30 0D nn  开表盖      cover opened: began, ended, registers before and after
    03 30 0E nn  开端钮盒    terminal cover opened: the same
    03 35 00 nn  恒定磁场    constant magnetic field: began, ended. Not in the standard of 2007: from its supplements

nn is 00 for the count (three octets) and 01 for the newest record. Of a record only its times are read here. The time
of a set clock is the one after it was set: the one before was wrong. An end that is not there yet is no event yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from edge_agent.drivers.dlt645.data import digits_of
from edge_agent.drivers.dlt645.moment import to_the_second
from edge_agent.drivers.memory import LoggedEvent
from metering.meter_event import MeterEvent

MOST_RECORDS: Final = 10
_COUNT_OCTETS: Final = 3
_TIME: Final = 6


@dataclass(frozen=True, slots=True)
class RecordList:
    """The records of one kind of event."""

    name: str  # in the profile, and of its count
    prefix: str  # DI3 DI2 DI1
    marks: tuple[tuple[int, MeterEvent], ...]  # where in a record a time stands, and what happened then

    @property
    def count_identifier(self) -> str:
        """What asks how many there ever were."""
        return f"{self.prefix}00"

    def identifier(self, back: int) -> str:
        """What asks for a record; 1 is the newest."""
        return f"{self.prefix}{back:02X}"

    def events(self, record: bytes, zone: ZoneInfo) -> list[LoggedEvent]:
        """What one record says, by time; nothing for a record that is empty or too short."""
        times = [(to_the_second(record[at : at + _TIME], zone), event) for at, event in self.marks]
        return sorted(LoggedEvent(at, event) for at, event in times if at is not None)


RECORD_LISTS: Final = {
    one.name: one
    for one in (
        RecordList("power_failures", "031100", ((0, MeterEvent.POWER_FAILED), (_TIME, MeterEvent.POWER_RESTORED))),
        RecordList("programmings", "033000", ((0, MeterEvent.PROGRAMMED),)),
        RecordList("clearings", "033001", ((0, MeterEvent.REGISTERS_CLEARED),)),
        RecordList("clock_settings", "033004", ((10, MeterEvent.CLOCK_SET),)),
        RecordList("cover_openings", "03300D", ((0, MeterEvent.COVER_OPENED), (_TIME, MeterEvent.COVER_CLOSED))),
        RecordList(
            "terminal_cover_openings",
            "03300E",
            ((0, MeterEvent.TERMINAL_COVER_OPENED), (_TIME, MeterEvent.TERMINAL_COVER_CLOSED)),
        ),
        RecordList("magnetic_fields", "033500", ((0, MeterEvent.MAGNETIC_FIELD),)),
    )
}
"""Every kind of record by name."""


def count_of(data: bytes) -> int | None:
    """How many records of a kind there ever were; ``None`` if the meter says no number."""
    digits = digits_of(data[::-1]) if len(data) == _COUNT_OCTETS else None
    return None if digits is None else int(digits)
