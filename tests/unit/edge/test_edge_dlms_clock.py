from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.dlms.clock import ClockFlag, decode, encode
from edge_agent.drivers.dlms.errors import Malformed

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
NOON_UTC = datetime(2026, 3, 2, 12, tzinfo=UTC)


def stamp(deviation: str, status: str = "00", date: str = "07ea0302", time: str = "0c000000") -> bytes:
    return bytes.fromhex(date + "01" + time + deviation + status)


def test_a_meter_eight_hours_ahead_of_utc_says_minus_480() -> None:
    assert decode(stamp("fe20"), UTC).at == NOON_UTC - timedelta(hours=8)


def test_a_meter_on_utc_says_zero_and_that_is_an_instant() -> None:
    assert decode(stamp("0000"), SHANGHAI) == (NOON_UTC, ClockFlag(0))


def test_a_meter_that_counts_the_other_way_round_is_understood_when_told() -> None:
    assert decode(stamp("01e0"), UTC, "local_minus_utc").at == NOON_UTC - timedelta(hours=8)


def test_without_a_deviation_the_configured_zone_decides_and_a_flag_says_so() -> None:
    found = decode(stamp("8000"), SHANGHAI)

    assert found.at == NOON_UTC - timedelta(hours=8)
    assert found.flags == ClockFlag.ZONE_ASSUMED
    assert found.flags.trusted


def test_the_daylight_saving_bit_tells_the_two_runs_of_a_repeated_hour_apart() -> None:
    in_summer = decode(stamp("8000", "80", "07ea0a19", "021e0000"), BERLIN).at
    in_winter = decode(stamp("8000", "00", "07ea0a19", "021e0000"), BERLIN).at

    assert in_summer == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert in_winter == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "octets",
    [
        stamp("0000", date="ffffffff"),
        stamp("0000", date="00000000"),
        stamp("0000", date="07ea021e"),
        stamp("0000", date="07eafe01"),
        stamp("0000", time="ffffffff"),
        stamp("0000", time="18000000"),
        stamp("8000", date="0001" + "0101"),
        stamp("7fff"),
        bytes(12),
        b"\xff" * 12,
    ],
)
def test_wildcards_and_impossible_dates_give_no_instant_and_a_flag(octets: bytes) -> None:
    found = decode(octets, SHANGHAI)

    assert found.at is None
    assert found.flags & ClockFlag.NO_INSTANT
    assert not found.flags.trusted


def test_hundredths_count_and_may_be_left_open() -> None:
    assert decode(stamp("0000", time="0c000032"), UTC).at == NOON_UTC + timedelta(milliseconds=500)
    assert decode(stamp("0000", time="0c0000ff"), UTC).at == NOON_UTC


@pytest.mark.parametrize(
    ("status", "flags", "trusted"),
    [
        ("01", ClockFlag.INVALID, False),
        ("02", ClockFlag.DOUBTFUL, False),
        ("04", ClockFlag.OTHER_BASE, True),
        ("08", ClockFlag.INVALID_STATUS, False),
        ("80", ClockFlag.DAYLIGHT_SAVING, True),
        ("ff", ClockFlag(0), True),
    ],
)
def test_the_status_octet_is_kept(status: str, flags: ClockFlag, trusted: bool) -> None:
    found = decode(stamp("0000", status), UTC)

    assert found.flags == flags
    assert found.flags.trusted == trusted


@pytest.mark.parametrize("octets", [b"", bytes(11), bytes(13)])
def test_anything_but_twelve_octets_is_no_date_time(octets: bytes) -> None:
    with pytest.raises(Malformed, match="date-time"):
        decode(octets, UTC)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([UTC, SHANGHAI, BERLIN, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Pacific/Kiritimati")]),
    st.sampled_from(["utc_minus_local", "local_minus_utc"]),
    st.booleans(),
)
def test_an_instant_comes_back_to_the_hundredth_of_a_second(at, zone, sign, deviation) -> None:
    expected = at.replace(microsecond=at.microsecond // 10_000 * 10_000)

    assert decode(encode(at, zone, sign, deviation=deviation), zone, sign).at == expected


def test_a_time_without_a_zone_is_not_sent() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        encode(datetime(2026, 3, 2), UTC)  # noqa: DTZ001
