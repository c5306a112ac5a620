"""The entries of a meter's event log → the events that the checks know, each of them once.

The codes are those of the IDIS companion standard (standard and fraud detection event log), which many meters follow;
what they number otherwise is passed over and counted, never guessed.

A log is read from where the last answer ended. Its mark holds the newest instant that was seen, how many entries stood
at it (two in one second are two), and how many entries the log had: a meter whose clock was set back goes on below that
instant, and then only the number of entries tells that there are new ones. Once the log is full it tells nothing; what
a full log writes below the mark is found when its time has passed the mark.

Many new entries are read in pieces by their numbers, so that no answer holds the line for long. A full log that is
written to meanwhile moves all numbers on; so each piece begins with the last entry of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

import msgspec

from edge_agent.drivers.dlms.clock import DeviationSign
from edge_agent.drivers.dlms.errors import Declined
from edge_agent.drivers.dlms.load_profile import (
    History,
    Row,
    Window,
    attribute_of,
    read_entries,
    read_form,
    read_history,
)
from edge_agent.drivers.dlms.reader import Conversation, Reader
from edge_agent.drivers.dlms.selective import CLOCK_TIME
from metering.meter_event import MeterEvent
from metering.obis import ObisCode

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

PIECE: Final = 16
"""Entries of one answer, if the log lets us say which."""

_BEGINNING: Final = datetime(2001, 9, 10, tzinfo=UTC)  # the first whole day that a round can carry
_AHEAD: Final = timedelta(days=366)  # a clock that is further ahead has lost its time


class LogMark(msgspec.Struct, frozen=True):
    """How far a log has been read."""

    at: int = 0  # ms since 1970 UTC: the newest instant seen
    here: int = 0  # entries that stood at it
    entries: int = 0  # in the log

    @classmethod
    def of(cls, text: str) -> LogMark:
        """What a text says; the beginning if it says nothing.

        >>> LogMark.of('{"at": 7, "here": 2}').here, LogMark.of("x"), LogMark.of("[]").at
        (2, LogMark(at=0, here=0, entries=0), 0)
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            return cls()

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


class Logged(NamedTuple):
    """What a log says."""

    events: list[tuple[datetime, MeterEvent]]  # by time
    unknown: int  # entries with a code or a time that says nothing
    missed: int  # entries that were overwritten unread; at least so many
    mark: LogMark
    more: bool = False  # the log goes on


def read_log(
    reader: Reader, log: ObisCode, mark: LogMark, now: datetime, zone: tuple[tzinfo, DeviationSign]
) -> Conversation[Logged]:
    """What the log says beyond the mark.

    Raises:
        DlmsError: there is no such log, or its entries cannot be understood.
    """
    (entries,) = yield from reader.get_all([attribute_of(log, 7)])
    count = entries if isinstance(entries, int) and not isinstance(entries, bool) else 0
    form = yield from read_form(reader, log)
    window = Window(_BEGINNING, now + _AHEAD, now, *zone)
    added = count - mark.entries
    if added > PIECE:
        try:
            piece = LogMark(mark.at, mark.here, mark.entries + PIECE)
            numbers = range(max(mark.entries, 1), piece.entries + 1)
            history = yield from read_entries(reader, log, numbers, count, window, form)
            if not mark.entries or _goes_on(history.rows, mark, len(numbers)):
                del history.rows[: min(mark.entries, 1)]
                return logged(history, piece, skip=0)._replace(more=True)
        except Declined:
            pass  # it knows its entries by time only: then all at once, as where numbers have moved
    begin = max(datetime.fromtimestamp(mark.at / 1000, UTC), _BEGINNING)
    history = yield from read_history(reader, log, window._replace(first=begin), form)
    if mark.at and added > 0 and _beyond(history.rows, mark) < added:
        try:
            history = yield from read_entries(reader, log, range(mark.entries + 1, count + 1), count, window, form)
        except Declined:
            history = yield from read_history(reader, log, window, form)
            del history.rows[:-added]
        return logged(history, LogMark(mark.at, mark.here, count), skip=0)
    return logged(history, LogMark(mark.at, mark.here, count), skip=mark.here, cleared=count < mark.entries)


def logged(history: History, mark: LogMark, skip: int, *, cleared: bool = False) -> Logged:
    """The entries beyond the first ``skip`` at the mark's instant.

    The code is the first whole number of a row that is none of its clock's, as the status is.
    If fewer than ``skip`` stand there, the log has been overwritten beyond the mark, or it was cleared.
    """
    told = [n for n, column in enumerate(history.form.columns) if column.class_id != CLOCK_TIME.class_id]
    known = min(skip, sum(_ms(row.at) == mark.at for row in history.rows))
    missed = 1 if known < skip and not cleared else 0
    found: list[tuple[datetime, MeterEvent]] = []
    unknown = history.without_time
    at, here, left = mark.at, known if skip else mark.here, known
    for row in history.rows:
        row_ms = _ms(row.at)
        if row_ms > at:
            at, here = row_ms, 0
        elif row_ms == mark.at and left:
            left -= 1
            continue
        here += row_ms == at
        cells = (row.cells[n] for n in told)
        code = next((cell for cell in cells if isinstance(cell, int) and not isinstance(cell, bool)), None)
        event = EVENTS.get(code) if code is not None else None
        if event is None:
            unknown += 1
        else:
            found.append((row.at, event))
    return Logged(sorted(found, key=lambda one: one[0]), unknown, missed, LogMark(at, here, mark.entries))


def _goes_on(rows: Sequence[Row], mark: LogMark, asked: int) -> bool:
    """Whether a piece begins with an entry that has been seen."""
    return len(rows) == asked and _ms(rows[0].at) <= mark.at


def _beyond(rows: Sequence[Row], mark: LogMark) -> int:
    return len(rows) - min(mark.here, sum(_ms(row.at) == mark.at for row in rows))


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
