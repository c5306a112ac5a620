"""What a meter says about itself: the entries of its event log that the checks understand.

One name stands for what two standards record in their own ways. DL/T 645-2007 keeps one list of records a kind of
event: opened meter cover and opened terminal cover, constant magnetic field, clock set, programmed, cleared to zero,
power failed. DLMS/COSEM keeps standard event codes in the event logs (profile generic, OBIS class 0-0:99.98.e):
terminal cover removed and closed, strong field detected, meter cover removed and closed, clock adjusted, power down
and power up. A driver translates; nothing later knows the codes.

``MeterEvents`` is what a gateway sends of them: a table beside the rounds, one row an entry. A meter overwrites its
oldest entries; what was overwritten before it could be read is counted, never silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from metering.round import Quality, pack

_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class MeterEvent(StrEnum):
    """One entry of a meter's event log."""

    COVER_OPENED = "cover_opened"
    COVER_CLOSED = "cover_closed"
    TERMINAL_COVER_OPENED = "terminal_cover_opened"
    TERMINAL_COVER_CLOSED = "terminal_cover_closed"
    MAGNETIC_FIELD = "magnetic_field"
    CLOCK_SET = "clock_set"
    PROGRAMMED = "programmed"
    REGISTERS_CLEARED = "registers_cleared"
    POWER_FAILED = "power_failed"
    POWER_RESTORED = "power_restored"


@dataclass(frozen=True, slots=True)
class MeterEvents:
    """Entries of meters' own event logs, read since they were asked last; one row an entry."""

    gateway: str
    meters: tuple[str, ...]  # of every entry; a meter may stand many times
    at: bytes  # rows × int64 in byte planes: when it happened by the meter's clock, ms since 1970 UTC
    quality: bytes  # rows × uint32 in byte planes: Quality bits
    events: tuple[MeterEvent, ...]  # what happened
    missed: dict[str, int]  # by meter: entries that it had overwritten before they could be read

    @property
    def rows(self) -> int:
        """How many entries there are."""
        return len(self.meters)

    @classmethod
    def of(
        cls,
        gateway: str,
        entries: Iterable[tuple[str, int, MeterEvent, Quality]],
        missed: Mapping[str, int] = _NONE,
    ) -> MeterEvents:
        """Pack entries of meter, instant (ms since 1970 UTC), event and quality.

        Raises:
            OverflowError: an instant does not fit eight bytes.
        """
        rows = list(entries)
        return cls(
            gateway,
            tuple(meter for meter, _, _, _ in rows),
            pack((at for _, at, _, _ in rows), "q"),
            pack((int(quality) for _, _, _, quality in rows), "I"),
            tuple(event for _, _, event, _ in rows),
            dict(missed),
        )
