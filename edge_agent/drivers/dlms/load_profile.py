"""The meter's own history: rows of a profile generic (class 7), by time or, where a meter cannot do that, by number.

    attribute 3   which object's attribute each column holds      attribute 4   seconds between two rows, 0 for events
    attribute 2   the rows; the part wanted is asked for          attribute 7   how many rows there are

Every row must be as wide as attribute 3 says: a null stays where it stands, or its neighbours would slide into its
column. A row without a time is one period after the row before (compressed buffers); the first of an answer then has
no time and is left out, as is a row whose time is no instant. What is left out is counted.

Where a meter knows numbers only, the newest stands last and a row of an instant stands no earlier than its age says:
holes of the history move it towards the end. So it is looked for from there on, never in the whole of the buffer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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


@dataclass(slots=True)
class History:
    """The rows that were found, oldest first as the meter keeps them."""

    form: Form
    rows: list[Row] = field(default_factory=list)
    without_time: int = 0


def read_form(reader: Reader, profile: ObisCode) -> Conversation[Form]:
    """What the rows of a profile are made of.

    Raises:
        DlmsError: there is no such profile, or it has no columns.
    """
    described = yield from reader.get_all([attribute_of(profile, 3), attribute_of(profile, 4)])
    return Form(columns_of(described[0]), _period_s(described[1]))


def read_history(reader: Reader, profile: ObisCode, window: Window, form: Form | None = None) -> Conversation[History]:
    """The rows of a profile inside a window; ``form`` if it is known in this association.

    Raises:
        DlmsError: there is no such profile, or its rows cannot be understood.
    """
    history = History(form or (yield from read_form(reader, profile)))
    first, last = (clock.encode(at, window.zone, window.sign) for at in (window.first, window.last))
    rows = yield from reader.get(Item(attribute_of(profile, 2).attribute, by_range(first, last)))
    if isinstance(rows, Denied):
        yield from _by_number(reader, profile, history, window)
    else:
        _fill(history, rows, window, None)
    return history


def read_entries(
    reader: Reader, profile: ObisCode, numbers: tuple[int, int], window: Window, form: Form
) -> Conversation[History]:
    """The rows of these numbers, both with them, whose time lies inside the window; the oldest is 1.

    Raises:
        DlmsError: the meter gives none, or they cannot be understood.
    """
    history = History(form)
    rows = yield from reader.get(Item(attribute_of(profile, 2).attribute, by_entry(*numbers)))
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
    period_s = history.form.period_s
    first, at_once = 1, count
    if period_s:
        back = math.ceil((window.now - window.first).total_seconds() / period_s)
        first = max(count - back, 1)
        at_once = math.ceil((window.last - window.first).total_seconds() / period_s) + 2
    seen: datetime | None = None
    while first <= count and (seen is None or seen < window.last):
        last = min(first + at_once - 1, count)
        rows = yield from reader.get(Item(attribute_of(profile, 2).attribute, by_entry(first, last)))
        seen = _fill(history, rows, window, seen) or seen
        first = last + 1


def _fill(history: History, rows: Result, window: Window, before: datetime | None) -> datetime | None:
    """Take what lies inside the window; the time of the last row, if it has one."""
    if isinstance(rows, Denied):
        raise Declined(f"no rows: {rows}", rows.code)
    if not isinstance(rows, list):
        raise Malformed("no list of rows")
    columns = history.form.columns
    if CLOCK_TIME.class_id not in {column.class_id for column in columns}:
        raise Declined("this profile has no column of times")
    for row in rows:
        if not isinstance(row, list) or len(row) != len(columns):
            raise Malformed(f"a row that is not {len(columns)} wide")
        time = _time_of(row, history.form, before, window)
        before = time.at
        if time.at is None:
            history.without_time += 1
        elif window.first <= time.at <= window.last:
            history.rows.append(Row(time.at, time.flags, tuple(row)))
    return before


def _time_of(row: Sequence[Value], form: Form, before: datetime | None, window: Window) -> CosemTime:
    cell = next(cell for cell, of in zip(row, form.columns, strict=True) if of.class_id == CLOCK_TIME.class_id)
    if isinstance(cell, bytes) and len(cell) == clock.LENGTH:
        return clock.decode(cell, window.zone, window.sign)
    if cell is None and before is not None and form.period_s:
        return CosemTime((before + timedelta(seconds=form.period_s)).astimezone(UTC), ClockFlag(0))
    return CosemTime(None, ClockFlag.NO_INSTANT)


def attribute_of(profile: ObisCode, number: int) -> Item:
    """One attribute of a profile, to be asked for."""
    return Item(Attribute(_PROFILE_CLASS, profile, number))
