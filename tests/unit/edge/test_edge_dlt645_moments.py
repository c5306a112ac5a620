"""Times and event records of DL/T 645 meters, from octets written down."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from edge_agent.drivers.dlt645.event_records import RECORD_LISTS, count_of
from edge_agent.drivers.dlt645.moment import clock_of, to_the_minute, to_the_second
from edge_agent.drivers.memory import LoggedEvent
from metering.meter_event import MeterEvent

BEIJING = ZoneInfo("Asia/Shanghai")
OPENED = bytes.fromhex("050410110726")  # 2026-07-11 10:04:05, low octet first
CLOSED = bytes.fromhex("000511110726")
OPERATOR = bytes(4)


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=BEIJING).timestamp() * 1000)  # type: ignore[arg-type, misc]


def test_times_are_local_and_low_octet_first():
    assert to_the_second(OPENED, BEIJING) == at(2026, 7, 11, 10, 4, 5)
    assert to_the_minute(OPENED[1:], BEIJING) == at(2026, 7, 11, 10, 4)
    assert clock_of(bytes.fromhex("06110726"), bytes.fromhex("050410"), BEIJING) == at(2026, 7, 11, 10, 4, 5)
    assert to_the_second(OPENED, ZoneInfo("UTC")) == int(datetime(2026, 7, 11, 10, 4, 5, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("octets", ["FFFFFFFFFFFF", "000000000000", "050410310226", "0504101107", "05041011072A", ""])
def test_what_is_no_day_of_the_calendar_is_no_time(octets: str):
    assert to_the_second(bytes.fromhex(octets), BEIJING) is None


def test_a_clock_of_another_length_is_no_clock():
    assert clock_of(bytes.fromhex("110726"), bytes.fromhex("050410"), BEIJING) is None


@pytest.mark.parametrize(
    ("name", "record", "events"),
    [
        ("cover_openings", OPENED + CLOSED + bytes(48), [MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED]),
        (
            "terminal_cover_openings",
            OPENED + CLOSED + bytes(48),
            [MeterEvent.TERMINAL_COVER_OPENED, MeterEvent.TERMINAL_COVER_CLOSED],
        ),
        ("power_failures", OPENED + CLOSED, [MeterEvent.POWER_FAILED, MeterEvent.POWER_RESTORED]),
        ("magnetic_fields", OPENED + CLOSED + bytes(16), [MeterEvent.MAGNETIC_FIELD]),
        ("programmings", OPENED + OPERATOR + bytes(40), [MeterEvent.PROGRAMMED]),
        ("clearings", OPENED + OPERATOR + bytes(96), [MeterEvent.REGISTERS_CLEARED]),
        ("clock_settings", OPERATOR + CLOSED + OPENED, [MeterEvent.CLOCK_SET]),
    ],
)
def test_every_kind_of_record_tells_what_happened_when(name: str, record: bytes, events: list[MeterEvent]):
    instants = [at(2026, 7, 11, 10, 4, 5), at(2026, 7, 11, 11, 5, 0)]

    assert RECORD_LISTS[name].events(record, BEIJING) == [
        LoggedEvent(instant, event) for instant, event in zip(instants, events, strict=False)
    ]


def test_a_cover_that_is_still_open_is_not_closed():
    record = OPENED + b"\xff" * 6 + bytes(48)

    assert [one.event for one in RECORD_LISTS["cover_openings"].events(record, BEIJING)] == [MeterEvent.COVER_OPENED]


@pytest.mark.parametrize("record", [b"", bytes(60), b"\xff" * 60])
def test_an_empty_record_says_nothing(record: bytes):
    assert [one.events(record, BEIJING) for one in RECORD_LISTS.values()] == [[]] * len(RECORD_LISTS)


def test_a_record_is_asked_for_by_how_far_back_it_lies():
    cover = RECORD_LISTS["cover_openings"]

    assert (cover.count_identifier, cover.identifier(1), cover.identifier(10)) == ("03300D00", "03300D01", "03300D0A")


@pytest.mark.parametrize(("data", "count"), [("120000", 12), ("FFFFFF", None), ("0000", None)])
def test_a_count_has_three_octets_of_digits(data: str, count: int | None):
    assert count_of(bytes.fromhex(data)) == count
