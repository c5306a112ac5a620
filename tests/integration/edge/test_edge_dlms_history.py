"""The meter's own history over real sockets: by time and by number, with gaps, without times, in any block size."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from test_edge_dlms_driver import SECURED, connected, folder  # noqa: F401 - a fixture

from edge_agent.drivers.dlms.axdr import Data, Tag, Value, encode
from edge_agent.drivers.dlms.clock import encode as stamp
from edge_agent.drivers.dlms.errors import Declined, DlmsError, Malformed
from edge_agent.drivers.dlms.initiate import READING
from edge_agent.drivers.dlms.load_profile import History, Window, columns_of, read_history
from edge_agent.drivers.dlms.reader import Reader
from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.memory import Intervals
from metering.obis import ObisCode
from simulators.dlms.device import EVERYTHING, SELECTIVE
from simulators.dlms.faults import DlmsFault
from simulators.dlms.objects import MeterClock
from tests.support.dlms_park import DAY_MS, NOON_MS, SHANGHAI, device, import_wh

QUARTER_MS = 900_000
LOAD_PROFILE = ObisCode(1, 0, 99, 1, 0)
NOON = datetime.fromtimestamp(NOON_MS / 1000, UTC)


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
@pytest.mark.parametrize("meter", [{}, {"largest_pdu": 128}])
async def test_a_day_of_quarters_is_read_by_time(folder: Path, framing, meter: Mapping[str, Any]) -> None:  # noqa: F811
    async with connected(folder, framing=framing, meter=device(**meter)) as (driver, _):
        found = await driver.load_profile("m1", NOON_MS - DAY_MS, NOON_MS)

    assert isinstance(found, Intervals)
    assert found.period_ms == QUARTER_MS
    rows = found.rows
    assert [row.measured_at for row in rows] == list(range(NOON_MS - DAY_MS, NOON_MS + 1, QUARTER_MS))
    assert not any(row.quality for row in rows)
    assert [row.values["active_energy_import"] for row in rows] == [import_wh(row.measured_at) / 1000 for row in rows]
    assert rows[0].values.keys() == {
        "active_energy_import",
        "active_energy_export",
        "reactive_energy_import",
        "active_power",
    }


@pytest.mark.parametrize("deviation", ["standard", "zero", "unspecified"])
@pytest.mark.parametrize("compressed", [False, True])
async def test_rows_are_at_their_instants_however_the_meter_writes_them(folder: Path, deviation, compressed) -> None:  # noqa: F811
    meter = device(MeterClock(SHANGHAI, deviation), {"compressed": compressed})
    async with connected(folder, meter=meter) as (driver, _):
        found = await driver.load_profile("m1", NOON_MS - 4 * QUARTER_MS, NOON_MS)

    assert isinstance(found, Intervals)
    assert [row.measured_at for row in found.rows] == [NOON_MS - n * QUARTER_MS for n in (4, 3, 2, 1, 0)]


async def test_a_meter_that_gives_no_part_says_so(folder: Path) -> None:  # noqa: F811
    async with connected(folder, meter=device(conformance=EVERYTHING & ~SELECTIVE)) as (driver, _):
        refused = await driver.load_profile("m1", NOON_MS - DAY_MS, NOON_MS)

    assert isinstance(refused, ReadFailure)
    assert "no part" in str(refused)


async def test_a_broken_transfer_is_a_failure_and_not_a_short_day(folder: Path) -> None:  # noqa: F811
    meter = device(largest_pdu=256)
    async with connected(folder, meter=meter) as (driver, _):
        meter.faults.active = (DlmsFault("truncated_block", share=0.5),)
        refused = await driver.load_profile("m1", NOON_MS - DAY_MS, NOON_MS)

    assert isinstance(refused, ReadFailure)
    assert refused.reason is Reason.GARBLED


async def test_a_meter_whose_answer_never_ends_gives_the_line_back(folder: Path) -> None:  # noqa: F811
    meter = device(largest_pdu=128)
    async with connected(folder, meter=meter) as (driver, _):
        meter.faults.active = (DlmsFault("endless_blocks"),)
        driver._link.longest_s = 0.2
        refused = await driver.load_profile("m1", NOON_MS - DAY_MS, NOON_MS)

    assert isinstance(refused, ReadFailure)
    assert refused.reason is Reason.GARBLED
    assert "without an end" in refused.detail


def answers(window: Window, *values: Data | int, sort_method: int = 1) -> History:
    """A history out of scripted answers; a number is a data-access-result."""
    conversation = read_history(Reader(READING, 1000, iter(range(16))), LOAD_PROFILE, window)
    request = next(conversation)
    try:
        for value in values:
            head = bytes((0xC4, 3 if request[1] == 3 else 1, request[2]))
            result = bytes((1, value)) if isinstance(value, int) else b"\0" + encode(value)
            body = (
                result
                if request[1] == 1
                else b"\x03"
                + result
                + b"".join(b"\0" + encode(one) for one in (Data(Tag.UINT32, 900), Data(Tag.ENUM, sort_method)))
            )
            request = conversation.send(head + body)
    except StopIteration as end:
        history: History = end.value
        return history
    raise AssertionError("more was asked")


def captured(*columns: tuple[int, str, int]) -> Data:
    """Attribute 3."""
    entries = (
        (
            Data(Tag.UINT16, class_id),
            Data(Tag.OCTET_STRING, bytes.fromhex(name)),
            Data(Tag.INT8, number),
            Data(Tag.UINT16, 0),
        )
        for class_id, name, number in columns
    )
    return Data(Tag.ARRAY, tuple(Data(Tag.STRUCTURE, entry) for entry in entries))


CAPTURED = captured((8, "0000010000ff", 2), (3, "0100010800ff", 2))
WINDOW = Window(NOON - timedelta(hours=1), NOON, NOON, SHANGHAI)


def row(at: datetime | None, *cells: Data) -> Data:
    time = Data(Tag.NULL) if at is None else Data(Tag.OCTET_STRING, stamp(at, SHANGHAI))
    return Data(Tag.STRUCTURE, (time, *cells))


def test_a_null_stays_in_its_column() -> None:
    found = answers(WINDOW, CAPTURED, Data(Tag.ARRAY, (row(NOON, Data(Tag.NULL)),)))

    assert [one.cells[1] for one in found.rows] == [None]


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(Malformed, match="not 2 wide"):
        answers(WINDOW, CAPTURED, Data(Tag.ARRAY, (row(NOON),)))


def test_rows_before_the_first_time_are_left_out_and_counted() -> None:
    value = Data(Tag.UINT32, 7)
    rows = Data(Tag.ARRAY, (row(None, value), row(NOON - timedelta(minutes=30), value), row(None, value)))

    found = answers(WINDOW, CAPTURED, rows)

    assert found.without_time == 1
    assert [one.at for one in found.rows] == [NOON - timedelta(minutes=30), NOON - timedelta(minutes=15)]


def test_a_time_without_seconds_is_that_of_its_minute() -> None:
    at = NOON - timedelta(minutes=30)
    octets = stamp(at, SHANGHAI)
    time = Data(Tag.OCTET_STRING, octets[:7] + b"\xff\xff" + octets[9:])
    value = Data(Tag.UINT32, 7)

    found = answers(WINDOW, CAPTURED, Data(Tag.ARRAY, (Data(Tag.STRUCTURE, (time, value)), row(None, value))))

    assert [one.at for one in found.rows] == [at, at + timedelta(minutes=15)]


def test_the_status_of_a_clock_is_not_its_time() -> None:
    columns = captured((8, "0000010000ff", 4), (8, "0000010000ff", 2))
    time = Data(Tag.OCTET_STRING, stamp(NOON, SHANGHAI))

    found = answers(WINDOW, columns, Data(Tag.ARRAY, (Data(Tag.STRUCTURE, (Data(Tag.UINT8, 0), time)),)))

    assert [one.at for one in found.rows] == [NOON]


def numbered(*instants: datetime) -> Data:
    return Data(Tag.ARRAY, tuple(row(at, Data(Tag.UINT32, 7)) for at in instants))


def test_a_meter_that_knows_no_time_is_asked_by_number() -> None:
    older = NOON - timedelta(days=3)

    found = answers(WINDOW, CAPTURED, 12, Data(Tag.UINT32, 500), numbered(older, NOON))

    assert [one.at for one in found.rows] == [NOON]


def test_an_old_hour_is_looked_for_where_it_must_stand_and_behind_it_if_the_history_has_holes() -> None:
    hour = NOON - timedelta(days=10)
    window = Window(hour, hour + timedelta(hours=1), NOON, SHANGHAI)
    before = [hour - timedelta(hours=6, minutes=15 * n) for n in range(6, 0, -1)]
    wanted = [hour + timedelta(minutes=15 * n) for n in range(6)]

    found = answers(window, CAPTURED, 12, Data(Tag.UINT32, 2000), numbered(*before), numbered(*wanted))

    assert [one.at for one in found.rows] == wanted[:5]


def read_by_number(instants: list[datetime], window: Window) -> History:
    """The history of a meter that knows numbers only and keeps rows of these instants, the first as number 1."""
    sort_method = 2 if instants[0] > instants[-1] else 1
    conversation = read_history(Reader(READING, 1000, cycle(range(16))), LOAD_PROFILE, window)
    request = next(conversation)
    described = CAPTURED, Data(Tag.UINT32, 900), Data(Tag.ENUM, sort_method)
    try:
        while True:
            if request[1] == 3:
                body = b"\x03" + b"".join(b"\0" + encode(one) for one in described)
            elif request[11] == 7:
                body = b"\0" + encode(Data(Tag.UINT32, len(instants)))
            elif request[13] == 1:
                body = bytes((1, 12))
            else:
                first, last = (int.from_bytes(request[at : at + 4], "big") for at in (17, 22))
                body = b"\0" + encode(numbered(*instants[first - 1 : last]))
            request = conversation.send(bytes((0xC4, 3 if request[1] == 3 else 1, request[2])) + body)
    except StopIteration as end:
        history: History = end.value
        return history


EARLIER = Window(NOON - timedelta(hours=20), NOON - timedelta(hours=18), NOON, SHANGHAI)
WANTED = [EARLIER.first + timedelta(minutes=15 * n) for n in range(9)]
QUARTERS = [NOON - timedelta(minutes=15 * n) for n in range(400, -1, -1)]


def test_rows_beside_the_period_do_not_hide_those_before_them() -> None:
    after_power_failures = [NOON - timedelta(minutes=15 * n + 7) for n in range(20)]

    found = read_by_number(sorted(QUARTERS + after_power_failures), EARLIER)

    assert [one.at for one in found.rows] == WANTED


def test_a_meter_that_keeps_the_newest_first_is_asked_from_that_end() -> None:
    found = read_by_number(QUARTERS[::-1], EARLIER)

    assert [one.at for one in found.rows] == WANTED


def test_without_times_the_rows_behind_the_newest_are_older() -> None:
    rows = Data(Tag.ARRAY, tuple(row(at, Data(Tag.UINT32, n)) for n, at in enumerate((NOON, None, None))))

    found = answers(WINDOW, CAPTURED, rows, sort_method=2)

    assert [(one.at, one.cells[1]) for one in found.rows] == [
        (NOON - timedelta(minutes=30), 2),
        (NOON - timedelta(minutes=15), 1),
        (NOON, 0),
    ]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ((4,), Declined),
        ((Data(Tag.ARRAY, ()),), Malformed),
        ((Data(Tag.UINT8, 1),), Malformed),
        ((CAPTURED, 12, 4), Declined),
        ((CAPTURED, Data(Tag.UINT8, 1)), Malformed),
        ((CAPTURED, Data(Tag.ARRAY, (Data(Tag.UINT8, 1),))), Malformed),
    ],
)
def test_what_is_no_history_is_refused(values: tuple[Data | int, ...], error: type[DlmsError]) -> None:
    with pytest.raises(error):
        answers(WINDOW, *values)


@pytest.mark.parametrize("entry", [1, [1, 2, 3], [3, b"\1\0\1\x08\0", 2, 0], ["3", b"\1\0\1\x08\0\xff", 2, 0]])
def test_columns_that_are_none_are_refused(entry: Value) -> None:
    with pytest.raises(Malformed):
        columns_of([entry])
