"""The meter's own history: rows of a profile generic (class 7), by time or, where a meter cannot do that, by number.

    attribute 3   which object's attribute each column holds      attribute 4   seconds between two rows, 0 for events
    attribute 2   the rows; the part wanted is asked for          attribute 7   how many rows there are
    attribute 5   how they are sorted: most meters keep the newest last, some (lifo) first

Every row must be as wide as attribute 3 says: a null stays where it stands, or its neighbours would slide into its
column. A row without a time is one period from the row before (compressed buffers); the first of an answer then has
no time and is left out, as is a row whose time is no instant. What is left out is counted. A time whose seconds are
left open is that of its full minute: rows are taken on the minute, and the meter says no more.

Where a meter knows numbers only, a row is looked for where its age says that it stands, never in the whole of the
buffer: from there on, for holes of the history move it towards the newest, and back from there, for rows beside the
period (a power failure, a clock that was set) move it towards the oldest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from edge_agent.drivers.dlms import clock
from edge_agent.drivers.dlms.axdr import Value
from edge_agent.drivers.dlms.clock import ClockFlag, CosemTime, DeviationSign
from edge_agent.drivers.dlms.errors import Declined, Malformed
from edge_agent.drivers.dlms.reader import Conversation, Reader, Result
from edge_agent.drivers.dlms.selective import CLOCK_TIME, by_entry, by_range
from edge_agent.drivers.dlms.xdlms import Attribute, Denied, Item
from metering.obis import ObisCode

_PROFILE_CLASS: Final = 7
_COLUMN_FIELDS: Final = 4
_NAME_OCTETS: Final = 6
_LIFO: Final = 2  # sort method
_TIME: Final = (8, 2)  # class and attribute of a clock's time
_SECONDS: Final = 7  # where they stand in a time
_OPEN: Final = 0xFF


class Window(NamedTuple):
    """What part of a history is wanted."""

    first: datetime
    last: datetime  # both with it
    now: datetime  # to reckon from the newest row where only numbers help
    zone: tzinfo  # of the meter, if it does not name its own
    sign: DeviationSign = "utc_minus_local"


class Row(NamedTuple):
    """One row and what its clock said."""

    at: datetime
    flags: ClockFlag
    cells: tuple[Value, ...]  # as wide as ``History.columns``, the time with them


class Form(NamedTuple):
    """What the rows of a profile are made of."""

    columns: tuple[Attribute, ...]
    period_s: int  # 0 for events
    newest_first: bool = False

    @property
    def time(self) -> int | None:
        """Which column is the time of the row; its clock may have columns of other attributes, too."""
        found = (n for n, one in enumerate(self.columns) if (one.class_id, one.number) == _TIME)
        return next(found, None)


@dataclass(slots=True)
class History:
    """The rows that were found, in the order in which the meter took them."""

    form: Form
    rows: list[Row] = field(default_factory=list)
    without_time: int = 0


def read_form(reader: Reader, profile: ObisCode) -> Conversation[Form]:
    """What the rows of a profile are made of.

    Raises:
        DlmsError: there is no such profile, or it has no columns.
    """
    described = yield from reader.get_all([attribute_of(profile, number) for number in (3, 4, 5)])
    return Form(columns_of(described[0]), _period_s(described[1]), described[2] == _LIFO)


def read_history(reader: Reader, profile: ObisCode, window: Window, form: Form | None = None) -> Conversation[History]:
    """The rows of a profile inside a window; ``form`` if it is known in this association.

    Raises:
        DlmsError: there is no such profile, or its rows cannot be understood.
    """
    form = form or (yield from read_form(reader, profile))
    history = History(form)
    first, last = (clock.encode(at, window.zone, window.sign) for at in (window.first, window.last))
    column = CLOCK_TIME if form.time is None else form.columns[form.time]
    rows = yield from reader.get(Item(attribute_of(profile, 2).attribute, by_range(first, last, column)))
    if isinstance(rows, Denied):
        yield from _by_number(reader, profile, history, window)
    else:
        _fill(history, rows, window, None)
    return history


def read_entries(
    reader: Reader, profile: ObisCode, numbers: range, count: int, window: Window, form: Form
) -> Conversation[History]:
    """Those of a profile's ``count`` rows that have these numbers and a time inside the window; the oldest is 1.

    Raises:
        DlmsError: the meter gives none, or they cannot be understood.
    """
    history = History(form)
    rows = yield from reader.get(_entries(profile, form, numbers, count))
    _fill(history, rows, window, None)
    return history


def columns_of(captured: Result) -> tuple[Attribute, ...]:
    """What attribute 3 says.

    Raises:
        Declined: the meter denies it.
        Malformed: it is no list of attributes.
    """
    if isinstance(captured, Denied):
        raise Declined(f"no capture objects: {captured}", captured.code)
    if not isinstance(captured, list) or not captured:
        raise Malformed("no list of capture objects")
    return tuple(_column(entry) for entry in captured)


def _column(entry: Value) -> Attribute:
    if not isinstance(entry, list) or len(entry) != _COLUMN_FIELDS:
        raise Malformed(f"capture object {entry!r}")
    class_id, name, number, _ = entry
    if not isinstance(class_id, int) or not isinstance(number, int) or not isinstance(name, bytes):
        raise Malformed(f"capture object {entry!r}")
    if len(name) != _NAME_OCTETS:
        raise Malformed(f"logical name {name.hex()}")
    return Attribute(class_id, ObisCode(*name), number)


def _period_s(value: Result) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _by_number(reader: Reader, profile: ObisCode, history: History, window: Window) -> Conversation[None]:
    """From where the window can begin on, until its end has been seen; all of a log."""
    (count,) = yield from reader.get_all([attribute_of(profile, 7)])
    if not isinstance(count, int) or isinstance(count, bool):
        raise Declined("the meter gives neither a part of this profile nor the number of its rows")
    form = history.form
    period_s = form.period_s
    first, at_once = 1, max(count, 1)
    if period_s:
        first = max(count - math.ceil((window.now - window.first).total_seconds() / period_s), 1)
        at_once = math.ceil((window.last - window.first).total_seconds() / period_s) + 2
    seen: datetime | None = None
    while first <= count and (seen is None or seen < window.last):
        numbers = range(first, min(first + at_once, count + 1))
        rows = yield from reader.get(_entries(profile, form, numbers, count))
        found = _fill(history, rows, window, None if form.newest_first else seen)
        if found and seen is None and first > 1 and found[0] > window.first:
            first = max(first - math.ceil((found[0] - window.first).total_seconds() / period_s), 1)
            history.rows.clear()
            continue
        seen = found[-1] if found else seen
        first = numbers.stop


def _entries(profile: ObisCode, form: Form, numbers: range, count: int) -> Item:
    """Rows by their numbers, of which the oldest is 1 for us whatever it is for the meter."""
    first, last = numbers.start, numbers.stop - 1
    if form.newest_first:
        first, last = count + 1 - last, count + 1 - first
    return Item(attribute_of(profile, 2).attribute, by_entry(first, last))


def _fill(history: History, rows: Result, window: Window, before: datetime | None) -> list[datetime]:
    """Take what lies inside the window; the instants of all rows that have one, in the order of the rows."""
    if isinstance(rows, Denied):
        raise Declined(f"no rows: {rows}", rows.code)
    if not isinstance(rows, list):
        raise Malformed("no list of rows")
    form = history.form
    if form.time is None:
        raise Declined("this profile has no column of times")
    found: list[Row] = []
    for row in rows:
        if not isinstance(row, list) or len(row) != len(form.columns):
            raise Malformed(f"a row that is not {len(form.columns)} wide")
        time = _time_of(row[form.time], form, before, window)
        before = time.at
        if time.at is None:
            history.without_time += 1
        else:
            found.append(Row(time.at, time.flags, tuple(row)))
    if form.newest_first:
        found.reverse()
    history.rows += [row for row in found if window.first <= row.at <= window.last]
    return [row.at for row in found]


def _time_of(cell: Value, form: Form, before: datetime | None, window: Window) -> CosemTime:
    if isinstance(cell, bytes) and len(cell) == clock.LENGTH:
        if cell[_SECONDS] == _OPEN:
            cell = cell[:_SECONDS] + b"\0" + cell[_SECONDS + 1 :]
        return clock.decode(cell, window.zone, window.sign)
    if cell is None and before is not None and form.period_s:
        period = timedelta(seconds=-form.period_s if form.newest_first else form.period_s)
        return CosemTime((before + period).astimezone(UTC), ClockFlag(0))
    return CosemTime(None, ClockFlag.NO_INSTANT)


def attribute_of(profile: ObisCode, number: int) -> Item:
    """One attribute of a profile, to be asked for."""
    return Item(Attribute(_PROFILE_CLASS, profile, number))
