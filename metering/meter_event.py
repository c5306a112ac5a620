"""What a meter says about itself: the entries of its event log that the checks understand.

One name stands for what two standards record in their own ways. DL/T 645-2007 keeps one list of records a kind of
event: opened meter cover and opened terminal cover, constant magnetic field, clock set, programmed, cleared to zero,
power failed. DLMS/COSEM keeps standard event codes in the event logs (profile generic, OBIS class 0-0:99.98.e):
terminal cover removed and closed, strong field detected, meter cover removed and closed, clock adjusted, power down
and power up. A driver translates; nothing later knows the codes.
"""

from __future__ import annotations

from enum import StrEnum


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
